// Sums over long rows, float32 in runs and double between them.
#pragma once
#include "device.h"

namespace tracin::cuda {

// norms[r] += ‖rows[r]‖²
void addSquaredNorms(Device&, const float* rows, int count, int64_t floats, double* norms);

// What the operands are kept as: bfloat16 where they are rounded to it, else float32.
inline cudaDataType_t operandType(Precision p) { return p == Precision::bf16 ? CUDA_R_16BF : CUDA_R_32F; }
inline int64_t sizeOf(cudaDataType_t type) { return type == CUDA_R_16BF ? 2 : 4; }
// to = from, rounded to the type
void rounded(const Device&, const float* from, int64_t n, void* to, cudaDataType_t);

// products[l][first + r] += left[l] · right[r], where products is [leftRows, stride] and the right is rounded to the type of the left;
// norms[r] += ‖right[r]‖², as addSquaredNorms, for both can come of one reading.
void addProducts(Device&, const void* left, cudaDataType_t, int leftRows, const float* right, int rightRows, int64_t floats,
                 double* products, int64_t first, int64_t stride, double* norms);

}  // namespace tracin::cuda
