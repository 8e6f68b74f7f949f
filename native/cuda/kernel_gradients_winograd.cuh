// Gradients of 3 × 3 kernels in float32 by Winograd's transforms: G [out, in] = Gᵀ · (Σ tiles (A · dy) ⊙ (Bᵀ · x)). A term is a tile of dy.
#pragma once
#include <cuda_pipeline.h>

#include "winograd.cuh"

namespace tracin::cuda {

// Numbers of a tile of 4 that lie in shared memory: x with its border, and dy.
constexpr int kStagedInput = 6 * 6, kStagedOutput = 4 * 4;
constexpr int kLargeTilesBytes =
    winograd::Block<4>::kBytes + winograd::kLanes * (kStagedInput + kStagedOutput) * static_cast<int>(sizeof(float));

// kernel = Gᵀ · m · G
template <int kTile>
__device__ inline void gather(const float (&m)[kTile + 2][kTile + 2], float* kernel) {
  float taps[3][3];
  winograd::alongBoth(
      m, [](const float(&u)[kTile + 2], float(&w)[3]) { winograd::Transforms<kTile>::gather(u, w); }, taps);
#pragma unroll
  for (int t = 0; t < 9; ++t) kernel[t] = taps[t / 3][t % 3];
}

// With tiles of 2 × 2 numbers: going down a column of tiles, two of the four lines that they meet are there from the tile above.
template <class Geometry>
__global__ void __launch_bounds__(winograd::Block<2>::kThreads, winograd::Block<2>::kResident)
    winogradKernel(const float* maps, const int* images, WindowView window, Geometry g, const float* output, int splits, float* gradient) {
  using namespace winograd;
  using B = Block<2>;
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
    for (int l = 0; l < 2; ++l) {
      const float line[4] = {lines[l][0], lines[l][1], lines[l][2], lines[l][3]};
      Transforms<2>::input(line, lines[l]);
    }
  };
  const auto fetchInput = [&](int strip, int line, bool first) {
    if (first || line == 0) {
      fetchLines(held, strip, line);
      transformColumns(held);
    }
    fetchLines(next, strip, line + 2);
  };
  const auto storeInput = [&](float* buffer) {
    float* to = buffer + B::kOperand + term * B::kTermPitch + channel;
    transformColumns(next);
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const float column[4] = {held[0][c], held[1][c], next[0][c], next[1][c]};
      float numbers[4];
      Transforms<2>::input(column, numbers);
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
  const auto storeTile = [&](float* buffer) {
    storeSpread<2>([&](int l, int c) { return tile[l][c]; }, buffer + term * B::kTermPitch + channel);
  };

  Products<2> products;
  int strip = from / lines, tileLine = from % lines;  // of the step that is fetched
  if (from < to) {
    fetchInput(strip, 2 * tileLine, true);
    fetchTile(strip, 2 * tileLine);
    storeInput(shared);
    storeTile(shared);
  }
  for (int step = from; step < to; ++step) {
    const float* now = shared + (step - from) % 2 * B::kBuffer;
    float* then = shared + (step + 1 - from) % 2 * B::kBuffer;
    const bool more = step + 1 < to;
    if (++tileLine == lines) tileLine = 0, ++strip;
    __syncthreads();
    if (more) fetchInput(strip, 2 * tileLine, false), fetchTile(strip, 2 * tileLine);
    products.add<0, kDepth>(now, now + B::kOperand);
    if (more) storeInput(then), storeTile(then);
  }

  products.finish(shared, [&](int o, int i, const float(&m)[B::kSeen][B::kSeen]) {
    if (firstOut + o >= g.out || firstIn + i >= g.in) return;
    gather<2>(m, gradient + ((int64_t(blockIdx.z) * g.out + firstOut + o) * g.in + firstIn + i) * 9);
  });
}

// The same with tiles of 4 × 4 numbers of dy, one after another along lines.
template <class Geometry>
__global__ void __launch_bounds__(winograd::Block<4>::kThreads, winograd::Block<4>::kResident)
    largeTilesKernel(const float* maps, const int* images, WindowView window, Geometry g, const float* output, int splits,
                     float* gradient) {
  using namespace winograd;
  using B = Block<4>;
  extern __shared__ __align__(16) float shared[];

  const bool fetches = threadIdx.x < kLanes;
  const int term = threadIdx.x % kDepth, channel = threadIdx.x / kDepth;
  const int firstIn = blockIdx.x * kSide, firstOut = blockIdx.y * kSide;
  const int row = blockIdx.z / splits, part = blockIdx.z % splits;
  const int height = g.output[1], width = g.output[2], inHeight = g.input[1], inWidth = g.input[2];
  const float* x = maps + (int64_t(images ? images[row] : row) * g.in + firstIn + channel) * inHeight * inWidth;
  const float* dy = output + (int64_t(row) * g.out + firstOut + channel) * height * width;
  const int top = window.corner(row, 1) - g.before[1], left = window.corner(row, 2) - g.before[2];
  const int inLines = fetches && firstIn + channel < g.in ? inHeight : 0, outLines = fetches && firstOut + channel < g.out ? height : 0;

  const int perLine = (width + 3) / 4, lines = (height + 3) / 4;
  const int64_t steps = (int64_t(lines) * perLine + kDepth - 1) / kDepth;
  const int from = static_cast<int>(steps * part / splits), to = static_cast<int>(steps * (part + 1) / splits);
  // the tile that is fetched; beyond the last line there is nothing
  int line = static_cast<int>((int64_t(from) * kDepth + term) / perLine),
      place = static_cast<int>((int64_t(from) * kDepth + term) % perLine);

  float* const stagedInput = shared + 2 * B::kBuffer + threadIdx.x;
  float* const stagedOutput = stagedInput + kStagedInput * kLanes;
  const auto fetchNumber = [](float* to, const float* number, bool there) {
    __pipeline_memcpy_async(to, number, sizeof(float), there ? 0 : sizeof(float));
  };
  const auto fetch = [&] {
    if (fetches) {
      const int y = top + 4 * line, first = left + 4 * place;
#pragma unroll
      for (int l = 0; l < 6; ++l) {
        const bool there = line < lines && unsigned(y + l) < unsigned(inLines);
        const float* numbers = x + (y + l) * inWidth + first;
#pragma unroll
        for (int c = 0; c < 6; ++c)
          fetchNumber(stagedInput + (6 * l + c) * kLanes, numbers + c, there && unsigned(first + c) < unsigned(inWidth));
      }
#pragma unroll
      for (int l = 0; l < 4; ++l) {
        const bool there = 4 * line + l < outLines;
        const float* numbers = dy + (4 * line + l) * width + 4 * place;
#pragma unroll
        for (int c = 0; c < 4; ++c) fetchNumber(stagedOutput + (4 * l + c) * kLanes, numbers + c, there && 4 * place + c < width);
      }
      for (place += kDepth; place >= perLine; place -= perLine) ++line;
    }
    __pipeline_commit();
  };
  const auto store = [&](float* buffer) {
    if (!fetches) return;
    __pipeline_wait_prior(0);
    float* at = buffer + term * B::kTermPitch + channel;
    storeInput<4>([&](int l, int c) { return stagedInput[(6 * l + c) * kLanes]; }, at + B::kOperand);
    storeSpread<4>([&](int l, int c) { return stagedOutput[(4 * l + c) * kLanes]; }, at);
  };

  Products<4> products;
  if (from < to) {
    fetch();
    store(shared);
  }
  for (int step = from; step < to; ++step) {
    const float* now = shared + (step - from) % 2 * B::kBuffer;
    float* then = shared + (step + 1 - from) % 2 * B::kBuffer;
    const bool more = step + 1 < to;
    __syncthreads();
    if (more) fetch();
    products.add<0, kDepth / 2>(now, now + B::kOperand);
    if (more) store(then);
    products.add<kDepth / 2, kDepth>(now, now + B::kOperand);
  }

  products.finish(shared, [&](int o, int i, const float(&m)[B::kSeen][B::kSeen]) {
    if (firstOut + o >= g.out || firstIn + i >= g.in) return;
    gather<4>(m, gradient + ((int64_t(blockIdx.z) * g.out + firstOut + o) * g.in + firstIn + i) * 9);
  });
}

}  // namespace tracin::cuda
