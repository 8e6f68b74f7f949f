#include "products.h"

#include <cuda_bf16.h>

#include "kernels.cuh"

namespace tracin::cuda {

namespace {

// Runs are summed in float32, what they come to in double. They are as long in every call, so that a row is summed alike in all.

// Of products by cuBLAS: long enough for speed, short enough to keep six digits.
constexpr int64_t kRun = 1 << 14;
constexpr int64_t kPartBytes = int64_t(256) << 20;  // products of runs at once

// Of those below, where a lane sums 1/32 of a run: short enough that rows of a hundred thousand numbers fill a chip.
constexpr int kShortRun = 1 << 10;

constexpr int kFewRows = 16;  // of the left: as many sums as registers hold
constexpr int kWarpRows = 4;  // of the right
constexpr int kAhead = 4;     // numbers of each of them that a lane asks for before it needs the first
constexpr int kWarps = kThreads / 32;

// Where sums go: products [leftRows][stride] from column `first` on, norms after them as one row more; by way of `parts`
// [leftRows + 1][rightRows][runs] where there are several runs.
struct Sums {
  double *products, *norms, *parts;
  int64_t stride, first;
  int leftRows, rightRows, runs;

  int count() const { return (leftRows + 1) * rightRows; }
  __device__ void add(int l, int r, double sum) const { (l < leftRows ? products[l * stride + first + r] : norms[r]) += sum; }
  __device__ void put(int l, int r, double sum) const {
    if (runs == 1)
      add(l, r, sum);
    else
      parts[int64_t(l * rightRows + r) * runs + blockIdx.x] = sum;
  }
};

// v as precise as numbers of T are
template <class T>
__device__ float roundedLike(float v);
template <>
__device__ float roundedLike<float>(float v) {
  return v;
}
template <>
__device__ float roundedLike<__nv_bfloat16>(float v) {
  return float(__float2bfloat16(v));
}

// Products of rows on the right with up to kLeft on the left and with themselves: a block takes a run, a warp some rows of the right, and
// each of their numbers is read once.
template <int kLeft, class T>
__global__ void __launch_bounds__(kThreads, kLeft > kFewRows / 2 ? 2 : 3)
    fewRowsKernel(const T* __restrict__ left, const float* __restrict__ right, int64_t floats, Sums to) {
  const int lane = threadIdx.x % 32, own = (blockIdx.y * kWarps + threadIdx.x / 32) * kWarpRows;
  if (own >= to.rightRows) return;
  const int64_t start = blockIdx.x * int64_t(kShortRun);
  const int n = static_cast<int>(min(int64_t(kShortRun), floats - start));
  const float* rows[kWarpRows];
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) rows[r] = right + min(own + r, to.rightRows - 1) * floats + start;
  if (kLeft > 0) left += start;
  float sums[kLeft + 1][kWarpRows] = {};
  for (int i = lane; i < n; i += 32 * kAhead) {
    float y[kAhead][kWarpRows];
#pragma unroll
    for (int a = 0; a < kAhead; ++a)
#pragma unroll
      for (int r = 0; r < kWarpRows; ++r) y[a][r] = i + 32 * a < n ? rows[r][i + 32 * a] : 0.f;
#pragma unroll
    for (int a = 0; a < kAhead; ++a)
#pragma unroll
      for (int r = 0; r < kWarpRows; ++r) sums[kLeft][r] += y[a][r] * y[a][r], y[a][r] = roundedLike<T>(y[a][r]);
#pragma unroll
    for (int l = 0; l < kLeft; ++l)
#pragma unroll
      for (int a = 0; a < kAhead; ++a) {
        const float x = l < to.leftRows && i + 32 * a < n ? float(left[l * floats + i + 32 * a]) : 0.f;
#pragma unroll
        for (int r = 0; r < kWarpRows; ++r) sums[l][r] += x * y[a][r];
      }
  }
#pragma unroll
  for (int l = 0; l <= kLeft; ++l) {
    if (l < kLeft && l >= to.leftRows) continue;
#pragma unroll
    for (int r = 0; r < kWarpRows; ++r) {
      double sum = sums[l][r];
      for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
      if (lane == 0 && own + r < to.rightRows) to.put(l < kLeft ? l : to.leftRows, own + r, sum);
    }
  }
}

// One sum a block.
__global__ void addRunsKernel(Sums to) {
  __shared__ double shared[32];
  const double* parts = to.parts + int64_t(blockIdx.x) * to.runs;
  double sum = 0;
  for (int run = threadIdx.x; run < to.runs; run += blockDim.x) sum += parts[run];
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) to.add(blockIdx.x / to.rightRows, blockIdx.x % to.rightRows, sum);
}

template <int kLeft, class T>
void addFewRows(Device& device, const void* left, const float* right, int64_t floats, Sums to) {
  to.runs = static_cast<int>((floats + kShortRun - 1) / kShortRun);
  Pool::Piece parts;
  if (to.runs > 1) parts = device.pool.take(int64_t(to.count()) * to.runs * sizeof(double)), to.parts = parts.as<double>();
  const int rows = kWarps * kWarpRows;
  const dim3 grid(to.runs, (to.rightRows + rows - 1) / rows);
  fewRowsKernel<kLeft, T><<<grid, kThreads, 0, device.stream>>>(static_cast<const T*>(left), right, floats, to);
  launched();
  if (to.runs == 1) return;
  addRunsKernel<<<to.count(), kThreads, 0, device.stream>>>(to);
  launched();
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
  addFewRows<0, float>(device, nullptr, rows, floats, {nullptr, norms, nullptr, 0, 0, 0, count, 0});
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
                 double* products, int64_t first, int64_t stride, double* norms) {
  if (leftRows <= kFewRows) {
    const Sums to{products, norms, nullptr, stride, first, leftRows, rightRows, 0};
    const bool half = leftRows <= kFewRows / 2;
    const auto add = type == CUDA_R_32F ? half ? addFewRows<kFewRows / 2, float> : addFewRows<kFewRows, float>
                     : half ? addFewRows<kFewRows / 2, __nv_bfloat16>
                                        : addFewRows<kFewRows, __nv_bfloat16>;
    return add(device, left, right, floats, to);
  }
  addSquaredNorms(device, right, rightRows, floats, norms);
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
