#include "products.h"

#include <cuda_bf16.h>
#include <cuda_pipeline.h>

#include "kernels.cuh"

namespace tracin::cuda {

namespace {

// Runs are summed in float32, what they come to in double. How long they are depends on the rows' length alone, so that a row is summed
// alike in every call.

// Of products by cuBLAS: long enough for speed, short enough to keep six digits.
constexpr int64_t kRun = 1 << 14;
constexpr int64_t kPartBytes = int64_t(256) << 20;  // products of runs at once

constexpr int kFewRows = 16;  // of the left: as many sums as registers hold
constexpr int kWarpRows = 4;  // of the right
constexpr int kPack = 4;      // neighbouring numbers of each of them that a lane takes at once
constexpr int kStep = 32 * kPack;
constexpr int kTile = 2 * kStep;  // numbers of the left in shared memory at a time
constexpr int kWarps = kThreads / 32;

// Of the kernel below: long enough that adding up lanes is little beside reading, short enough that a row's runs fill a chip.
int runOf(int64_t floats) {
  const int64_t tiles = (floats / 1024 + kTile - 1) / kTile;
  return kTile * static_cast<int>(std::clamp<int64_t>(tiles, 1, 2048 / kTile));
}

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

template <class T>
struct alignas(kPack * sizeof(T)) Neighbours {
  T at[kPack];
};
template <class T>
bool packed(const T* rows, int64_t floats) {
  return floats % kPack == 0 && reinterpret_cast<uintptr_t>(rows) % sizeof(Neighbours<T>) == 0;
}

// Sum over the warp of number lane / 8 of every lane's four: a half passes on what the other half adds up.
__device__ double warpSum(const float (&sums)[kWarpRows]) {
  static_assert(kWarpRows == 4);
  constexpr unsigned all = 0xffffffffu;
  const bool high = threadIdx.x & 16, odd = threadIdx.x & 8;
  const float toEven = __shfl_xor_sync(all, high ? sums[0] : sums[2], 16), toOdd = __shfl_xor_sync(all, high ? sums[1] : sums[3], 16);
  const double evens = double(high ? sums[2] : sums[0]) + toEven, odds = double(high ? sums[3] : sums[1]) + toOdd;
  double sum = (odd ? odds : evens) + __shfl_xor_sync(all, odd ? evens : odds, 8);
  for (int step = 4; step > 0; step /= 2) sum += __shfl_xor_sync(all, sum, step);
  return sum;
}

// Products of rows on the right with up to kLeft on the left and with themselves: a block takes a run, a warp some rows of the right, and
// each of their numbers is read once. Those of the left come through shared memory, for all warps at once; all are asked for a step
// before they are needed. together: neighbours may be read at once, which changes no sum.
template <int kLeft, class T>
__global__ void __launch_bounds__(kThreads, kLeft > 0 ? 2 : 4)
    fewRowsKernel(const T* __restrict__ left, const float* __restrict__ right, int64_t floats, int run, bool together, Sums to) {
  __shared__ Neighbours<T> tiles[2][kLeft > 0 ? kLeft : 1][kTile / kPack];
  const int lane = threadIdx.x % 32, own = (blockIdx.y * (blockDim.x / 32) + threadIdx.x / 32) * kWarpRows;
  const int64_t start = blockIdx.x * int64_t(run);
  const int n = static_cast<int>(min(int64_t(run), floats - start)), there = to.rightRows - own;
  right += own * floats + start;
  if (kLeft > 0) left += start;

  const auto bring = [&](int first) {
    for (int i = threadIdx.x; i < to.leftRows * (kTile / kPack); i += blockDim.x) {
      const int l = i / (kTile / kPack), pack = i % (kTile / kPack), at = first + pack * kPack;
      if (at >= n) continue;
      Neighbours<T>& tile = tiles[first / kTile % 2][l][pack];
      const T* from = left + l * floats + at;
      if (together)
        __pipeline_memcpy_async(&tile, from, sizeof(tile));
      else
        for (int k = 0; k < kPack; ++k) tile.at[k] = at + k < n ? from[k] : T{};
    }
    __pipeline_commit();
  };
  Pack<kPack> ahead[kWarpRows];
  const auto ask = [&](int i) {
#pragma unroll
    for (int r = 0; r < kWarpRows; ++r) {
      const float* from = right + r * floats + i;
      if (together) {
        ahead[r] = i < n && r < there ? *reinterpret_cast<const Pack<kPack>*>(from) : Pack<kPack>{};
      } else {
#pragma unroll
        for (int k = 0; k < kPack; ++k) ahead[r].at[k] = i + k < n && r < there ? from[k] : 0.f;
      }
    }
  };

  float sums[kLeft + 1][kWarpRows] = {};
  if (kLeft > 0) bring(0);
  ask(lane * kPack);
  for (int first = 0; first < n; first += kTile) {
    if (kLeft > 0) {
      __pipeline_wait_prior(0);
      __syncthreads();  // the tile is there, and nobody reads the one before any longer
      if (first + kTile < n) bring(first + kTile);
    }
#pragma unroll
    for (int step = 0; step < kTile; step += kStep) {
      const int i = first + step + lane * kPack;
      Pack<kPack> y[kWarpRows];
#pragma unroll
      for (int r = 0; r < kWarpRows; ++r) y[r] = ahead[r];
      ask(i + kStep);
      if (i >= n || there <= 0) continue;
#pragma unroll
      for (int r = 0; r < kWarpRows; ++r)
#pragma unroll
        for (int k = 0; k < kPack; ++k) sums[kLeft][r] += y[r].at[k] * y[r].at[k], y[r].at[k] = roundedLike<T>(y[r].at[k]);
#pragma unroll
      for (int l = 0; l < kLeft; ++l) {
        if (l >= to.leftRows) break;
        const Neighbours<T> x = tiles[first / kTile % 2][l][step / kPack + lane];
#pragma unroll
        for (int r = 0; r < kWarpRows; ++r)
#pragma unroll
          for (int k = 0; k < kPack; ++k) sums[l][r] += float(x.at[k]) * y[r].at[k];
      }
    }
  }
  if (there <= 0) return;
  const int r = lane / (32 / kWarpRows);
  const bool tells = lane % (32 / kWarpRows) == 0 && r < there;
#pragma unroll
  for (int l = 0; l <= kLeft; ++l) {
    if (l < kLeft && l >= to.leftRows) continue;
    const double sum = warpSum(sums[l]);
    if (tells) to.put(l < kLeft ? l : to.leftRows, own + r, sum);
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
  const int run = runOf(floats);
  to.runs = static_cast<int>((floats + run - 1) / run);
  Pool::Piece parts;
  if (to.runs > 1) parts = device.pool.take(int64_t(to.count()) * to.runs * sizeof(double)), to.parts = parts.as<double>();
  const int warps = std::min(kWarps, (to.rightRows + kWarpRows - 1) / kWarpRows), rows = warps * kWarpRows;
  const dim3 grid(to.runs, (to.rightRows + rows - 1) / rows);
  const T* others = static_cast<const T*>(left);
  const bool together = packed(right, floats) && packed(others, floats);
  fewRowsKernel<kLeft, T><<<grid, 32 * warps, 0, device.stream>>>(others, right, floats, run, together, to);
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
  const int together = static_cast<int>(std::clamp<int64_t>(kPartBytes / (n * 4), 1, kMostProducts));
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
