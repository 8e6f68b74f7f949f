// Sums over long rows, float32 in runs and double between them.
#pragma once
#include "device.h"

namespace tracin::cuda {

// norms[r] += ‖rows[r]‖²
void addSquaredNorms(Device&, const float* rows, int count, int64_t floats, double* norms);

// products[l][first + r] += left[l] · right[r]; products is [leftRows, stride].
void addProducts(Device&, const float* left, int leftRows, const float* right, int rightRows, int64_t floats, double* products,
                 int64_t first, int64_t stride);

}  // namespace tracin::cuda
