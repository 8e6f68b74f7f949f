// Stands in for native/cuda/tensor_cores.cuh: the same product, with the fragments of PTX ISA's mma.m16n8k8 for tf32.
#pragma once
#include "cuda_bf16.h"

namespace tracin::cuda::tensor {

inline uint32_t rounded(float v) {
  v = emulated::tf32(v);
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits;
}

inline void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], int line = __builtin_LINE()) {
  struct Fragments {
    uint32_t a[4], b[2];
  } own{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const auto all = emulated::exchange(&own, sizeof(own), 0xffffffffu, line);
  float left[16][8], right[8][8];
  for (int l = 0; l < 32; ++l) {
    std::memcpy(&own, all[l], sizeof(own));
    for (int i = 0; i < 4; ++i) std::memcpy(&left[l / 4 + i % 2 * 8][l % 4 + i / 2 * 4], &own.a[i], sizeof(float));
    for (int i = 0; i < 2; ++i) std::memcpy(&right[l % 4 + i * 4][l / 4], &own.b[i], sizeof(float));
  }
  const int group = static_cast<int>(emulated::lane()) / 4, turn = static_cast<int>(emulated::lane()) % 4;
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 8; ++k) d[i] += left[group + i / 2 * 8][k] * right[k][2 * turn + i % 2];
}

}  // namespace tracin::cuda::tensor
