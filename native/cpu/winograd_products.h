// Products of small matrices whose sums stay in registers. In a nameless namespace for the sake of winograd.h's rule.
#pragma once
#include "constant.h"
#include "winograd_vector.h"

namespace tracin::cpu::winograd {

namespace {

// sums[r][j] (+)= Σ_k left[r · rowStep + k · depthStep] · right[k][j] for R rows and N registers of values j. Steps that are constants of
// the caller cost nothing, so either side of `left` may be the one that lies together.
template <int R, int N>
[[gnu::always_inline]] inline void product(int depth, const float* left, int64_t rowStep, int64_t depthStep, const float* right,
                                           int64_t rightStep, float* sums, int64_t sumStep, bool add) {
  Vector s[R][N];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) s[r][n] = add ? load(sums + r * sumStep + n * kWidth) : Vector{};
  for (int k = 0; k < depth; ++k) {
    Vector u[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) u[n] = load(right + k * rightStep + n * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vector v = filled(left[r * rowStep + k * depthStep]);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) s[r][n] = multiplyAdd(s[r][n], v, u[n]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) store(sums + r * sumStep + n * kWidth, s[r][n]);
}

// Any number of rows: left[rows][depth] · right[depth][N registers]
template <int N>
void productRows(int rows, int depth, const float* left, int64_t leftStep, const float* right, float* sums, int64_t sumStep, bool add) {
  constexpr int most = kWidth == kLanes ? 14 : 6;  // sums of 28 or 12 registers, of 32 or 16 that there are
  // as even as possible: 15 rows are 8 and 7, not 14 and 1
  for (int parts = ceilDiv(rows, most); parts > 0; --parts) {
    const int r = ceilDiv(rows, parts);
    withConstant<most>(r, [&]<int R>() { product<R, N>(depth, left, leftStep, 1, right, N * kWidth, sums, sumStep, add); });
    left += r * leftStep, sums += r * sumStep, rows -= r;
  }
}

}  // namespace

}  // namespace tracin::cpu::winograd
