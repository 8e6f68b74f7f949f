// 3 × 3 convolutions of stride 1 with bfloat16 operands and float32 sums on AMX tiles (16 × 32 times 32 × 16): maps and gradients stay
// float32 in memory, operands are rounded on the way in. Sizes are arguments; results do not depend on the number of threads.
// As in winograd.h, nothing inline is shared with files compiled for other processors.
#pragma once
#include <cstdint>

#include "winograd.h"

namespace tracin::cpu::amx {

using winograd::Kernel;
using winograd::Maps;
using winograd::Pair;
using winograd::Scaling;
using winograd::Sum;

// A kernel as tiles: floats of room for it, and the rounding.
int64_t kernelFloats(int inBlocks, int outBlocks);
void pack(const Kernel&, int inBlocks, int outBlocks, float* tiles);

// As in winograd.h, without bias and activation; `tiles` from `pack`, `room` of so many floats.
int64_t convolveFloats(const Pair* pairs, int count);
void convolve(const Pair* pairs, int count, const float* tiles, int offsetY, int offsetX, float* room);

int64_t correlateFloats(const Sum* sums, int count);
void correlate(const Sum* sums, int count, int offsetY, int offsetX, const Scaling*, float* room);

}  // namespace tracin::cpu::amx
