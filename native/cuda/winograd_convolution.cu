#include "winograd_convolution.h"

#include <cuda_pipeline.h>

#include "timing.h"
#include "winograd.cuh"
#include "winograd_choice.h"

namespace tracin::cuda {

using namespace winograd;

namespace {

// A pass as a convolution of `from` maps that yields `to` maps, each number of which begins to read `before` above and left of its place.
struct Shape {
  int from, to;
  int height, width, toHeight, toWidth, before[2];
  unsigned tiles;            // of all rows
  Divider columns, perMap;   // tiles of a line, of a map
  int blocks;                // of kSide output channels
  int kernelTo, kernelFrom;  // floats of a kernel array from one channel to the next
  bool flipped;

  Shape(Pass pass, const Correlation& c, int tile) : flipped(pass == Pass::data) {
    const bool forward = pass == Pass::forward;
    const Extent &source = forward ? c.input : c.output, &target = forward ? c.output : c.input;
    from = forward ? c.in : c.out, to = forward ? c.out : c.in;
    height = source[1], width = source[2], toHeight = target[1], toWidth = target[2];
    for (int a = 0; a < 2; ++a) before[a] = forward ? c.before[a + 1] : 2 - c.before[a + 1];
    const int lines = (toHeight + tile - 1) / tile, line = (toWidth + tile - 1) / tile;
    columns = Divider(line), perMap = Divider(int64_t(lines) * line);
    tiles = static_cast<unsigned>(within(int64_t(c.rows) * lines * line));
    blocks = (to + kSide - 1) / kSide;
    kernelTo = 9 * (forward ? c.in : 1), kernelFrom = 9 * (forward ? 1 : c.in);
  }
  int terms() const { return (from + kDepth - 1) / kDepth * kDepth; }
  int64_t allBlocks() const { return (int64_t(tiles) + kSide - 1) / kSide * blocks; }
};

// transformed [blocks][terms][frequencies][kSide] = G · g · Gᵀ, zero where there are no channels
template <int kTile>
__global__ void transformKernel(const float* kernel, const __grid_constant__ Shape s, int terms, float* transformed) {
  constexpr int kSeen = Block<kTile>::kSeen;
  TRACIN_EACH(i, int64_t(s.blocks) * terms * kSide) {
    const int place = i % kSide, term = i / kSide % terms, to = static_cast<int>(i / kSide / terms) * kSide + place;
    float* out = transformed + i / kSide * Block<kTile>::kFrequencies * kSide + place;
    const bool there = to < s.to && term < s.from;
    const float* g = kernel + int64_t(to) * s.kernelTo + int64_t(term) * s.kernelFrom;
    float taps[3][3], seen[kSeen][kSeen];
#pragma unroll
    for (int t = 0; t < 9; ++t) taps[t / 3][t % 3] = there ? g[s.flipped ? 8 - t : t] : 0.f;
    alongBoth(
        taps, [](const float(&w)[3], float(&u)[kSeen]) { Transforms<kTile>::taps(w, u); }, seen);
#pragma unroll
    for (int f = 0; f < Block<kTile>::kFrequencies; ++f) out[f * kSide] = seen[f / kSeen][f % kSeen];
  }
}

constexpr int kLeast = 16;  // channels below which blocks are too empty

// A tile of the result and where what it reads of the source begins.
template <int kTile>
struct Tile {
  bool there;
  int map, y, x;

  __device__ Tile(const Shape& s, unsigned tile) : there(tile < s.tiles) {
    map = s.perMap.quotient(tile);
    const unsigned inMap = tile - map * s.perMap.divisor, line = s.columns.quotient(inMap);
    y = kTile * line, x = kTile * (inMap - line * s.columns.divisor);
  }
  // bit kSeen · line + column of the tile with its border
  __device__ uint64_t inside(const Shape& s) const {
    constexpr int kSeen = Block<kTile>::kSeen;
    uint64_t bits = 0;
#pragma unroll
    for (int l = 0; l < kSeen; ++l)
#pragma unroll
      for (int c = 0; c < kSeen; ++c)
        if (there && unsigned(y - s.before[0] + l) < unsigned(s.height) && unsigned(x - s.before[1] + c) < unsigned(s.width))
          bits |= uint64_t(1) << (kSeen * l + c);
    return bits;
  }
  __device__ int start(const Shape& s, int channel) const {
    return ((map * s.from + channel) * s.height + y - s.before[0]) * s.width + x - s.before[1];
  }
};

// A block: kSide channels of kSide tiles, of whichever maps they are. Left operand: the kernel; right: tiles; terms: channels of the
// source.
template <int kTile>
__global__ void __launch_bounds__(Block<kTile>::kThreads, Block<kTile>::kResident)
    convolutionKernel(const float* maps, const float* kernel, const __grid_constant__ Shape s, int terms, Finish finish, float* to) {
  using B = Block<kTile>;
  constexpr int kSeen = B::kSeen;
  extern __shared__ __align__(16) float shared[];

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const unsigned block = blockIdx.x % s.blocks, first = blockIdx.x / s.blocks * kSide;
  const bool fetches = B::kThreads == kLanes || threadIdx.x < kLanes;
  const Tile<kTile> own(s, first + lane);
  const uint64_t inside = fetches ? own.inside(s) : 0;
  int source = own.start(s, warp);
  const auto* weights = reinterpret_cast<const float4*>(kernel + int64_t(block) * terms * B::kFrequencies * kSide) + threadIdx.x;

  [[maybe_unused]] float tile[kSeen][kSeen];
  [[maybe_unused]] float* const staged = shared + 2 * B::kBuffer + threadIdx.x;
  const auto fetchTile = [&](int term) {
    const uint64_t there = term + warp < s.from ? inside : 0;
#pragma unroll
    for (int l = 0; l < kSeen; ++l)
#pragma unroll
      for (int c = 0; c < kSeen; ++c) {
        const bool reads = there >> (kSeen * l + c) & 1;
        const float* number = maps + source + l * s.width + c;
        if constexpr (kTile == 2)
          tile[l][c] = reads ? *number : 0.f;
        else
          __pipeline_memcpy_async(staged + (kSeen * l + c) * kLanes, number, sizeof(float), reads ? 0 : sizeof(float));
      }
    source += kDepth * s.height * s.width;
  };
  // straight into shared memory, as no register is left for it
  constexpr int kCopies = kDepth * B::kFrequencies * kSide / 4 / B::kThreads, kTerms = kDepth / kCopies;  // terms copied at once
  const auto copyKernel = [&](float* buffer) {
    float* at = buffer + threadIdx.x / (B::kThreads / kTerms) * B::kTermPitch + threadIdx.x % (B::kThreads / kTerms) * 4;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) __pipeline_memcpy_async(at + i * kTerms * B::kTermPitch, weights + i * B::kThreads, sizeof(float4));
    weights += kCopies * B::kThreads;
  };
  const auto fetch = [&](float* buffer, int term) {
    copyKernel(buffer);
    if (fetches) fetchTile(term);
    __pipeline_commit();
  };
  const auto store = [&](float* buffer) {
    if (!fetches) return;
    float* at = buffer + B::kOperand + warp * B::kTermPitch + lane;
    if constexpr (kTile == 2) {
      storeInput<kTile>([&](int l, int c) { return tile[l][c]; }, at);
    } else {
      __pipeline_wait_prior(0);
      storeInput<kTile>([&](int l, int c) { return staged[(kSeen * l + c) * kLanes]; }, at);
    }
  };

  Products<kTile> products;
  fetch(shared, 0);
  store(shared);
  for (int term = 0; term < terms; term += kDepth) {
    const float* now = shared + term / kDepth % 2 * B::kBuffer;
    float* then = shared + (term / kDepth + 1) % 2 * B::kBuffer;
    const bool more = term + kDepth < terms;
    __pipeline_wait_prior(0);
    __syncthreads();
    if (more) fetch(then, term + kDepth);
    products.template add<0, kDepth / 2>(now, now + B::kOperand);
    if (more) store(then);
    products.template add<kDepth / 2, kDepth>(now, now + B::kOperand);
  }

  products.finish(shared, [&](int o, int t, const float(&m)[kSeen][kSeen]) {  // Aᵀ · m · A
    const int channel = block * kSide + o;
    const Tile<kTile> tile(s, first + t);
    if (channel >= s.to || !tile.there) return;
    const float bias = finish.bias ? finish.bias[channel] : 0.f;
    const auto finished = [&](float v) { return v + bias > 0.f ? v + bias : (v + bias) * finish.slope; };
    float y[kTile][kTile];
    alongBoth(
        m, [](const float(&v)[kSeen], float(&w)[kTile]) { Transforms<kTile>::output(v, w); }, y);
    float* at = to + ((int64_t(tile.map) * s.to + channel) * s.toHeight + tile.y) * s.toWidth + tile.x;
#pragma unroll
    for (int l = 0; l < kTile; ++l) {
      if (tile.y + l >= s.toHeight) break;
#pragma unroll
      for (int c = 0; c < kTile; ++c) y[l][c] = finished(y[l][c]);
      float* line = at + l * s.toWidth;
      if (kTile == 4 && s.toWidth % 4 == 0) {
        *reinterpret_cast<float4*>(line) = {y[l][0], y[l][1], y[l][kTile - 2], y[l][kTile - 1]};
        continue;
      }
#pragma unroll
      for (int c = 0; c < kTile; ++c)
        if (tile.x + c < s.toWidth) line[c] = y[l][c];
    }
  });
}

template <int kTile>
constexpr int kBytes = Block<kTile>::kBytes + (kTile == 2 ? 0 : kLanes * Block<kTile>::kFrequencies * static_cast<int>(sizeof(float)));

template <int kTile>
void convolve(Device& device, Pass pass, const Correlation& c, float* input, float* kernel, float* output, const Finish& finish) {
  using B = Block<kTile>;
  const Shape s(pass, c, kTile);
  const int terms = s.terms();
  const Pool::Piece transformed = device.pool.takeFloats(int64_t(s.blocks) * terms * B::kFrequencies * kSide);
  transformKernel<kTile>
      <<<blocksFor(int64_t(s.blocks) * terms * kSide), kThreads, 0, device.stream>>>(kernel, s, terms, transformed.floats());
  launched();
  const bool forward = pass == Pass::forward;
  convolutionKernel<kTile><<<static_cast<unsigned>(s.allBlocks()), B::kThreads, kBytes<kTile>, device.stream>>>(
      forward ? input : output, transformed.floats(), s, terms, finish, forward ? output : input);
  launched();
}

}  // namespace

bool isWinograd(const Device& device, Pass pass, const Correlation& c) {
  if (pass == Pass::weights || !c.isPlain3x3() || std::min(c.in, c.out) < kLeast) return false;
  const int64_t largest = std::max(c.inputFloats(), c.outputFloats());
  return c.rows * largest <= INT32_MAX &&
         device.fits(reinterpret_cast<const void*>(convolutionKernel<2>), kBytes<2>);  // places are counted in 31 bits
}

void winogradConvolution(Device& device, Pass pass, const Correlation& c, float* input, float* kernel, float* output,
                         const Finish& finish) {
  const auto run = [&](int tile) { (tile == 4 ? convolve<4> : convolve<2>)(device, pass, c, input, kernel, output, finish); };
  const auto time = [&](int tile) { return milliseconds(device, 2, [&] { run(tile); }); };
  const bool large = device.fits(reinterpret_cast<const void*>(convolutionKernel<4>), kBytes<4>);
  run(large ? chosenTile(device, Work::convolution, c.in, c.out, Shape(pass, c, 4).allBlocks(), time) : 2);
}

}  // namespace tracin::cuda
