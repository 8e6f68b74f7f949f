// A register of floats, as the compiler's vectors. In a nameless namespace for the sake of winograd.h's rule.
#pragma once
#include <cstdint>
#if defined(__AVX512BF16__)
#include "bfloat16.h"
#elif defined(__AVX__)
#include <immintrin.h>
#endif

namespace tracin::cpu::winograd {

namespace {

// Channels of a block, floats of a register, registers of a block.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kWidth = 16;
#else
constexpr int kLanes = 16, kWidth = 8;
#endif
constexpr int kParts = kLanes / kWidth;

typedef float Vector __attribute__((vector_size(4 * kWidth), aligned(4 * kWidth), may_alias));

inline Vector load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
// All or none.
using Mask = uint16_t;
constexpr Mask kAll = 0xffff;
inline Vector loadIf(Mask mask, const float* p) {
#if defined(__AVX512F__)
  return Vector(_mm512_maskz_load_ps(mask, p));
#else
  return mask ? load(p) : Vector{};
#endif
}
// Whether any is not zero.
inline bool any(const Vector& v) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask(__m512i(v), _mm512_set1_epi32(0x7fffffff)) != 0;
#elif defined(__AVX__)
  return _mm256_movemask_ps(_mm256_cmp_ps(__m256(v), __m256{}, _CMP_NEQ_UQ)) != 0;
#else
  for (int i = 0; i < kWidth; ++i)
    if (v[i] != 0.f) return true;
  return false;
#endif
}
inline void store(float* p, const Vector& v) { *reinterpret_cast<Vector*>(p) = v; }

// What products are of: floats, or in the place of each two bfloat16 numbers, whose products with another two are added up together.
#if defined(__AVX512BF16__)
constexpr int kTerms = 2;
inline Vector paired(const Vector& low, const Vector& high) { return Vector(cpu::paired(__m512(low), __m512(high))); }
// Those of one vector, one after the other.
inline void storeTerms(float* p, const Vector& v) { _mm256_store_si256(reinterpret_cast<__m256i*>(p), rounded(__m512(v))); }
inline Vector filled(float operand) { return Vector(_mm512_set1_ps(operand)); }
inline Vector multiplyAdd(const Vector& sum, const Vector& a, const Vector& b) {
  return Vector(_mm512_dpbf16_ps(__m512(sum), __m512bh(a), __m512bh(b)));
}
#else
constexpr int kTerms = 1;
inline void storeTerms(float* p, const Vector& v) { store(p, v); }
inline Vector filled(float operand) { return operand - Vector{}; }
inline Vector multiplyAdd(const Vector& sum, const Vector& a, const Vector& b) { return sum + a * b; }
#endif

inline int least(int a, int b) { return a < b ? a : b; }
inline int most(int a, int b) { return a > b ? a : b; }
inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }

}  // namespace

}  // namespace tracin::cpu::winograd
