// Kernel gradients of convolutions that read the image itself: few channels, one plain map each, kernels three columns wide, stride 1.
// Blocked kernels leave most of their vectors empty there; these keep three columns of four channels for two registers of outputs (one
// without AVX-512) in registers. Float32; results do not depend on the number of threads. As in winograd.h, nothing inline is shared with
// files compiled for other processors.
#pragma once
#include <cstdint>

#include "winograd.h"

namespace tracin::cpu::image_correlation {

constexpr int kColumns = 3;  // of a kernel

// What the outputs of a box read, plain maps [image][channel][line] with a border of zeros: line 0, column 0 is what tap (0, 0) of the
// box's first output reads, and a map has as many more lines and columns than the box as the kernel has beyond one.
struct Maps {
  const float* data;
  int64_t image, channel, line;  // floats from one to the next
  int channels;
};

// gradient(k) = Σ_o out(o) · in(o + k), images and gradients as in winograd::Sum: [out block][kernel line][3][channel][16 out].
struct Sum {
  int images, gradients;
  Maps in;
  winograd::Maps out;
  int lines;  // of the kernel
  float* gradient;
};

struct Kernels {
  // Floats of room that `correlate` needs.
  int64_t (*floats)(const Sum* sums, int count);
  void (*correlate)(const Sum* sums, int count, float* room);
};
extern const Kernels portable, avx512;  // winograd.h

}  // namespace tracin::cpu::image_correlation
