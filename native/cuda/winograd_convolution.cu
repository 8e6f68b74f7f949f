#include "winograd_convolution.h"

#include <cuda_pipeline.h>
#include "winograd.cuh"

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

  Shape(Pass pass, const Correlation& c) : flipped(pass == Pass::data) {
    const bool forward = pass == Pass::forward;
    const Extent &source = forward ? c.input : c.output, &target = forward ? c.output : c.input;
    from = forward ? c.in : c.out, to = forward ? c.out : c.in;
    height = source[1], width = source[2], toHeight = target[1], toWidth = target[2];
    for (int a = 0; a < 2; ++a) before[a] = forward ? c.before[a + 1] : 2 - c.before[a + 1];
    const int lines = (toHeight + 1) / 2, line = (toWidth + 1) / 2;
    columns = Divider(line), perMap = Divider(int64_t(lines) * line);
    tiles = static_cast<unsigned>(within(int64_t(c.rows) * lines * line));
    blocks = (to + kSide - 1) / kSide;
    kernelTo = 9 * (forward ? c.in : 1), kernelFrom = 9 * (forward ? 1 : c.in);
  }
  int terms() const { return (from + kDepth - 1) / kDepth * kDepth; }
};

// transformed [blocks][terms][frequencies][kSide] = G · g · Gᵀ, zero where there are no channels
__global__ void transformKernel(const float* kernel, const __grid_constant__ Shape s, int terms, float* transformed) {
  TRACIN_EACH(i, int64_t(s.blocks) * terms * kSide) {
    const int place = i % kSide, term = i / kSide % terms, to = static_cast<int>(i / kSide / terms) * kSide + place;
    float* out = transformed + i / kSide * kFrequencies * kSide + place;
    const bool there = to < s.to && term < s.from;
    const float* g = kernel + int64_t(to) * s.kernelTo + int64_t(term) * s.kernelFrom;
    float lines[4][3];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      float tap[3];
#pragma unroll
      for (int l = 0; l < 3; ++l) tap[l] = there ? g[s.flipped ? 8 - (3 * l + c) : 3 * l + c] : 0.f;
      const float ends = .5f * (tap[0] + tap[2]), middle = .5f * tap[1];
      lines[0][c] = tap[0], lines[1][c] = ends + middle, lines[2][c] = ends - middle, lines[3][c] = tap[2];
    }
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      const float ends = .5f * (lines[l][0] + lines[l][2]), middle = .5f * lines[l][1];
      const float numbers[4] = {lines[l][0], ends + middle, ends - middle, lines[l][2]};
#pragma unroll
      for (int c = 0; c < 4; ++c) out[(4 * l + c) * kSide] = numbers[c];
    }
  }
}

constexpr int kLeast = 16;  // channels below which blocks are too empty

// A tile of the result and where what it reads of the source begins.
struct Tile {
  bool there;
  int map, y, x;

  __device__ Tile(const Shape& s, unsigned tile) : there(tile < s.tiles) {
    map = s.perMap.quotient(tile);
    const unsigned inMap = tile - map * s.perMap.divisor, line = s.columns.quotient(inMap);
    y = 2 * line, x = 2 * (inMap - line * s.columns.divisor);
  }
  // bit 4 · line + column of the tile with its border
  __device__ unsigned inside(const Shape& s) const {
    unsigned bits = 0;
#pragma unroll
    for (int l = 0; l < 4; ++l)
#pragma unroll
      for (int c = 0; c < 4; ++c)
        if (there && unsigned(y - s.before[0] + l) < unsigned(s.height) && unsigned(x - s.before[1] + c) < unsigned(s.width))
          bits |= 1u << (4 * l + c);
    return bits;
  }
  __device__ int start(const Shape& s, int channel) const {
    return ((map * s.from + channel) * s.height + y - s.before[0]) * s.width + x - s.before[1];
  }
};

// A block: kSide channels of kSide tiles, of whichever maps they are. Left operand: the kernel; right: tiles; terms: channels of the
// source.
__global__ void __launch_bounds__(kBlock, 2)
    convolutionKernel(const float* maps, const float* kernel, const __grid_constant__ Shape s, int terms, Finish finish, float* to) {
  extern __shared__ __align__(16) float shared[];

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const unsigned block = blockIdx.x % s.blocks, first = blockIdx.x / s.blocks * kSide;
  const Tile own(s, first + lane);
  const unsigned inside = own.inside(s);
  int source = own.start(s, warp);
  const auto* weights = reinterpret_cast<const float4*>(kernel + int64_t(block) * terms * kFrequencies * kSide) + threadIdx.x;

  float numbers[4][4];
  const auto fetchTile = [&](int term) {
    const unsigned there = term + warp < s.from ? inside : 0;
#pragma unroll
    for (int l = 0; l < 4; ++l)
#pragma unroll
      for (int c = 0; c < 4; ++c) numbers[l][c] = there >> (4 * l + c) & 1 ? maps[source + l * s.width + c] : 0.f;
    source += kDepth * s.height * s.width;
  };
  const auto storeTile = [&](float* buffer) {
    float* at = buffer + kOperand + warp * kTermPitch + lane;
#pragma unroll
    for (int l = 0; l < 4; ++l) transformInput(numbers[l][0], numbers[l][1], numbers[l][2], numbers[l][3]);
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      transformInput(numbers[0][c], numbers[1][c], numbers[2][c], numbers[3][c]);
#pragma unroll
      for (int l = 0; l < 4; ++l) at[(4 * l + c) * kSide] = numbers[l][c];
    }
  };
  // straight into shared memory, as no register is left for it
  constexpr int kCopies = kDepth * kFrequencies * kSide / 4 / kBlock, kTerms = kDepth / kCopies;  // terms that the block copies at once
  const auto copyKernel = [&](float* buffer) {
    float* at = buffer + threadIdx.x / (kBlock / kTerms) * kTermPitch + threadIdx.x % (kBlock / kTerms) * 4;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) __pipeline_memcpy_async(at + i * kTerms * kTermPitch, weights + i * kBlock, sizeof(float4));
    weights += kCopies * kBlock;
    __pipeline_commit();
  };

  Products products;
  copyKernel(shared);
  fetchTile(0);
  storeTile(shared);
  for (int term = 0; term < terms; term += kDepth) {
    const float* now = shared + term / kDepth % 2 * kBuffer;
    float* then = shared + (term / kDepth + 1) % 2 * kBuffer;
    const bool more = term + kDepth < terms;
    __pipeline_wait_prior(0);
    __syncthreads();
    if (more) copyKernel(then), fetchTile(term + kDepth);
    products.add<0, kDepth / 2>(now, now + kOperand);
    if (more) storeTile(then);
    products.add<kDepth / 2, kDepth>(now, now + kOperand);
  }

  products.finish(shared, [&](int o, int t, const float(&m)[kFrequencies]) {  // Aᵀ · m · A
    const int channel = block * kSide + o;
    const Tile tile(s, first + t);
    if (channel >= s.to || !tile.there) return;
    const float bias = finish.bias ? finish.bias[channel] : 0.f;
    const auto finished = [&](float v) { return v + bias > 0.f ? v + bias : (v + bias) * finish.slope; };
    float lines[2][4];
#pragma unroll
    for (int c = 0; c < 4; ++c) lines[0][c] = m[c] + m[4 + c] + m[8 + c], lines[1][c] = m[4 + c] - m[8 + c] - m[12 + c];
    float* at = to + ((int64_t(tile.map) * s.to + channel) * s.toHeight + tile.y) * s.toWidth + tile.x;
#pragma unroll
    for (int l = 0; l < 2; ++l) {
      if (tile.y + l >= s.toHeight) break;
      at[l * s.toWidth] = finished(lines[l][0] + lines[l][1] + lines[l][2]);
      if (tile.x + 1 < s.toWidth) at[l * s.toWidth + 1] = finished(lines[l][1] - lines[l][2] - lines[l][3]);
    }
  });
}

}  // namespace

bool isWinograd(const Device& device, Pass pass, const Correlation& c) {
  if (pass == Pass::weights || !c.isPlain3x3() || std::min(c.in, c.out) < kLeast) return false;
  const int64_t largest = std::max(c.in * volume(c.input), c.out * volume(c.output));
  return c.rows * largest <= INT32_MAX && fits(device, convolutionKernel);  // places are counted in 31 bits
}

void winogradConvolution(Device& device, Pass pass, const Correlation& c, float* input, float* kernel, float* output,
                         const Finish& finish) {
  const Shape s(pass, c);
  const int terms = s.terms();
  const Pool::Piece transformed = device.pool.takeFloats(int64_t(s.blocks) * terms * kFrequencies * kSide);
  transformKernel<<<blocksFor(int64_t(s.blocks) * terms * kSide), kThreads, 0, device.stream>>>(kernel, s, terms, transformed.floats());
  launched();
  const unsigned blocks = (s.tiles + kSide - 1) / kSide * s.blocks;
  const bool forward = pass == Pass::forward;
  convolutionKernel<<<blocks, kBlock, kSharedBytes, device.stream>>>(forward ? input : output, transformed.floats(), s, terms, finish,
                                                                     forward ? output : input);
  launched();
}

}  // namespace tracin::cuda
