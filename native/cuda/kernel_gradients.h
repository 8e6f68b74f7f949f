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
// most: numbers that windows written out for a product may take at a time, 1 GiB of them; fewer in tests.
void kernelGradients(const Device&, Pool&, Precision, const Correlation&, const Source& input, const float* output, float* gradient,
                     int64_t most = int64_t(1) << 28);

}  // namespace tracin::cuda
