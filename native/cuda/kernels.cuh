// Small pieces that kernels share.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "divider.cuh"
#include "operator.h"

namespace tracin::cuda {

constexpr int kThreads = 256;

// Blocks for one thread a number, as a grid-stride loop wants them.
inline unsigned blocksFor(int64_t n) { return static_cast<unsigned>(std::min<int64_t>((n + kThreads - 1) / kThreads, 1 << 16)); }

// Along the grid's y, of the plane that is the block's x.
#define TRACIN_EACH_OF_PLANE(i, n) \
  for (unsigned i = blockIdx.y * blockDim.x + threadIdx.x; i < static_cast<unsigned>(n); i += gridDim.y * blockDim.x)
#define TRACIN_EACH(i, n) for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < (n); i += int64_t(gridDim.x) * blockDim.x)

// Neighbouring numbers read or written at once, where their address is a multiple of their bytes.
template <int n>
struct alignas(n * sizeof(float)) Pack {
  float at[n];
};
template <int n>
__host__ __device__ inline bool aligned(const float* at) {
  return reinterpret_cast<uintptr_t>(at) % sizeof(Pack<n>) == 0;
}

inline void launched() { check(cudaGetLastError(), "kernel"); }

// use(i, read(i)) for i = first, first + step, … < n: several are asked for before the first is used, so that memory has them under way
// together. What `use` writes is read by nobody but its own i.
template <int kAhead = 4, class Read, class Use>
__device__ void eachRead(unsigned first, unsigned n, unsigned step, Read read, Use use) {
  for (unsigned i = first; i < n; i += kAhead * step) {
    decltype(read(i)) ahead[kAhead];
#pragma unroll
    for (int a = 0; a < kAhead; ++a)
      if (i + a * step < n) ahead[a] = read(i + a * step);
#pragma unroll
    for (int a = 0; a < kAhead; ++a)
      if (i + a * step < n) use(i + a * step, ahead[a]);
  }
}
// The same along the grid's y, of the plane that is the block's x.
template <class Read, class Use>
__device__ void eachReadOfPlane(unsigned n, Read read, Use use) {
  eachRead(blockIdx.y * blockDim.x + threadIdx.x, n, gridDim.y * blockDim.x, read, use);
}

// Threads of a block that sums n numbers by eachRead.
inline unsigned threadsFor(int64_t n) { return static_cast<unsigned>(std::clamp<int64_t>((n / 4 + 31) / 32 * 32, 64, kThreads)); }

// The size of a map as kernels see it.
struct MapSize {
  int size[3];
  explicit MapSize(const Extent& e) : size{e[0], e[1], e[2]} {}
  __device__ int64_t volume() const { return int64_t(size[0]) * size[1] * size[2]; }
};

// A window as kernels see it.
struct WindowView {
  int size[3];
  Divider width, height;
  const int* corners;  // [rows][3]; null: whole
  WindowView(const Window& w) : size{w.size[0], w.size[1], w.size[2]}, width(w.size[2]), height(w.size[1]), corners(w.onDevice) {}
  __device__ int corner(int row, int axis) const { return corners ? corners[row * 3 + axis] : 0; }
  __device__ int volume() const { return size[0] * size[1] * size[2]; }
  // The place within the window of its i-th number.
  __device__ void locate(unsigned i, int (&at)[3]) const {
    const unsigned line = width.quotient(i), plane = height.quotient(line);
    at[0] = plane, at[1] = line - plane * size[1], at[2] = i - line * size[2];
  }
};

// Sum over the block's threads, for all of them; `shared` holds 32 numbers.
template <class T>
__device__ T blockSum(T value, T* shared) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  __syncthreads();  // what an earlier sum left may still be read
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  T total = 0;
  for (int w = 0; w < static_cast<int>(blockDim.x + 31) / 32; ++w) total += shared[w];
  return total;
}

// The chain rule where a slope may be infinite (√ at 0): what no gradient reaches sends none on.
__device__ inline float through(float dy, float slope) { return dy == 0.f ? 0.f : dy * slope; }

}  // namespace tracin::cuda
