// Gradients of convolution kernels, one for each row: what cuDNN only sums over a batch.
#pragma once
#include "convolutions.h"
#include "operator.h"

namespace tracin::cuda {

// Maps of which each row uses one (images null: row r uses map r), seen through its window.
struct Source {
  const float* maps;
  const int* images;
  const Window* window;
  Extent extent;  // of the maps
};

// gradient[r] [out, in/groups, taps] = Σ over output positions of output[r] · what the window beneath reads of the input.
// output: [rows, out, positions]; where a window reads beyond its map there are zeros.
void kernelGradients(const Device&, Pool&, Precision, const Correlation&, const Source& input, const float* output, float* gradient);

}  // namespace tracin::cuda
