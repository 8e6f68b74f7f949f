#pragma once
#include "cuda_runtime.h"

struct __nv_bfloat16 {
  uint16_t bits;
  operator float() const {
    const uint32_t wide = uint32_t(bits) << 16;
    float v;
    std::memcpy(&v, &wide, 4);
    return v;
  }
};

// To nearest, ties to even.
inline __nv_bfloat16 __float2bfloat16(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  if (v != v) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

namespace emulated {

// To tf32's 10 bits of mantissa: nearest, ties away from zero, as cvt.rna does.
inline float tf32(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  bits = (bits + 0x1000) & ~uint32_t(0x1fff);
  std::memcpy(&v, &bits, 4);
  return v;
}

}  // namespace emulated
