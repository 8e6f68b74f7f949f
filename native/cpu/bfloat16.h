// Rounding to bfloat16, to nearest. In a nameless namespace for the sake of winograd.h's rule.
#pragma once
#include <immintrin.h>

namespace tracin::cpu {

namespace {

inline __m256i rounded(__m512 numbers) { return (__m256i)_mm512_cvtneps_pbh(numbers); }

// The sixteen of `low`, then those of `high`.
inline __m512i rounded(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

// The same in turns: low₀ high₀ low₁ high₁ …
inline __m512i paired(__m512 low, __m512 high) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3,
                                         18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, rounded(low, high));
}

}  // namespace

}  // namespace tracin::cpu
