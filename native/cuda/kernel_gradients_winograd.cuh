// Gradients of 3 × 3 kernels in float32 by Winograd's transforms: G [out, in] = Gᵀ · (Σ tiles (A · dy) ⊙ (Bᵀ · x)). A term is a tile of 2 ×
// 2 numbers of dy; going down a column of tiles, two of the four lines that they meet are there from the tile above.
#pragma once
#include "winograd.cuh"

namespace tracin::cuda {

template <class Geometry>
__global__ void __launch_bounds__(winograd::kBlock, 2)
    winogradKernel(const float* maps, const int* images, WindowView window, Geometry g, const float* output, int splits, float* gradient) {
  using namespace winograd;
  extern __shared__ __align__(16) float shared[];

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, term = lane % kDepth, channel = warp * 4 + lane / kDepth;
  const int firstIn = blockIdx.x * kSide, firstOut = blockIdx.y * kSide;
  const int row = blockIdx.z / splits, part = blockIdx.z % splits;
  const int height = g.output[1], width = g.output[2], inHeight = g.input[1], inWidth = g.input[2];
  const float* x = maps + (int64_t(images ? images[row] : row) * g.in + firstIn) * inHeight * inWidth;
  const float* dy = output + (int64_t(row) * g.out + firstOut) * height * width;
  const int top = window.corner(row, 1) - g.before[1], left = window.corner(row, 2) - g.before[2];

  // columns of 8 tiles one after another, cut into parts alike
  const int lines = (height + 1) / 2, strips = (width + 2 * kDepth - 1) / (2 * kDepth);
  const int64_t steps = int64_t(lines) * strips;
  const int from = static_cast<int>(steps * part / splits), to = static_cast<int>(steps * (part + 1) / splits);

  const int inLines = firstIn + channel < g.in ? inHeight : 0, outLines = firstOut + channel < g.out ? height : 0;
  float held[2][4], next[2][4];
  const auto fetchLines = [&](float(&into)[2][4], int strip, int line) {
    const int firstColumn = left + 2 * (strip * kDepth + term);
#pragma unroll
    for (int l = 0; l < 2; ++l) {
      const int y = top + line + l;
      const bool there = unsigned(y) < unsigned(inLines);
      const float* from = x + (channel * inHeight + y) * inWidth + firstColumn;
      if (there && firstColumn >= 0 && firstColumn + 3 < inWidth) {  // most are, and this costs half of the instructions
#pragma unroll
        for (int c = 0; c < 4; ++c) into[l][c] = from[c];
      } else {
#pragma unroll
        for (int c = 0; c < 4; ++c) into[l][c] = there && unsigned(firstColumn + c) < unsigned(inWidth) ? from[c] : 0.f;
      }
    }
  };
  const auto transformColumns = [](float(&lines)[2][4]) {
#pragma unroll
    for (int l = 0; l < 2; ++l) transformInput(lines[l][0], lines[l][1], lines[l][2], lines[l][3]);
  };
  const auto fetchInput = [&](int strip, int line, bool first) {
    if (first || line == 0) {
      fetchLines(held, strip, line);
      transformColumns(held);
    }
    fetchLines(next, strip, line + 2);
  };
  const auto storeInput = [&](float* buffer) {
    float* to = buffer + kOperand + term * kTermPitch + channel;
    transformColumns(next);
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      float numbers[4] = {held[0][c], held[1][c], next[0][c], next[1][c]};
      transformInput(numbers[0], numbers[1], numbers[2], numbers[3]);
#pragma unroll
      for (int l = 0; l < 4; ++l) to[(4 * l + c) * kSide] = numbers[l];
      held[0][c] = next[0][c], held[1][c] = next[1][c];
    }
  };
  float tile[2][2];
  const auto fetchTile = [&](int strip, int line) {
    const int column = 2 * (strip * kDepth + term);
#pragma unroll
    for (int l = 0; l < 2; ++l)
#pragma unroll
      for (int c = 0; c < 2; ++c)
        tile[l][c] = line + l < outLines && column + c < width ? dy[(channel * height + line + l) * width + column + c] : 0.f;
  };
  const auto storeTile = [&](float* buffer) {  // A · tile · Aᵀ
    float* to = buffer + term * kTermPitch + channel;
    const float(&a)[2] = tile[0], (&b)[2] = tile[1];
    const float above[4] = {a[0], a[0] + a[1], a[0] - a[1], -a[1]}, below[4] = {b[0], b[0] + b[1], b[0] - b[1], -b[1]};
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      to[c * kSide] = above[c], to[(4 + c) * kSide] = above[c] + below[c];
      to[(8 + c) * kSide] = above[c] - below[c], to[(12 + c) * kSide] = -below[c];
    }
  };

  Products products;
  int strip = from / lines, tileLine = from % lines;  // of the step that is fetched
  if (from < to) {
    fetchInput(strip, 2 * tileLine, true);
    fetchTile(strip, 2 * tileLine);
    storeInput(shared);
    storeTile(shared);
  }
  for (int step = from; step < to; ++step) {
    const float* now = shared + (step - from) % 2 * kBuffer;
    float* then = shared + (step + 1 - from) % 2 * kBuffer;
    const bool more = step + 1 < to;
    if (++tileLine == lines) tileLine = 0, ++strip;
    __syncthreads();
    if (more) fetchInput(strip, 2 * tileLine, false), fetchTile(strip, 2 * tileLine);
    products.add<0, kDepth>(now, now + kOperand);
    if (more) storeInput(then), storeTile(then);
  }

  products.finish(shared, [&](int o, int i, const float(&m)[kFrequencies]) {
    if (firstOut + o >= g.out || firstIn + i >= g.in) return;
    float t[3][4];  // Gᵀ · m
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const float half = .5f * (m[4 + c] + m[8 + c]);
      t[0][c] = m[c] + half, t[1][c] = .5f * (m[4 + c] - m[8 + c]), t[2][c] = half + m[12 + c];
    }
    float* kernel = gradient + ((int64_t(blockIdx.z) * g.out + firstOut + o) * g.in + firstIn + i) * 9;
#pragma unroll
    for (int r = 0; r < 3; ++r) {
      const float half = .5f * (t[r][1] + t[r][2]);
      kernel[r * 3] = t[r][0] + half, kernel[r * 3 + 1] = .5f * (t[r][1] - t[r][2]), kernel[r * 3 + 2] = half + t[r][3];
    }
  });
}

}  // namespace tracin::cuda
