// Winograd's transforms of F(4 × 4, 3 × 3) on vectors of sixteen channels. In a nameless namespace for the sake of winograd.h's rule.
#pragma once
#include "winograd_vector.h"

namespace tracin::cpu::winograd {

namespace {

constexpr int kTile = 4, kWide = kTile + 2;

// Interpolation points 0, ±a, ±b, ∞. These keep the transforms' numbers close together (oneDNN's choice, too).
constexpr float a = 0.625f, b = 1.5f, p = a * a, q = b * b;
constexpr float kA = 1.f / (2 * p * (p - q)), kB = 1.f / (2 * q * (q - p)), k0 = 1.f / (p * q);

// One axis of each transform: in and out are `Vector`s a step apart.
struct Input {  // Bᵀ
  static constexpr int from = kWide, to = kWide;
  template <class In, class Out>
  [[gnu::always_inline]] static inline void apply(In d, Out v) {
    const Vector ea = d(4) - q * d(2), oa = d(3) - q * d(1), eb = d(4) - p * d(2), ob = d(3) - p * d(1);
    v(0, (d(4) - (p + q) * d(2)) + (p * q) * d(0));
    v(1, ea + a * oa);
    v(2, ea - a * oa);
    v(3, eb + b * ob);
    v(4, eb - b * ob);
    v(5, (d(5) - (p + q) * d(3)) + (p * q) * d(1));
  }
};
struct Output {  // Aᵀ
  static constexpr int from = kWide, to = kTile;
  template <class In, class Out>
  [[gnu::always_inline]] static inline void apply(In m, Out y) {
    const Vector sa = m(1) + m(2), da = m(1) - m(2), sb = m(3) + m(4), db = m(3) - m(4);
    y(0, m(0) + sa + sb);
    y(1, a * da + b * db);
    y(2, p * sa + q * sb);
    y(3, (p * a) * da + (q * b) * db + m(5));
  }
};
struct Spread {  // A
  static constexpr int from = kTile, to = kWide;
  template <class In, class Out>
  [[gnu::always_inline]] static inline void apply(In y, Out m) {
    const Vector ea = y(0) + p * y(2), oa = a * y(1) + (p * a) * y(3), eb = y(0) + q * y(2), ob = b * y(1) + (q * b) * y(3);
    m(0, y(0));
    m(1, ea + oa);
    m(2, ea - oa);
    m(3, eb + ob);
    m(4, eb - ob);
    m(5, y(3));
  }
};
struct Taps {  // G
  static constexpr int from = 3, to = kWide;
  template <class In, class Out>
  [[gnu::always_inline]] static inline void apply(In w, Out u) {
    const Vector ea = kA * w(0) + (kA * p) * w(2), oa = (kA * a) * w(1), eb = kB * w(0) + (kB * q) * w(2), ob = (kB * b) * w(1);
    u(0, k0 * w(0));
    u(1, ea + oa);
    u(2, ea - oa);
    u(3, eb + ob);
    u(4, eb - ob);
    u(5, w(2) + Vector{});
  }
};
struct Gather {  // Gᵀ
  static constexpr int from = kWide, to = 3;
  template <class In, class Out>
  [[gnu::always_inline]] static inline void apply(In u, Out w) {
    const Vector sa = u(1) + u(2), da = u(1) - u(2), sb = u(3) + u(4), db = u(3) - u(4);
    w(0, k0 * u(0) + kA * sa + kB * sb);
    w(1, (kA * a) * da + (kB * b) * db);
    w(2, (kA * p) * sa + (kB * q) * sb + u(5));
  }
};

// Both axes: value (i, j) is read by `in` and result (i, j) handed to `out`. Lines [first, first + Lines) of the results at a time, so that
// what lies between the axes stays in registers; the compiler leaves out what only other lines need.
template <class T, int first, int Lines, class In, class Out>
[[gnu::always_inline]] inline void transformLines(In in, Out out) {
  Vector half[Lines][T::from];
#pragma GCC unroll 6
  for (int j = 0; j < T::from; ++j)
    T::apply(
        [&](int i) __attribute__((always_inline)) { return in(i, j); },
        [&](int i, const Vector& v) __attribute__((always_inline)) {
          if (i >= first && i < first + Lines) half[i - first][j] = v;
        });
#pragma GCC unroll 6
  for (int i = 0; i < Lines; ++i)
    T::apply(
        [&](int j) __attribute__((always_inline)) { return half[i][j]; }, [&](int j, const Vector& v)
                                                                              __attribute__((always_inline)) { out(first + i, j, v); });
}

template <class T, class In, class Out>
[[gnu::always_inline]] inline void transform(In in, Out out) {
  constexpr int kRegisters = 32;
  if constexpr (T::to * T::from < kRegisters) {
    transformLines<T, 0, T::to>(in, out);
  } else {
    transformLines<T, 0, T::to / 2>(in, out);
    transformLines<T, T::to / 2, T::to - T::to / 2>(in, out);
  }
}

// Operands of products from kTerms transforms: transformed(term, out) hands the numbers (r, c) of one to `out`.
template <class Transformed, class Out>
[[gnu::always_inline]] inline void together(Transformed transformed, Out out) {
#if defined(__AVX512BF16__)
  Vector first[kWide][kWide];
  transformed(
      0, [&](int r, int c, const Vector& v) __attribute__((always_inline)) { first[r][c] = v; });
  transformed(
      1, [&](int r, int c, const Vector& v) __attribute__((always_inline)) { out(r, c, paired(first[r][c], v)); });
#else
  transformed(0, out);
#endif
}

}  // namespace

}  // namespace tracin::cpu::winograd
