#include "image_correlation.h"

#include "constant.h"
#include "running.h"
#include "winograd_vector.h"

namespace tracin::cpu::image_correlation {

namespace {

using winograd::ceilDiv, winograd::kLanes, winograd::kParts, winograd::kWidth, winograd::least, winograd::load, winograd::store,
    winograd::Vector;
// Channels and output blocks whose sums are in registers at a time, 4 · 3 · 2 of 32; or 4 · 3 of 16, for half a block.
constexpr int kChannels = 4, kBlocks = kParts == 1 ? 2 : 1;
// Lines of a box that are one task, and one part of the sum.
constexpr int kPart = 16;

// How one sum is shared out: by its shape alone.
struct Cut {
  int parts;       // of an image
  int64_t floats;  // of a gradient
  explicit Cut(const Sum& s)
      : parts(ceilDiv(s.out.height, kPart)), floats(int64_t(s.out.blocks) * s.lines * kColumns * s.in.channels * kLanes) {}
  int terms(const Sum& s) const { return s.gradients > 1 ? parts : parts * s.images; }  // of a gradient
  int64_t room(const Sum& s) const { return int64_t(parts) * s.images * floats; }
};

// sums[3][channels of the layer][16] of B output blocks += Σ over a line, for C of the channels and a register's outputs
template <int C, int B>
void line(const float* in, int64_t channel, const float* out, int64_t block, int width, float* sums, int64_t column, int64_t next) {
  Vector s[kColumns][C][B];
#pragma GCC unroll 3
  for (int k = 0; k < kColumns; ++k)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 2
      for (int b = 0; b < B; ++b) s[k][c][b] = load(sums + b * next + k * column + c * kLanes);
  for (int x = 0; x < width; ++x) {
    Vector g[B];
#pragma GCC unroll 2
    for (int b = 0; b < B; ++b) g[b] = load(out + b * block + int64_t(x) * kLanes);
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 3
      for (int k = 0; k < kColumns; ++k) {
        const Vector v = in[c * channel + x + k] - Vector{};
#pragma GCC unroll 2
        for (int b = 0; b < B; ++b) s[k][c][b] += v * g[b];
      }
  }
#pragma GCC unroll 3
  for (int k = 0; k < kColumns; ++k)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 2
      for (int b = 0; b < B; ++b) store(sums + b * next + k * column + c * kLanes, s[k][c][b]);
}

// One part of a gradient: the outputs of some lines of one image.
void part(const Sum& s, const float* in, const float* out, int from, int to, float* sums) {
  const int64_t column = int64_t(s.in.channels) * kLanes, kernelLine = kColumns * column, next = s.lines * kernelLine;
  for (int64_t i = 0; i < s.out.blocks * next; i += kWidth) store(sums + i, Vector{});
  for (int b = 0; b < s.out.blocks; b += kBlocks)
    for (int y = from; y < to; ++y)
      for (int ky = 0; ky < s.lines; ++ky)
        for (int c = 0; c < s.in.channels; c += kChannels) {
          withConstant<kChannels>(least(kChannels, s.in.channels - c), [&]<int C>() {
            withConstant<kBlocks>(least(kBlocks, s.out.blocks - b), [&]<int B>() {
              for (int lane = 0; lane < kLanes; lane += kWidth)
                line<C, B>(in + c * s.in.channel + (y + ky) * s.in.line, s.in.channel, out + b * s.out.block + y * s.out.line + lane,
                           s.out.block, s.out.width, sums + b * next + ky * kernelLine + c * kLanes + lane, column, next);
            });
          });
        }
}

int64_t floats(const Sum* sums, int count) {
  return Running(count, [&](int i) { return Cut(sums[i]).room(sums[i]); }).total();
}

void correlate(const Sum* sums, int count, float* room) {
  const Running tasks(count, [&](int i) { return int64_t(Cut(sums[i]).parts) * sums[i].images; });
  const Running rooms(count, [&](int i) { return Cut(sums[i]).room(sums[i]); });
  const Running gradients(count, [&](int i) { return int64_t(sums[i].gradients); });
#pragma omp parallel
  {
#pragma omp for schedule(dynamic, 1)
    for (int task = 0; task < tasks.total(); ++task) {
      const int i = tasks.ownerOf(task), within = task - int(tasks[i]);
      const Sum& s = sums[i];
      const Cut cut(s);
      const int image = within / cut.parts, from = within % cut.parts * kPart;
      part(s, s.in.data + (s.gradients > 1 ? 0 : image * s.in.image), s.out.data + image * s.out.image, from,
           least(from + kPart, s.out.height), room + rooms[i] + within * cut.floats);
    }
#pragma omp for schedule(static)
    for (int g = 0; g < gradients.total(); ++g) {
      const int i = gradients.ownerOf(g), within = g - int(gradients[i]);
      const Cut cut(sums[i]);
      const int terms = cut.terms(sums[i]);
      const float* from = room + rooms[i] + int64_t(within) * terms * cut.floats;
      float* to = sums[i].gradient + within * cut.floats;
      for (int64_t at = 0; at < cut.floats; at += kWidth) {
        Vector sum = load(from + at);
        for (int t = 1; t < terms; ++t) sum += load(from + t * cut.floats + at);
        store(to + at, sum);
      }
    }
  }
}

}  // namespace

const Kernels TRACIN_KERNELS{floats, correlate};

}  // namespace tracin::cpu::image_correlation
