// 3 × 3 convolutions of stride 1 by Winograd's minimal filtering F(4 × 4, 3 × 3) (Lavin & Gray 2016, arXiv:1509.09308): a quarter of the
// multiplications. Float32, or, where compiled for bfloat16, transformed numbers rounded to it and multiplied into float32 sums. Sizes are
// arguments, not compiled in, so any box runs at once; transforms, kernels and products of a task stay in the second-level cache. Results
// do not depend on the number of threads. The file behind it is compiled for several kinds of processors, so it shares no inline function
// with others: the linker would keep one copy, perhaps one that this processor cannot run.
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

// A map and what it becomes: boxes may differ from pair to pair, the kernel is one.
struct Pair {
  Maps in, out;
};

// gradient(k) = Σ_o out(o) · in(o + k + offset), summed over images. With `gradients` > 1 there is one image of `in`, and each of the
// images of `out` has a gradient of its own. Each is [out block][in block][3 · 3][16 in][16 out].
struct Sum {
  int images, gradients;
  Maps in, out;
  float* gradient;
};

// What becomes of a gradient G in the end: G times a factor for each output channel, and dots[gradient][out block][in block][16 out], each
// the sum of kernel · G over a block, `kernel` laid out as G is.
struct Scaling {
  const float *factors, *kernel;
  float* dots;  // the gradients of all sums, one after another
};

struct Kernels {
  // Of scratch memory that each thread needs.
  int64_t scratchFloats;
  // out(o) = leaky(Σ_k kernel(k) · in(o + k + offset) + bias), pair by pair; bias of whole blocks or null.
  void (*convolve)(const Pair* pairs, int count, const Kernel&, int offsetY, int offsetX, const float* bias, float slope, float* scratch);
  // Floats of room that `correlate` needs for what it adds up at the end.
  int64_t (*correlateFloats)(const Sum* sums, int count);
  void (*correlate)(const Sum* sums, int count, int offsetY, int offsetX, const Scaling*, float* room, float* scratch);
};
// As compiled for what everything here is compiled for, for AVX-512 and for its bfloat16 (processor.h: hasAvx512, hasBf16).
extern const Kernels portable, avx512, avx512bf16;

}  // namespace tracin::cpu::winograd
