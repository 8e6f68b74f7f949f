// Gradients of 3 × 3 kernels on tensor cores, from Ampere on: D[out, in] += dy[out, position] · x[position + tap, in] for every tap.
// Operands are rounded to tf32, also where bf16 was asked for: finer, and the reads from shared memory are what takes the time.
// Float32 out of three such products was tried and is slower than float32 itself (bench/NOTES.md).
#pragma once
#include "lines.cuh"
#include "tensor_cores.cuh"

namespace tracin::cuda {

namespace tensor {

constexpr int kTile = 32;          // output and input channels of a block: its 2 × 2 warps take 16 × 16 each
constexpr int kPitch = 36;         // floats of a channel's row in shared memory: lanes of a fragment then fall on 32 banks
constexpr int kLines = 2;          // lines of the output at a time: what a fragment of x serves, and fewer barriers
constexpr int kHeld = kLines + 2;  // lines of the input that they meet

}  // namespace tensor

template <class Geometry>
__global__ void __launch_bounds__(kLineWarps * 32, 3)
    tensorKernel(const float* maps, const int* images, WindowView window, Geometry g, const float* output, int splits, float* gradient) {
  using namespace tensor;
  // rounded already: every number is read nine times
  __shared__ uint32_t xs[kHeld][kTile * kPitch];
  __shared__ uint32_t ys[kLines][kTile * kPitch];

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, turn = lane % 4;
  const int ownOut = warp % 2 * 16, ownIn = warp / 2 * 16;
  const int firstIn = blockIdx.x * kTile, firstOut = blockIdx.y * kTile;
  const int row = blockIdx.z / splits, part = blockIdx.z % splits;
  const int height = g.output[1], width = g.output[2];
  const float* map = maps + (int64_t(images ? images[row] : row) * g.in + firstIn) * g.input[1] * g.input[2];
  const float* out = output + (int64_t(row) * g.out + firstOut) * height * width;
  const int top = window.corner(row, 1) - g.before[1], left = window.corner(row, 2) - g.before[2];
  const int from = static_cast<int>(int64_t(height) * part / splits), to = static_cast<int>(int64_t(height) * (part + 1) / splits);

  float sums[2][9][4] = {};
  Line<kTile, true> nextX[kLines];
  Line<kTile, false> nextY[kLines];
  const auto fetchX = [&](auto& next, int y, int x0) {
    next.fetch(map, g.in - firstIn, g.input[1], g.input[2], g.input[1], top + y, left + x0);
  };
  const auto storeX = [&](const auto& next, int y) {
    next.store([&](int channel, int column, float v) { xs[y % kHeld][channel * kPitch + column] = rounded(v); });
  };
  const auto fetchY = [&](auto& next, int y, int x0) {  // from line `to` on they are another part's
    next.fetch(out, g.out - firstOut, height, width, to, y, x0);
  };
  const auto storeY = [&](const auto& next, int line) {
    next.store([&](int channel, int column, float v) { ys[line][channel * kPitch + column] = rounded(v); });
  };

  for (int x0 = 0; x0 < width && from < to; x0 += kLineColumns) {
    const int steps = (min(kLineColumns, width - x0) + 7) / 8;
    __syncthreads();  // the columns before are done with
    for (int y = from; y < from + 2; ++y) {
      fetchX(nextX[0], y, x0);
      storeX(nextX[0], y);
    }
#pragma unroll
    for (int line = 0; line < kLines; ++line) fetchX(nextX[line], from + 2 + line, x0), fetchY(nextY[line], from + line, x0);
    for (int y = from; y < to; y += kLines) {
      __syncthreads();
#pragma unroll
      for (int line = 0; line < kLines; ++line) storeX(nextX[line], y + 2 + line), storeY(nextY[line], line);
      __syncthreads();
      if (y + kLines < to)
#pragma unroll
        for (int line = 0; line < kLines; ++line)
          fetchX(nextX[line], y + kLines + 2 + line, x0), fetchY(nextY[line], y + kLines + line, x0);
      for (int step = 0; step < steps; ++step) {
        uint32_t a[kLines][4];
#pragma unroll
        for (int line = 0; line < kLines; ++line) {
          const uint32_t* dy = &ys[line][(ownOut + group) * kPitch + step * 8 + turn];
          a[line][0] = dy[0], a[line][1] = dy[8 * kPitch], a[line][2] = dy[4], a[line][3] = dy[8 * kPitch + 4];
        }
#pragma unroll
        for (int held = 0; held < kHeld; ++held)
#pragma unroll
          for (int n = 0; n < 2; ++n) {
            const uint32_t* x = &xs[(y + held) % kHeld][(ownIn + 8 * n + group) * kPitch + step * 8 + turn];
#pragma unroll
            for (int column = 0; column < 3; ++column) {
              const uint32_t b[2] = {x[column], x[column + 4]};
#pragma unroll
              for (int line = 0; line < kLines; ++line)
                if (held >= line && held < line + 3) multiply(sums[n][(held - line) * 3 + column], a[line], b);
            }
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
