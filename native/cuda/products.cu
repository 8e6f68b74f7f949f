#include "products.h"

#include <cuda_bf16.h>

#include "kernels.cuh"

namespace tracin::cuda {

namespace {

// Long enough for the product to run at speed, short enough that float32 sums keep six digits.
constexpr int64_t kRun = 1 << 14;
constexpr int64_t kPartBytes = int64_t(256) << 20;  // products of runs at once

// One block a (run, row).
__global__ void normKernel(const float* rows, int64_t floats, double* parts) {
  __shared__ double shared[32];
  const float* x = rows + blockIdx.y * floats;
  const int64_t from = blockIdx.x * kRun, to = min(floats, from + kRun);
  double sum = 0;
  for (int64_t i = from + threadIdx.x; i < to; i += blockDim.x) sum += double(x[i]) * x[i];
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) parts[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

__global__ void addNormsKernel(const double* parts, int runs, double* norms) {
  __shared__ double shared[32];
  double sum = 0;
  for (int i = threadIdx.x; i < runs; i += blockDim.x) sum += parts[int64_t(blockIdx.x) * runs + i];
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) norms[blockIdx.x] += sum;
}

__global__ void roundKernel(const float* from, int64_t n, __nv_bfloat16* to) { TRACIN_EACH(i, n) to[i] = __float2bfloat16(from[i]); }

// parts [runs][left][right]
__global__ void addPartsKernel(const float* parts, int runs, int rightRows, int64_t n, double* products, int64_t first, int64_t stride) {
  TRACIN_EACH(i, n) {
    double sum = 0;
    for (int run = 0; run < runs; ++run) sum += parts[run * n + i];
    products[i / rightRows * stride + first + i % rightRows] += sum;
  }
}

}  // namespace

void addSquaredNorms(Device& device, const float* rows, int count, int64_t floats, double* norms) {
  const int runs = static_cast<int>((floats + kRun - 1) / kRun);
  Pool::Piece parts = device.pool.take(int64_t(runs) * count * sizeof(double));
  normKernel<<<dim3(runs, count), kThreads, 0, device.stream>>>(rows, floats, parts.as<double>());
  launched();
  addNormsKernel<<<count, kThreads, 0, device.stream>>>(parts.as<double>(), runs, norms);
  launched();
}

void rounded(const Device& device, const float* from, int64_t n, void* to, cudaDataType_t type) {
  if (type == CUDA_R_32F) {
    check(cudaMemcpyAsync(to, from, n * sizeof(float), cudaMemcpyDeviceToDevice, device.stream), "copy of gradients");
    return;
  }
  roundKernel<<<blocksFor(n), kThreads, 0, device.stream>>>(from, n, static_cast<__nv_bfloat16*>(to));
  launched();
}

void addProducts(Device& device, const void* left, cudaDataType_t type, int leftRows, const float* right, int rightRows, int64_t floats,
                 double* products, int64_t first, int64_t stride) {
  Pool::Piece room;
  if (type != CUDA_R_32F) {
    room = device.pool.take(rightRows * floats * sizeOf(type));
    rounded(device, right, rightRows * floats, room.as<void>(), type);
  }
  const void* operand = room ? room.as<void>() : right;
  const auto from = [&](const void* rows, int64_t start) { return static_cast<const char*>(rows) + start * sizeOf(type); };
  const int64_t n = int64_t(leftRows) * rightRows;
  const int together = static_cast<int>(std::clamp<int64_t>(kPartBytes / (n * 4), 1, 65535));
  const float one = 1.f, zero = 0.f;
  Pool::Piece parts = device.pool.takeFloats(std::min<int64_t>(together, (floats + kRun - 1) / kRun) * n);
  for (int64_t start = 0; start < floats;) {
    // whole runs together, the rest on its own
    const int64_t whole = (floats - start) / kRun;
    const int runs = whole ? static_cast<int>(std::min<int64_t>(whole, together)) : 1;
    const int64_t length = whole ? kRun : floats - start;
    check(cublasGemmStridedBatchedEx(device.blas, CUBLAS_OP_T, CUBLAS_OP_N, rightRows, leftRows, static_cast<int>(length), &one,
                                     from(operand, start), type, static_cast<int>(floats), length, from(left, start), type,
                                     static_cast<int>(floats), length, &zero, parts.floats(), CUDA_R_32F, rightRows, n, runs,
                                     CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
          "product of gradients");
    addPartsKernel<<<blocksFor(n), kThreads, 0, device.stream>>>(parts.floats(), runs, rightRows, n, products, first, stride);
    launched();
    start += runs * length;
  }
}

}  // namespace tracin::cuda
