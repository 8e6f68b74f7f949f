// 3 × 3 convolutions of stride 1 by Winograd's minimal filtering F(4 × 4, 3 × 3) (Lavin & Gray 2016, arXiv:1509.09308): a quarter of the
// multiplications. Float32 on AVX-512. Sizes are arguments, not compiled in, so any box runs at once; transforms, kernels and products of
// a task stay in the second-level cache. Results do not depend on the number of threads.
// The file behind it is compiled for AVX-512 (processor.h: hasAvx512), so it shares no inline function with others: the linker would keep
// one copy, perhaps this one.
#pragma once
#include <cstdint>

namespace tracin::cpu::winograd {

// A box of blocked maps [image][block][height][width][16]: its corner is at position (y, x), where `data` points; zero outside of it.
struct Maps {
  float* data;
  int64_t image, block, line;  // floats from one to the next
  int y, x, height, width;
  int blocks;
};

// 3 × 3 vectors of sixteen output channels: for input channel i of block a and output block b they start at
// data + a · inStride + b · outStride + 16 i, 256 floats apart; `turned`: in the reverse order.
struct Kernel {
  const float* data;
  int64_t inStride, outStride;
  bool turned;
};

// Floats of scratch memory that each thread needs.
int64_t scratchFloats();

// out(o) = leaky(Σ_k kernel(k) · in(o + k + offset) + bias): images × output blocks; bias of whole blocks or null.
void convolve(int images, const Maps& in, const Kernel&, const Maps& out, int offsetY, int offsetX, const float* bias, float slope,
              float* scratch);

// Parts that `correlate` sums up one after another; its room: that many · gradients · out.blocks · in.blocks · 9 · 256 floats.
int correlateParts(int images, int gradients, const Maps& in, const Maps& out);

// gradient(k) = Σ_o out(o) · in(o + k + offset), summed over images. With `gradients` > 1 there is one image of `in`, and each of the
// images of `out` has a gradient of its own. Each is [out block][in block][3 · 3][16 in][16 out].
void correlate(int images, int gradients, const Maps& in, const Maps& out, int offsetY, int offsetX, float* gradient, float* room,
               float* scratch);

}  // namespace tracin::cpu::winograd
