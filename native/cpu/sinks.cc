#include "sinks.h"

#include <algorithm>

namespace tracin::cpu {

namespace {

// Long enough for the product to run at speed, short enough that float32 sums keep six digits.
constexpr int64_t kRun = 1 << 14;
// Shares of a row that threads take, as many on any machine: sums are the same whatever the threads.
constexpr int64_t kShares = 16;

// add(start, floats, sums) for every run of a row, run after run in each share; then the shares' sums, in their order.
template <class Add>
void addRuns(int64_t floats, size_t count, double* sums, Add add) {
  const int64_t runs = (floats + kRun - 1) / kRun, shares = std::min(runs, kShares);
  std::vector<double> parts(shares * count);
#pragma omp parallel for schedule(dynamic, 1) if (shares > 1)
  for (int64_t s = 0; s < shares; ++s)
    for (int64_t r = runs * s / shares; r < runs * (s + 1) / shares; ++r)
      add(r * kRun, std::min(kRun, floats - r * kRun), parts.data() + s * count);
  for (int64_t s = 0; s < shares; ++s)
    for (size_t i = 0; i < count; ++i) sums[i] += parts[s * count + i];
}

typedef float Loose
    __attribute__((vector_size(sizeof(Lanes)), aligned(sizeof(float)), may_alias));  // rows of any length follow one another
typedef double Wide __attribute__((vector_size(kLanes * sizeof(double))));

double squaredNorm(const float* x, int64_t n) {
  Wide sums{};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    Loose part{};
    for (int64_t j = i; j < i + 4 * kLanes; j += kLanes) {
      const Loose& v = *reinterpret_cast<const Loose*>(x + j);
      part += v * v;
    }
    sums += __builtin_convertvector(part, Wide);
  }
  double total = 0;
  for (int l = 0; l < kLanes; ++l) total += sums[l];
  for (; i < n; ++i) total += double(x[i]) * x[i];
  return total;
}

}  // namespace

void addSquaredNorms(const float* rows, int count, int64_t floats, double* norms) {
  addRuns(floats, count, norms, [&](int64_t start, int64_t n, double* sums) {
    for (int row = 0; row < count; ++row) sums[row] += squaredNorm(rows + row * floats + start, n);
  });
}

void addProducts(const float* left, int leftRows, const float* right, int rightRows, int64_t floats, double* products) {
  const size_t count = size_t(leftRows) * rightRows;
  addRuns(floats, count, products, [&](int64_t start, int64_t n, double* sums) {
    std::vector<float> part(count);
    dnnl_sgemm('N', 'T', leftRows, rightRows, n, 1.f, left + start, floats, right + start, floats, 0.f, part.data(), rightRows);
    for (size_t i = 0; i < count; ++i) sums[i] += part[i];
  });
}

}  // namespace tracin::cpu
