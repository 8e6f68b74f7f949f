// Fast division of what one slice holds.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "../core/program.h"

namespace tracin::cuda {

// What one slice holds is counted in 31 bits.
inline int within(int64_t n) {
  if (n > INT32_MAX) throw EngineError("the cuda engine takes values of up to 2^31 numbers a slice, not " + std::to_string(n));
  return static_cast<int>(n);
}

// Division of numbers below 2^31 by one divisor: a product and a shift (Granlund & Montgomery 1994).
struct Divider {
  unsigned divisor = 1, magic = 1, shift = 0;
  Divider() = default;
  explicit Divider(int64_t d) : divisor(within(d)) {
    while ((int64_t(1) << shift) < d) ++shift;
    magic = static_cast<unsigned>((uint64_t((int64_t(1) << shift) - d) << 32) / d + 1);
  }
  __device__ unsigned quotient(unsigned n) const { return (__umulhi(n, magic) + n) >> shift; }
};

}  // namespace tracin::cuda
