// Lines of maps on their way through registers into shared memory: asked for while the lines before are multiplied.
#pragma once
#include "kernels.cuh"

namespace tracin::cuda {

constexpr int kLineColumns = 32;  // of the tile
constexpr int kLineWarps = 4;     // of the block

// Of `kChannels` maps one line. A thread brings one column of every fourth channel; where taps reach two columns beyond the tile, threads
// of the first warps bring one number more.
template <int kChannels, bool kReaches>
struct Line {
  static_assert(kChannels % kLineWarps == 0 && 2 * kChannels <= 32 * kLineWarps);
  float own[kChannels / kLineWarps], beyond;

  // Line y, columns from x on, of `there` maps of height × width, zero outside; none of lines from `end` on.
  __device__ void fetch(const float* maps, int there, int height, int width, int end, int y, int x) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t mapSize = int64_t(height) * width;
    const bool inside = y >= 0 && y < end;
    const float *line = maps + int64_t(y) * width + x, *at = line + warp * mapSize + lane;
    const int mine = inside && x + lane >= 0 && x + lane < width ? there - warp : 0;
#pragma unroll
    for (int i = 0; i < kChannels / kLineWarps; ++i, at += kLineWarps * mapSize) own[i] = i * kLineWarps < mine ? *at : 0.f;
    if (!kReaches) return;
    const int edge = kLineColumns + threadIdx.x % 2, channel = threadIdx.x / 2;
    const bool reached = inside && x + edge >= 0 && x + edge < width && channel < kChannels && channel < there;
    beyond = reached ? line[channel * mapSize + edge] : 0.f;
  }
  // put(channel, column, number)
  template <class Put>
  __device__ void store(Put put) const {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
    for (int i = 0; i < kChannels / kLineWarps; ++i) put(warp + i * kLineWarps, lane, own[i]);
    if (kReaches && threadIdx.x < 2 * kChannels) put(threadIdx.x / 2, kLineColumns + threadIdx.x % 2, beyond);
  }
};

}  // namespace tracin::cuda
