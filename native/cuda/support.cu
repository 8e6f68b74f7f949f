// What operators share on the device: sums over rows, windows cut and moved, layouts changed.
#include <cuda_bf16.h>

#include "kernels.cuh"
#include "layout.h"

namespace tracin::cuda {

namespace {

__global__ void sumRowsKernel(const float* rows, int count, int64_t n, float* to) {
  TRACIN_EACH(i, n) {
    double sum = 0;
    for (int r = 0; r < count; ++r) sum += rows[r * n + i];
    to[i] = static_cast<float>(sum);
  }
}

__global__ void accumulateKernel(float* to, const float* from, int64_t n) { TRACIN_EACH(i, n) to[i] += from[i]; }

struct Map {
  int size[3];
  explicit Map(const Extent& e) : size{e[0], e[1], e[2]} {}
};

// One (row, channel) a block of the grid's x, positions along its y.
__global__ void rewindowKernel(const float* from, WindowView source, const int* images, float* to, WindowView target, int channels,
                               Map map) {
  const int row = blockIdx.x / channels, channel = blockIdx.x % channels;
  const int64_t held = images ? images[row] : row;
  const float* plane = from + (held * channels + channel) * source.volume();
  const int n = target.volume();
  float* line = to + (int64_t(row) * channels + channel) * n;
  TRACIN_EACH_OF_PLANE(i, n) {
    int at[3];
    target.locate(i, at);
    bool inside = true;
    int index = 0;
    for (int a = 0; a < 3; ++a) {
      const int p = at[a] + target.corner(row, a), local = p - source.corner(row, a);
      inside &= p >= 0 && p < map.size[a] && local >= 0 && local < source.size[a];
      index = index * source.size[a] + local;
    }
    line[i] = inside ? plane[index] : 0.f;
  }
}

template <class T>
__device__ T converted(float v) {
  return v;
}
template <>
__device__ __nv_bfloat16 converted<__nv_bfloat16>(float v) {
  return __float2bfloat16(v);
}

// [rows][a][b] → [rows][b][a] through a tile, so that both sides are read and written in runs.
template <class From, class To>
__global__ void transposeKernel(const From* from, To* to, int a, int b) {
  __shared__ float tile[32][33];
  const int64_t row = int64_t(blockIdx.z) * a * b;
  const int left = blockIdx.x * 32, top = blockIdx.y * 32;
  for (int j = threadIdx.y; j < 32; j += 8)
    if (top + j < a && left + static_cast<int>(threadIdx.x) < b)
      tile[j][threadIdx.x] = float(from[row + int64_t(top + j) * b + left + threadIdx.x]);
  __syncthreads();
  for (int j = threadIdx.y; j < 32; j += 8)
    if (left + j < b && top + static_cast<int>(threadIdx.x) < a)
      to[row + int64_t(left + j) * a + top + threadIdx.x] = converted<To>(tile[threadIdx.x][j]);
}

template <class From, class To>
void transpose(const Device& device, const From* from, To* to, int rows, int64_t a, int64_t b) {
  for (int first = 0; first < rows; first += 65535) {  // the grid's z ends there
    const int part = std::min(65535, rows - first);
    const dim3 grid(static_cast<unsigned>((b + 31) / 32), static_cast<unsigned>((a + 31) / 32), part);
    transposeKernel<<<grid, dim3(32, 8), 0, device.stream>>>(from + first * a * b, to + first * a * b, static_cast<int>(a),
                                                             static_cast<int>(b));
    launched();
  }
}

}  // namespace

void sumRows(const Device& device, const float* rows, int count, int64_t n, float* to) {
  sumRowsKernel<<<blocksFor(n), kThreads, 0, device.stream>>>(rows, count, n, to);
  launched();
}

void accumulate(const Device& device, float* to, const float* from, int64_t n) {
  accumulateKernel<<<blocksFor(n), kThreads, 0, device.stream>>>(to, from, n);
  launched();
}

namespace {

void copyWindows(const Device& device, const float* from, const Window& source, const int* images, float* to, const Window& target,
                 int rows, int channels, const Extent& map) {
  const int64_t n = volume(target.size);
  const dim3 grid(static_cast<unsigned>(rows * channels), static_cast<unsigned>(std::min<int64_t>((n + kThreads - 1) / kThreads, 64)));
  rewindowKernel<<<grid, kThreads, 0, device.stream>>>(from, source, images, to, target, channels, Map(map));
  launched();
}

}  // namespace

void rewindow(const Device& device, const float* from, const Window& fromWindow, float* to, const Window& toWindow, int rows, int channels,
              const Extent& map) {
  copyWindows(device, from, fromWindow, nullptr, to, toWindow, rows, channels, map);
}

void cutWindows(const Device& device, const float* maps, const int* images, float* to, const Window& window, int rows, int channels,
                const Extent& map) {
  Window whole;
  whole.size = map;
  copyWindows(device, maps, whole, images, to, window, rows, channels, map);
}

void channelsLast(const Device& device, const float* from, float* to, int rows, int channels, int64_t positions) {
  transpose(device, from, to, rows, channels, positions);
}
void channelsLast(const Device& device, const float* from, __nv_bfloat16* to, int rows, int channels, int64_t positions) {
  transpose(device, from, to, rows, channels, positions);
}
void channelsFirst(const Device& device, const float* from, float* to, int rows, int channels, int64_t positions) {
  transpose(device, from, to, rows, positions, channels);
}
void channelsFirst(const Device& device, const __nv_bfloat16* from, float* to, int rows, int channels, int64_t positions) {
  transpose(device, from, to, rows, positions, channels);
}

}  // namespace tracin::cuda
