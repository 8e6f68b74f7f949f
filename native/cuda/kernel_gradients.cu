#include "kernel_gradients.h"

#include "kernel_gradients_tensor.cuh"
#include "kernel_gradients_winograd.cuh"
#include "kernels.cuh"
#include "layout.h"
#include "lines.cuh"
#include "timing.h"
#include "winograd_choice.h"

namespace tracin::cuda {

namespace {

struct Geometry {
  int in, out, groups;
  int input[3], output[3], kernel[3], strides[3], dilations[3], before[3];
  explicit Geometry(const Correlation& c, const Extent& map) : in(c.in), out(c.out), groups(c.groups) {
    for (int a = 0; a < 3; ++a)
      input[a] = map[a], output[a] = c.output[a], kernel[a] = c.kernel[a], strides[a] = c.strides[a], dilations[a] = c.dilations[a],
      before[a] = c.before[a];
  }
};

// --- any geometry: windows unrolled into columns, then one product a row and group

// Of `positions` of the output from `start` on.
__global__ void columnsKernel(const float* maps, const int* images, WindowView window, Geometry g, int firstRow, int start, int positions,
                              float* columns) {
  const int taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
  const int row = blockIdx.x / (g.in * taps), channel = blockIdx.x / taps % g.in;
  int tap = blockIdx.x % taps;
  const int r = firstRow + row;
  const float* map = maps + (int64_t(images ? images[r] : r) * g.in + channel) * g.input[0] * g.input[1] * g.input[2];
  float* line = columns + int64_t(blockIdx.x) * positions;
  int shift[3];
  for (int a = 2; a >= 0; --a) {
    shift[a] = window.corner(r, a) - g.before[a] + tap % g.kernel[a] * g.dilations[a];
    tap /= g.kernel[a];
  }
  for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < positions; i += gridDim.y * blockDim.x) {
    const int at = start + i;
    const int x = at % g.output[2] * g.strides[2] + shift[2], y = at / g.output[2] % g.output[1] * g.strides[1] + shift[1],
              z = at / g.output[2] / g.output[1] * g.strides[0] + shift[0];
    const bool inside = x >= 0 && x < g.input[2] && y >= 0 && y < g.input[1] && z >= 0 && z < g.input[0];
    line[i] = inside ? map[(int64_t(z) * g.input[1] + y) * g.input[2] + x] : 0.f;
  }
}

// Some rows at once, or, where one would need more numbers than `most`, some of its positions.
void byColumns(const Device& device, Pool& pool, Precision precision, const Correlation& c, const Source& input, const float* output,
               float* gradient, int64_t most) {
  const int64_t positions = volume(c.output), taps = volume(c.kernel), lines = c.in * taps;
  const int together =
      static_cast<int>(std::clamp<int64_t>(std::min(most / (lines * positions), int64_t(kMostProducts / c.groups)), 1, c.rows));
  const int64_t stretch = std::min(positions, std::max<int64_t>(32, most / lines / 32 * 32));
  Pool::Piece columns = pool.takeFloats(together * lines * stretch);
  const auto compute = precision == Precision::f32    ? CUBLAS_COMPUTE_32F
                       : precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                      : CUBLAS_COMPUTE_32F_FAST_16BF;
  const int m = c.out / c.groups, n = static_cast<int>(c.in / c.groups * taps), width = static_cast<int>(positions);
  for (int first = 0; first < c.rows; first += together)
    for (int64_t start = 0; start < positions; start += stretch) {
      const int rows = std::min(together, c.rows - first), k = static_cast<int>(std::min(stretch, positions - start));
      const dim3 grid(static_cast<unsigned>(rows * lines), static_cast<unsigned>(std::clamp((k + kThreads - 1) / kThreads, 1, 64)));
      columnsKernel<<<grid, kThreads, 0, device.stream>>>(input.maps, input.images, *input.window, Geometry(c, input.extent), first,
                                                          static_cast<int>(start), k, columns.floats());
      launched();
      const float one = 1.f, before = start > 0 ? 1.f : 0.f;
      check(cublasGemmStridedBatchedEx(device.blas, CUBLAS_OP_T, CUBLAS_OP_N, n, m, k, &one, columns.floats(), CUDA_R_32F, k,
                                       int64_t(n) * k, output + int64_t(first) * c.out * positions + start, CUDA_R_32F, width,
                                       int64_t(m) * width, &before, gradient + int64_t(first) * c.kernelFloats(), CUDA_R_32F, n,
                                       int64_t(m) * n, rows * c.groups, compute, CUBLAS_GEMM_DEFAULT),
            "product of kernel gradients");
    }
}

// --- 3 × 3, stride 1, for few input channels: straight from the maps.
// A warp's lanes are input channels, its registers 8 output channels × 9 taps; lanes share a channel and take turns at positions.

constexpr int kOuts = 8;  // output channels of a warp

template <int kIns>
__global__ void __launch_bounds__(kLineWarps * 32, 3)
    directKernel(const float* maps, const int* images, WindowView window, Geometry g, const float* output, int splits, float* gradient) {
  constexpr int kOut = kLineWarps * kOuts, kOutStride = kOut + 4;
  constexpr int kTurns = 32 / kIns;  // lanes that share an input channel
  __shared__ float xs[3][(kLineColumns + 2) * kIns];
  __shared__ __align__(16) float ys[kLineColumns * kOutStride];

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, in = lane % kIns, turn = lane / kIns;
  const int firstIn = blockIdx.x * kIns, firstOut = blockIdx.y * kOut;
  const int row = blockIdx.z / splits, split = blockIdx.z % splits;
  const int height = g.output[1], width = g.output[2];
  const float* map = maps + (int64_t(images ? images[row] : row) * g.in + firstIn) * g.input[1] * g.input[2];
  const float* out = output + (int64_t(row) * g.out + firstOut) * height * width;
  const int top = window.corner(row, 1) - g.before[1], left = window.corner(row, 2) - g.before[2];
  const int from = static_cast<int>(int64_t(height) * split / splits), to = static_cast<int>(int64_t(height) * (split + 1) / splits);

  float sums[kOuts][9] = {};
  Line<kIns, true> nextX;
  Line<kOut, false> nextY;
  const auto fetchX = [&](int y, int x0) { nextX.fetch(map, g.in - firstIn, g.input[1], g.input[2], g.input[1], top + y, left + x0); };
  const auto storeX = [&](int y) { nextX.store([&](int channel, int column, float v) { xs[y % 3][column * kIns + channel] = v; }); };
  const auto fetchY = [&](int y, int x0) { nextY.fetch(out, g.out - firstOut, height, width, height, y, x0); };
  const auto storeY = [&] { nextY.store([&](int channel, int column, float v) { ys[column * kOutStride + channel] = v; }); };

  for (int x0 = 0; x0 < width && from < to; x0 += kLineColumns) {
    const int columns = min(kLineColumns, width - x0);
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
      const float *a = &xs[y % 3][in], *b = &xs[(y + 1) % 3][in], *c = &xs[(y + 2) % 3][in];
      const auto addUp = [&](int column, const float(&x)[9]) {
        const float4 low = *reinterpret_cast<const float4*>(&ys[column * kOutStride + warp * kOuts]);
        const float4 high = *reinterpret_cast<const float4*>(&ys[column * kOutStride + warp * kOuts + 4]);
        const float g[kOuts] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int o = 0; o < kOuts; ++o)
#pragma unroll
          for (int t = 0; t < 9; ++t) sums[o][t] = fmaf(g[o], x[t], sums[o][t]);
      };
#pragma unroll 2
      for (int column = turn; column < columns; column += kTurns) {
        float x[9];
#pragma unroll
        for (int t = 0; t < 3; ++t) {
          const int at = (column + t) * kIns;
          x[t] = a[at], x[3 + t] = b[at], x[6 + t] = c[at];
        }
        addUp(column, x);
      }
    }
  }

  for (int step = 16; step >= kIns; step /= 2)
#pragma unroll
    for (int o = 0; o < kOuts; ++o)
#pragma unroll
      for (int t = 0; t < 9; ++t) sums[o][t] += __shfl_xor_sync(0xffffffffu, sums[o][t], step);
  if (turn > 0 || firstIn + in >= g.in) return;
#pragma unroll
  for (int o = 0; o < kOuts; ++o) {
    const int channel = firstOut + warp * kOuts + o;
    if (channel >= g.out) break;
    float* kernel = gradient + ((int64_t(blockIdx.z) * g.out + channel) * g.in + firstIn + in) * 9;
#pragma unroll
    for (int t = 0; t < 9; ++t) kernel[t] = sums[o][t];
  }
}

// gradient[r] = Σ parts[r][split]
__global__ void sumSplitsKernel(const float* parts, int splits, int64_t n, int64_t total, float* gradient) {
  TRACIN_EACH(i, total) {
    const float* part = parts + i / n * splits * n + i % n;
    float sum = 0;
    for (int s = 0; s < splits; ++s) sum += part[s * n];
    gradient[i] = sum;
  }
}

using Kernel = void (*)(const float*, const int*, WindowView, Geometry, const float*, int, float*);

constexpr int kWanted = 8 * 132;  // blocks that fill a large chip, few of them last

// A kernel whose blocks take `ins` × `outs` channels of one row and one of up to `parts` parts of its positions.
struct Tiled {
  Kernel kernel;
  int ins, outs, threads, shared;
  int64_t parts;
};

void run(const Device& device, Pool& pool, const Tiled& t, const Correlation& c, const Source& input, const float* output,
         float* gradient) {
  const unsigned x = (c.in + t.ins - 1) / t.ins, y = (c.out + t.outs - 1) / t.outs;
  const int blocks = static_cast<int>(x * y) * c.rows;
  const int splits = static_cast<int>(std::clamp<int64_t>((kWanted + blocks - 1) / blocks, 1, std::max<int64_t>(1, t.parts)));
  const int64_t n = c.kernelFloats();
  Pool::Piece parts;
  float* to = gradient;
  if (splits > 1) parts = pool.takeFloats(c.rows * splits * n), to = parts.floats();
  const int most = 65535 / splits;  // the grid's z ends at 65535
  for (int first = 0; first < c.rows; first += most) {
    const int rows = std::min(most, c.rows - first);
    Source part = input;
    WindowView window(*input.window);
    if (window.corners) window.corners += first * 3;
    if (part.images)
      part.images += first;
    else
      part.maps += int64_t(first) * c.in * volume(input.extent);
    const Kernel kernel = t.kernel;
    kernel<<<dim3(x, y, rows * splits), t.threads, t.shared, device.stream>>>(part.maps, part.images, window, Geometry(c, input.extent),
                                                                              output + first * int64_t(c.out) * volume(c.output), splits,
                                                                              to + first * splits * n);
    launched();
  }
  if (splits > 1) {
    sumSplitsKernel<<<blocksFor(c.rows * n), kThreads, 0, device.stream>>>(parts.floats(), splits, n, c.rows * n, gradient);
    launched();
  }
}

}  // namespace

void kernelGradients(const Device& device, Pool& pool, Precision precision, const Correlation& c, const Source& input, const float* output,
                     float* gradient, int64_t most) {
  const auto columns = [&] { byColumns(device, pool, precision, c, input, output, gradient, most); };
  if (!c.isPlain3x3()) return columns();
  const auto tiled = [&](Kernel kernel, int ins, int outs) {
    run(device, pool, {kernel, ins, outs, kLineWarps * 32, 0, c.output[1] / 4}, c, input, output, gradient);
  };
  if (c.in <= 4) return tiled(directKernel<4>, 4, kLineWarps * kOuts);
  if (c.in <= 8) return tiled(directKernel<8>, 8, kLineWarps * kOuts);
  if (precision != Precision::f32) return tiled(tensorKernel<Geometry>, tensor::kTile, tensor::kTile);
  const auto tilesOf = [&](int tile) { return int64_t(c.output[1] + tile - 1) / tile * ((c.output[2] + tile - 1) / tile); };
  const auto by = [&](int tile) {
    using namespace winograd;
    const int64_t parts = tilesOf(tile) / (8 * kDepth);
    run(device, pool,
        tile == 4 ? Tiled{largeTilesKernel<Geometry>, kSide, kSide, Block<4>::kThreads, kLargeTilesBytes, parts}
                  : Tiled{winogradKernel<Geometry>, kSide, kSide, Block<2>::kThreads, Block<2>::kBytes, parts},
        c, input, output, gradient);
  };
  if (!device.fits(reinterpret_cast<const void*>(winogradKernel<Geometry>), winograd::Block<2>::kBytes)) return columns();
  if (!device.fits(reinterpret_cast<const void*>(largeTilesKernel<Geometry>), kLargeTilesBytes)) return by(2);
  const auto time = [&](int tile) { return milliseconds(device, 2, [&] { by(tile); }); };
  by(winograd::chosenTile(device, winograd::Work::gradient, c.in, c.out, c.rows * tilesOf(4) / winograd::kDepth, time));
}

}  // namespace tracin::cuda
