// Gradients of 3 × 3 kernels on tensor cores, from Ampere on: D[out, in] += dy[out, position] · x[position + tap, in] for every tap.
// Operands are rounded to tf32, also where bf16 was asked for: finer, and the reads from shared memory are what takes the time.
// Float32 out of three such products was tried and is slower than float32 itself (bench/NOTES.md).
#pragma once
#include "kernels.cuh"
#include "tensor_cores.cuh"

namespace tracin::cuda {

namespace tensor {

constexpr int kTile = 32;     // output and input channels of a block
constexpr int kColumns = 32;  // output columns at a time
constexpr int kPitch = 36;    // floats of a channel's row in shared memory: lanes of a fragment then fall on 32 banks
constexpr int kWarps = 4;     // 2 × 2, each 16 output × 16 input channels

}  // namespace tensor

template <class Geometry>
__global__ void __launch_bounds__(tensor::kWarps * 32, 2)
    tensorKernel(const float* maps, const int* images, WindowView window, Geometry g, const float* output, int splits, float* gradient) {
  using namespace tensor;
  constexpr int kThreadsHere = kWarps * 32, kReads = kColumns + 2;
  constexpr int kLoadX = (kReads * kTile + kThreadsHere - 1) / kThreadsHere, kLoadY = kColumns * kTile / kThreadsHere;
  __shared__ float xs[3][kTile * kPitch];
  __shared__ float ys[kTile * kPitch];

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, turn = lane % 4;
  const int ownOut = warp % 2 * 16, ownIn = warp / 2 * 16;
  const int firstIn = blockIdx.x * kTile, firstOut = blockIdx.y * kTile;
  const int row = blockIdx.z / splits, part = blockIdx.z % splits;
  const int height = g.output[1], width = g.output[2];
  const int64_t mapSize = int64_t(g.input[1]) * g.input[2], outSize = int64_t(height) * width;
  const float* map = maps + (int64_t(images ? images[row] : row) * g.in + firstIn) * mapSize;
  const float* out = output + (int64_t(row) * g.out + firstOut) * outSize;
  const int top = window.corner(row, 1) - g.before[1], left = window.corner(row, 2) - g.before[2];
  const int from = static_cast<int>(int64_t(height) * part / splits), to = static_cast<int>(int64_t(height) * (part + 1) / splits);

  float sums[2][9][4] = {};
  float nextX[kLoadX], nextY[kLoadY];
  const auto fetchX = [&](int y, int x0) {  // row `top + y` of the map, columns from `left + x0`
    const int my = top + y;
#pragma unroll
    for (int i = 0; i < kLoadX; ++i) {
      const int at = i * kThreadsHere + threadIdx.x, column = at % kReads, channel = at / kReads, mx = left + x0 + column;
      const bool inside = channel < kTile && firstIn + channel < g.in && my >= 0 && my < g.input[1] && mx >= 0 && mx < g.input[2];
      nextX[i] = inside ? map[channel * mapSize + int64_t(my) * g.input[2] + mx] : 0.f;
    }
  };
  const auto storeX = [&](int y) {
#pragma unroll
    for (int i = 0; i < kLoadX; ++i) {
      const int at = i * kThreadsHere + threadIdx.x, column = at % kReads, channel = at / kReads;
      if (channel < kTile) xs[y % 3][channel * kPitch + column] = nextX[i];
    }
  };
  const auto fetchY = [&](int y, int x0) {
#pragma unroll
    for (int i = 0; i < kLoadY; ++i) {
      const int at = i * kThreadsHere + threadIdx.x, column = at % kColumns, channel = at / kColumns;
      const bool inside = firstOut + channel < g.out && x0 + column < width;
      nextY[i] = inside ? out[channel * outSize + int64_t(y) * width + x0 + column] : 0.f;
    }
  };
  const auto storeY = [&] {
#pragma unroll
    for (int i = 0; i < kLoadY; ++i) {
      const int at = i * kThreadsHere + threadIdx.x;
      ys[at / kColumns * kPitch + at % kColumns] = nextY[i];
    }
  };

  for (int x0 = 0; x0 < width && from < to; x0 += kColumns) {
    const int steps = (min(kColumns, width - x0) + 7) / 8;
    __syncthreads();  // the columns before are done with
    for (int y = from; y < from + 2; ++y) {
      fetchX(y, x0);
      storeX(y);
    }
    fetchX(from + 2, x0);
    fetchY(from, x0);
    for (int y = from; y < to; ++y) {
      __syncthreads();
      storeX(y + 2);
      storeY();
      __syncthreads();
      if (y + 1 < to) {
        fetchX(y + 3, x0);
        fetchY(y + 1, x0);
      }
      for (int step = 0; step < steps; ++step) {
        const float* dy = &ys[(ownOut + group) * kPitch + step * 8 + turn];
        const uint32_t a[4] = {rounded(dy[0]), rounded(dy[8 * kPitch]), rounded(dy[4]), rounded(dy[8 * kPitch + 4])};
#pragma unroll
        for (int t = 0; t < 9; ++t)
#pragma unroll
          for (int n = 0; n < 2; ++n) {
            const float* x = &xs[(y + t / 3) % 3][(ownIn + 8 * n + group) * kPitch + step * 8 + turn + t % 3];
            const uint32_t b[2] = {rounded(x[0]), rounded(x[4])};
            multiply(sums[n][t], a, b);
          }
      }
    }
  }

#pragma unroll
  for (int n = 0; n < 2; ++n)
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const int channel = firstOut + ownOut + group + c / 2 * 8, in = firstIn + ownIn + 8 * n + 2 * turn + c % 2;
      if (channel >= g.out || in >= g.in) continue;
      float* kernel = gradient + ((int64_t(blockIdx.z) * g.out + channel) * g.in + in) * 9;
#pragma unroll
      for (int t = 0; t < 9; ++t) kernel[t] = sums[n][t][c];
    }
}

}  // namespace tracin::cuda
