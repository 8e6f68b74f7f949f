#include "amx_tiles.h"

namespace tracin::cpu::amx {

namespace {

// What the windows of a pair's `out` read of its `in`, rounded: [32 channels][position][32]; and whether sixteen positions have anything
// in them: [32 channels][sixteen positions].
struct Window : Lines {
  int halves, tiles, length;
  explicit Window(const Pair& p)
      : Lines(p.out), halves(ceilDiv(p.in.blocks, 2)), tiles(ceilDiv(positions, 16)), length(tiles * 16 + tap(kTaps - 1)) {}
  int64_t map() const { return int64_t(length) * 32; }
  int64_t image() const { return halves * map(); }
  int sixteens() const { return ceilDiv(length, 16); }
  // Whether what so many positions from a tile's first on read has anything in it.
  bool reads(const bool* filled, int tile, int positions) const {
    for (int line = 0; line < 3; ++line) {
      const int first = tile * 16 + tap(3 * line), last = first + positions - 1 + 2;
      for (int sixteen = first / 16; sixteen <= last / 16; ++sixteen)
        if (filled[sixteen]) return true;
    }
    return false;
  }
};

}  // namespace

int64_t kernelFloats(int inBlocks, int outBlocks) {
  return floatsOf(int64_t(ceilDiv(inBlocks, 2)) * (outBlocks + outBlocks % 2) * kTaps * kTile);
}

// [output block][32 input channels][tap][16 pairs of input channels][16 output channels][2], an even number of output blocks
void pack(const Kernel& kernel, int inBlocks, int outBlocks, float* tiles) {
  const int pairs = ceilDiv(inBlocks, 2), blocks = outBlocks + outBlocks % 2;
#pragma omp parallel for schedule(static)
  for (int task = 0; task < blocks * pairs; ++task) {
    const int o = task / pairs, pair = task % pairs;
    for (int tap = 0; tap < kTaps; ++tap) {
      auto* to = reinterpret_cast<__m512i*>(reinterpret_cast<Brief*>(tiles) + (int64_t(task) * kTaps + tap) * kTile);
      const int from = kernel.turned ? kTaps - 1 - tap : tap;
      for (int row = 0; row < kLanes; ++row) {
        const int block = 2 * pair + row / 8, channel = row % 8 * 2;
        const float* w = kernel.data + block * kernel.inStride + o * kernel.outStride + from * kBlock + channel * kLanes;
        const bool there = o < outBlocks && block < inBlocks;
        to[row] = paired(load(there ? w : nullptr), load(there ? w + kLanes : nullptr));
      }
    }
  }
}

int64_t convolveFloats(const Pair* pairs, int count) {
  return floatsOf(Running(count, [&](int p) { return Window(pairs[p]).image(); }).total()) +
         flagFloats(Running(count, [&](int p) { return Window(pairs[p]).halves * Window(pairs[p]).sixteens(); }).total());
}

void convolve(const Pair* pairs, int count, const float* tiles, int offsetY, int offsetX, float* room) {
  if (!count) return;
  const int outs = pairs[0].out.blocks, ins = pairs[0].in.blocks, columns = ceilDiv(outs, 2), halves = ceilDiv(ins, 2);
  const Running images(count, [&](int p) { return Window(pairs[p]).image(); });
  const Running stretches(count, [&](int p) { return halves * ceilDiv(Window(pairs[p]).length, kPacked); });
  const Running doubles(count, [&](int p) { return ceilDiv(Window(pairs[p]).tiles, 2); });
  const Running sixteens(count, [&](int p) { return halves * Window(pairs[p]).sixteens(); });
  Brief* const packed = reinterpret_cast<Brief*>(room);
  bool* const filled = reinterpret_cast<bool*>(room + floatsOf(images.total()));
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int64_t task = 0; task < stretches.total(); ++task) {
      const int p = stretches.ownerOf(task), within = int(task - stretches[p]);
      const auto& [in, out] = pairs[p];
      const Window window(pairs[p]);
      const int half = within % halves, start = within / halves * kPacked;
      const int top = out.y + offsetY - in.y, left = out.x + offsetX - in.x;
      const float* first = in.data + 2 * half * in.block;
      auto* to = reinterpret_cast<__m512i*>(packed + images[p] + half * window.map());
      const bool second = 2 * half + 1 < in.blocks;
      bool* const flags = filled + sixteens[p] + half * window.sixteens();
      Walk w(window.columns, start);
      for (int n = start, end = least(start + kPacked, window.length); n < end;) {
        __m512i all = _mm512_setzero_si512();
        const int sixteen = n / 16;
        for (const int last = least(n + 16, end); n < last; ++n, w.step()) {
          const float* low = at(in, first, top + w.y, left + w.x);
          to[n] = rounded(load(low), load(low && second ? low + in.block : nullptr));
          all = _mm512_or_si512(all, to[n]);
        }
        flags[sixteen] = any(all);
      }
    }
    const Tiles configured;
    alignas(64) float result[4][kBlock];
    // two tiles of sixteen positions for two blocks of channels
#pragma omp for schedule(dynamic, 4)
    for (int64_t task = 0; task < columns * doubles.total(); ++task) {
      const int o = int(task / doubles.total()) * 2, p = doubles.ownerOf(task % doubles.total());
      const int tile = int(task % doubles.total() - doubles[p]) * 2;
      const Maps& out = pairs[p].out;
      const Window window(pairs[p]);
      const int second = tile + 1 < window.tiles ? 16 * 32 : 0;
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      for (int half = 0; half < halves; ++half) {
        if (!window.reads(filled + sixteens[p] + half * window.sixteens(), tile, second ? 32 : 16)) continue;
        const Brief* w0 = reinterpret_cast<const Brief*>(tiles) + (int64_t(o) * halves + half) * kTaps * kTile;
        const Brief* w1 = w0 + int64_t(halves) * kTaps * kTile;
        const Brief* x = packed + images[p] + half * window.map() + tile * 16 * 32;
        for (int tap = 0; tap < kTaps; ++tap) {
          const Brief* from = x + window.tap(tap) * 32;
          _tile_loadd(4, from, 64);
          _tile_loadd(5, from + second, 64);
          _tile_loadd(6, w0 + tap * kTile, 64);
          _tile_loadd(7, w1 + tap * kTile, 64);
          _tile_dpbf16ps(0, 4, 6);
          _tile_dpbf16ps(1, 4, 7);
          _tile_dpbf16ps(2, 5, 6);
          _tile_dpbf16ps(3, 5, 7);
        }
      }
      _tile_stored(0, result[0], 64);
      _tile_stored(1, result[1], 64);
      _tile_stored(2, result[2], 64);
      _tile_stored(3, result[3], 64);
      for (int part = 0; part < 4; ++part) {
        const int block = o + part % 2;
        if (block >= outs || (part > 1 && !second)) continue;
        float* to = out.data + block * out.block;
        Walk w(window.columns, (tile + part / 2) * 16);
        for (int n = 0; n < 16; ++n, w.step()) {
          if (w.x >= out.width || w.y >= out.height) continue;
          _mm512_store_ps(to + w.y * out.line + int64_t(w.x) * kLanes, _mm512_load_ps(result[part] + n * kLanes));
        }
      }
    }
  }
}

}  // namespace tracin::cpu::amx
