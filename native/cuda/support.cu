// What operators share on the device: sums over rows, windows cut and moved, layouts changed.
#include <cuda_bf16.h>

#include "layout.h"
#include "places.cuh"

namespace tracin::cuda {

namespace {

__global__ void sumRowsKernel(const float* rows, int count, int64_t n, float* to) {
  TRACIN_EACH(i, n) {
    double sum = 0;
    for (int r = 0; r < count; ++r) sum += rows[r * n + i];
    to[i] = static_cast<float>(sum);
  }
}

// n runs of kRun numbers
template <int kRun>
__global__ void accumulateKernel(Pack<kRun>* __restrict__ to, const Pack<kRun>* __restrict__ from, int64_t n) {
  TRACIN_EACH(i, n) {
    Pack<kRun> sum = to[i];
    const Pack<kRun> more = from[i];
#pragma unroll
    for (int l = 0; l < kRun; ++l) sum.at[l] += more.at[l];
    to[i] = sum;
  }
}
template <int kRun>
void accumulateBy(const Device& device, float* to, const float* from, int64_t n) {
  accumulateKernel<<<blocksFor(n / kRun), kThreads, 0, device.stream>>>(reinterpret_cast<Pack<kRun>*>(to),
                                                                        reinterpret_cast<const Pack<kRun>*>(from), n / kRun);
  launched();
}

// A thread takes kRun neighbours of a line. fromRow: numbers from one of from's rows (or slices) to the next.
template <int kRun>
__global__ void rewindowKernel(const float* __restrict__ from, int64_t fromRow, WindowView source, const int* images,
                               float* __restrict__ to, WindowView target, Divider volume, MapSize map, int numbers, int rows) {
  TRACIN_EACH_OF_ROWS(row, run, rows, numbers / kRun) {
    const unsigned i = run * kRun, channel = volume.quotient(i);
    int at[3];
    target.locate(i - channel * volume.divisor, at);
    int local[3];
    for (int a = 0; a < 3; ++a) at[a] += target.corner(row, a), local[a] = at[a] - source.corner(row, a);
    const auto inside = [&](int a, int l) {
      return at[a] + l >= 0 && at[a] + l < map.size[a] && local[a] + l >= 0 && local[a] + l < source.size[a];
    };
    const bool line = inside(0, 0) && inside(1, 0);
    const float* read = from + sliceOf(images, row) * fromRow +
                        ((int(channel) * source.size[0] + local[0]) * source.size[1] + local[1]) * source.size[2] + local[2];
    Pack<kRun> v;
    if (line && inside(2, 0) && inside(2, kRun - 1) && aligned<kRun>(read)) {
      v = *reinterpret_cast<const Pack<kRun>*>(read);
    } else {
#pragma unroll
      for (int l = 0; l < kRun; ++l) v.at[l] = line && inside(2, l) ? read[l] : 0.f;
    }
    *reinterpret_cast<Pack<kRun>*>(to + int64_t(row) * numbers + i) = v;
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

// [rows][a][b] → [rows][b][a] through a tile, so that both sides are read and written in runs; `tiles` side by side along b. All of a row
// are along the grid's x: either side may be the positions of a map, of which its y has no room for more than 2 million.
template <class From, class To>
__global__ void transposeKernel(const From* from, To* to, int a, int b, unsigned tiles) {
  __shared__ float tile[32][33];
  const int64_t row = int64_t(blockIdx.z) * a * b;
  const int left = (blockIdx.x % tiles) * 32, top = (blockIdx.x / tiles) * 32;
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
    const int64_t high = (a + 31) / 32, wide = (b + 31) / 32;
    const dim3 grid(static_cast<unsigned>(high * wide), 1, part);
    transposeKernel<<<grid, dim3(32, 8), 0, device.stream>>>(from + first * a * b, to + first * a * b, static_cast<int>(a),
                                                             static_cast<int>(b), static_cast<unsigned>(wide));
    launched();
  }
}

}  // namespace

void sumRows(const Device& device, const float* rows, int count, int64_t n, float* to) {
  sumRowsKernel<<<blocksFor(n), kThreads, 0, device.stream>>>(rows, count, n, to);
  launched();
}

void accumulate(const Device& device, float* to, const float* from, int64_t n) {
  if (n % 4 == 0 && aligned<4>(to) && aligned<4>(from)) return accumulateBy<4>(device, to, from, n);
  accumulateBy<1>(device, to, from, n);
}

namespace {

void copyWindows(const Device& device, const float* from, int64_t fromRow, const Window& source, const int* images, float* to,
                 const Window& target, int rows, int channels, const Extent& map) {
  const Extent oneLine{1, 1, within(channels * volume(source.size))};
  if (source.alike(target) && source.size != oneLine) {
    Window line;
    line.size = oneLine;
    return copyWindows(device, from, fromRow, line, images, to, line, rows, 1, line.size);
  }
  const int numbers = within(channels * volume(target.size)), width = target.size[2];
  const auto copy = [&](auto kernel, int run) {
    kernel<<<gridOf(numbers / run, rows), kThreads, 0, device.stream>>>(from, fromRow, source, images, to, target,
                                                                        Divider(volume(target.size)), MapSize(map), numbers, rows);
    launched();
  };
  if (width % 4 == 0 && aligned<4>(to)) return copy(rewindowKernel<4>, 4);
  if (width % 2 == 0 && aligned<2>(to)) return copy(rewindowKernel<2>, 2);
  copy(rewindowKernel<1>, 1);
}

}  // namespace

void rewindow(const Device& device, const float* from, const Window& fromWindow, float* to, const Window& toWindow, int rows, int channels,
              const Extent& map, int64_t fromRow) {
  copyWindows(device, from, fromRow ? fromRow : channels * volume(fromWindow.size), fromWindow, nullptr, to, toWindow, rows, channels, map);
}

void cutWindows(const Device& device, const float* maps, const int* images, float* to, const Window& window, int rows, int channels,
                const Extent& map) {
  Window whole;
  whole.size = map;
  copyWindows(device, maps, channels * volume(map), whole, images, to, window, rows, channels, map);
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
