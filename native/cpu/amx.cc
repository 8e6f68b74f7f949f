#include "amx.h"

#include <immintrin.h>

#include "running.h"

namespace tracin::cpu::amx {

namespace {

constexpr int kLanes = 16, kTaps = 9, kBlock = kLanes * kLanes;
constexpr int kTile = 512;  // bfloat16 numbers of a tile: 16 rows of 32
// correlate: numbers of either side that a thread goes over before the next strip, about half a second-level cache
constexpr int kStrip = 1 << 18;

using Brief = uint16_t;

inline int least(int a, int b) { return a < b ? a : b; }
inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }
inline int64_t floatsOf(int64_t briefs) { return (briefs + 31) / 32 * 16; }
inline __m512 load(const float* p) { return p ? _mm512_load_ps(p) : _mm512_setzero_ps(); }

// Thirty-two numbers, rounded to nearest: the sixteen of `low`, then those of `high`.
inline __m512i rounded(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

// The same in turns: low₀ high₀ low₁ high₁ …
inline __m512i paired(__m512 low, __m512 high) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3,
                                         18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, rounded(low, high));
}

// All eight tiles of 16 rows of 64 bytes.
struct Tiles {
  Tiles() {
    alignas(64) unsigned char config[64] = {1};
    for (int t = 0; t < 8; ++t) config[16 + 2 * t] = 64, config[48 + t] = 16;
    _tile_loadconfig(config);
  }
  ~Tiles() { _tile_release(); }
};

// Position (y, x) of a map given by its corner; null outside.
inline const float* at(const Maps& m, const float* map, int y, int x) {
  return y >= 0 && y < m.height && x >= 0 && x < m.width ? map + y * m.line + int64_t(x) * kLanes : nullptr;
}

// What windows of a pair's `out` read of its `in`, rounded: [32 channels][row][column][32], columns for whole tiles of 16 results.
struct Window {
  int halves, rows, columns;
  explicit Window(const Pair& p) : halves(ceilDiv(p.in.blocks, 2)), rows(p.out.height + 2), columns(ceilDiv(p.out.width, 16) * 16 + 2) {}
  int64_t line() const { return int64_t(columns) * 32; }
  int64_t map() const { return rows * line(); }
  int64_t image() const { return halves * map(); }
};

// For correlate: x by channel, [image][block][row][16][column], columns for whole tiles of 32 positions; y by pairs of positions,
// [image][block][row][pair][16][2].
struct Sides {
  int rows, columns, wide;
  Sides(const Maps& out) : rows(out.height + 2), columns(ceilDiv(out.width, 32) * 32 + 32), wide(ceilDiv(out.width, 32) * 32) {}
  int64_t line() const { return int64_t(kLanes) * columns; }
  int64_t input() const { return rows * line(); }
  int64_t block(const Maps& out) const { return int64_t(out.height) * wide * kLanes; }
};

// 16 × 16 numbers turned over.
inline void transpose(__m512 (&r)[kLanes]) {
  __m512 t[kLanes];
  for (int i = 0; i < 8; ++i)
    t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]), t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  const auto low = [](__m512 a, __m512 b) { return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))); };
  const auto high = [](__m512 a, __m512 b) { return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))); };
  for (int i = 0; i < 16; i += 4) {
    r[i] = low(t[i], t[i + 2]), r[i + 1] = high(t[i], t[i + 2]);
    r[i + 2] = low(t[i + 1], t[i + 3]), r[i + 3] = high(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88), t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88), t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; ++i) r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88), r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
}

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
  return floatsOf(Running(count, [&](int p) { return Window(pairs[p]).image(); }).total());
}

void convolve(const Pair* pairs, int count, const float* tiles, int offsetY, int offsetX, const float* bias, float slope, float* room) {
  if (!count) return;
  const int outs = pairs[0].out.blocks, ins = pairs[0].in.blocks, columns = ceilDiv(outs, 2), halves = ceilDiv(ins, 2);
  const Running images(count, [&](int p) { return Window(pairs[p]).image(); });
  const Running lines(count, [&](int p) { return halves * Window(pairs[p]).rows; });
  const Running doubles(count, [&](int p) { return ceilDiv(pairs[p].out.height, 2); });
  Brief* const packed = reinterpret_cast<Brief*>(room);
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int64_t task = 0; task < lines.total(); ++task) {
      const int p = lines.ownerOf(task);
      const auto& [in, out] = pairs[p];
      const Window window(pairs[p]);
      const int row = int(task - lines[p]) % window.rows, half = int(task - lines[p]) / window.rows;
      const int y = out.y + offsetY - in.y + row, left = out.x + offsetX - in.x;
      const float* first = in.data + 2 * half * in.block;
      auto* to = reinterpret_cast<__m512i*>(packed + images[p] + half * window.map() + row * window.line());
      const bool second = 2 * half + 1 < in.blocks;
      for (int x = 0; x < window.columns; ++x) {
        const float* low = at(in, first, y, left + x);
        to[x] = rounded(load(low), load(low && second ? low + in.block : nullptr));
      }
    }
    const Tiles configured;
    alignas(64) float result[4][kBlock];
    // two rows of sixteen results for two blocks of channels
#pragma omp for schedule(dynamic, 4)
    for (int64_t task = 0; task < columns * doubles.total(); ++task) {
      const int o = int(task / doubles.total()) * 2, p = doubles.ownerOf(task % doubles.total());
      const int y = int(task % doubles.total() - doubles[p]) * 2;
      const Maps& out = pairs[p].out;
      const Window window(pairs[p]);
      const int64_t line = window.line();
      const Brief* x0 = packed + images[p] + y * line;
      const int second = y + 1 < out.height ? 1 : 0;
      for (int a = 0; a < ceilDiv(out.width, 16); ++a) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int half = 0; half < halves; ++half) {
          const Brief* w0 = reinterpret_cast<const Brief*>(tiles) + (int64_t(o) * halves + half) * kTaps * kTile;
          const Brief* w1 = w0 + int64_t(halves) * kTaps * kTile;
          const Brief* x = x0 + half * window.map() + a * 16 * 32;
          for (int tap = 0; tap < kTaps; ++tap) {
            const Brief* from = x + tap / 3 * line + tap % 3 * 32;
            _tile_loadd(4, from, 64);
            _tile_loadd(5, from + second * line, 64);
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
        const int count = least(16, out.width - a * 16);
        for (int part = 0; part < 4; ++part) {
          const int block = o + part % 2, row = y + part / 2;
          if (block >= outs || row >= out.height) continue;
          const __m512 shift = load(bias ? bias + block * kLanes : nullptr), zero = _mm512_setzero_ps();
          float* to = out.data + block * out.block + row * out.line + int64_t(a) * kBlock;
          for (int i = 0; i < count; ++i) {
            const __m512 z = _mm512_add_ps(_mm512_load_ps(result[part] + i * kLanes), shift);
            const __mmask16 below = _mm512_cmp_ps_mask(z, zero, _CMP_LE_OQ);
            _mm512_store_ps(to + i * kLanes, _mm512_mask_mul_ps(z, below, z, _mm512_set1_ps(slope)));
          }
        }
      }
    }
  }
}

namespace {

// Strips of rows, and parts of strips whose sums are added up at the end: by the shape alone.
struct Cut {
  int rows, strips, parts;
  Cut(int images, int gradients, const Maps& in, const Maps& out) {
    const Sides sides(out);
    rows = kStrip / (4 * kLanes * sides.columns);
    rows = least(rows < 1 ? 1 : rows, out.height);
    strips = (gradients > 1 ? 1 : images) * ceilDiv(out.height, rows);
    const int tasks = ceilDiv(in.blocks, 2) * ceilDiv(gradients * out.blocks, 2);
    parts = least(ceilDiv(8, tasks), strips);
  }
};

}  // namespace

int64_t correlateFloats(int images, int gradients, const Maps& in, const Maps& out) {
  const Sides sides(out);
  const Cut cut(images, gradients, in, out);
  const int inputs = gradients > 1 ? 1 : images;
  return floatsOf(int64_t(inputs) * in.blocks * sides.input()) + floatsOf(images * out.blocks * sides.block(out)) +
         (cut.parts > 1 ? int64_t(cut.parts) * gradients * out.blocks * in.blocks * kTaps * kBlock : 0);
}

void correlate(int images, int gradients, const Maps& in, const Maps& out, int offsetY, int offsetX, float* gradient, float* room) {
  const Sides sides(out);
  const Cut cut(images, gradients, in, out);
  const int inputs = gradients > 1 ? 1 : images, blocks = gradients * out.blocks;
  const int rows = ceilDiv(in.blocks, 2), columns = ceilDiv(blocks, 2), perImage = ceilDiv(out.height, cut.rows);
  Brief* const x = reinterpret_cast<Brief*>(room);
  Brief* const y = reinterpret_cast<Brief*>(room + floatsOf(int64_t(inputs) * in.blocks * sides.input()));
  float* const partial = reinterpret_cast<float*>(y) + floatsOf(images * out.blocks * sides.block(out));
  const int64_t total = int64_t(blocks) * in.blocks * kTaps * kBlock;
  const int top = out.y + offsetY - in.y, left = out.x + offsetX - in.x;
#pragma omp parallel
  {
#pragma omp for schedule(static) nowait
    for (int task = 0; task < inputs * in.blocks * sides.rows; ++task) {
      const int row = task % sides.rows, block = task / sides.rows % in.blocks, image = task / sides.rows / in.blocks;
      const float* map = in.data + image * in.image + block * in.block;
      Brief* to = x + (int64_t(image) * in.blocks + block) * sides.input() + row * sides.line();
      for (int c = 0; c < sides.columns; c += kLanes) {
        __m512 square[kLanes];
        for (int i = 0; i < kLanes; ++i) square[i] = load(at(in, map, top + row, left + c + i));
        transpose(square);
        for (int i = 0; i < kLanes; ++i)
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * sides.columns + c), (__m256i)_mm512_cvtneps_pbh(square[i]));
      }
    }
#pragma omp for schedule(static)
    for (int task = 0; task < images * out.blocks * out.height; ++task) {
      const int row = task % out.height, block = task / out.height % out.blocks, image = task / out.height / out.blocks;
      const float* map = out.data + image * out.image + block * out.block;
      auto* to =
          reinterpret_cast<__m512i*>(y + (int64_t(image) * out.blocks + block) * sides.block(out) + int64_t(row) * sides.wide * kLanes);
      for (int c = 0; c < sides.wide; c += 2) to[c / 2] = paired(load(at(out, map, row, c)), load(at(out, map, row, c + 1)));
    }
    const Tiles configured;
#pragma omp for schedule(dynamic, 1)
    for (int task = 0; task < cut.parts * rows * columns; ++task) {
      const int part = task / (rows * columns), i = task / columns % rows * 2, o = task % columns * 2;
      const int ii = least(i + 1, in.blocks - 1), oo = least(o + 1, blocks - 1);  // the last may be alone: then it is computed twice
      float* to = cut.parts > 1 ? partial + part * total : gradient;
      const auto sums = [&](int ob, int ib, int tap) { return to + ((int64_t(ob) * in.blocks + ib) * kTaps + tap) * kBlock; };
      const int end = (part + 1) * cut.strips / cut.parts;
      for (int strip = part * cut.strips / cut.parts, begun = 0; strip < end; ++strip, begun = 1) {
        const int image = strip / perImage, from = strip % perImage * cut.rows, until = least(from + cut.rows, out.height);
        const auto left = [&](int ib) { return x + (int64_t(image) * in.blocks + ib) * sides.input(); };
        const auto right = [&](int ob) { return y + (gradients > 1 ? ob : int64_t(image) * out.blocks + ob) * sides.block(out); };
        const Brief *a0 = left(i), *a1 = left(ii), *b0 = right(o), *b1 = right(oo);
        const int64_t step = sides.columns * int64_t(sizeof(Brief));
        for (int tap = 0; tap < kTaps; ++tap) {
          if (begun) {
            _tile_loadd(0, sums(o, i, tap), 64);
            _tile_loadd(1, sums(oo, i, tap), 64);
            _tile_loadd(2, sums(o, ii, tap), 64);
            _tile_loadd(3, sums(oo, ii, tap), 64);
          } else {
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
          }
          for (int row = from; row < until; ++row)
            for (int c = 0; c < sides.wide; c += 32) {
              const int64_t l = (row + tap / 3) * sides.line() + c + tap % 3, r = (int64_t(row) * sides.wide + c) * kLanes;
              _tile_loadd(4, a0 + l, step);
              _tile_loadd(5, a1 + l, step);
              _tile_loadd(6, b0 + r, 64);
              _tile_loadd(7, b1 + r, 64);
              _tile_dpbf16ps(0, 4, 6);
              _tile_dpbf16ps(1, 4, 7);
              _tile_dpbf16ps(2, 5, 6);
              _tile_dpbf16ps(3, 5, 7);
            }
          _tile_stored(0, sums(o, i, tap), 64);
          _tile_stored(1, sums(oo, i, tap), 64);
          _tile_stored(2, sums(o, ii, tap), 64);
          _tile_stored(3, sums(oo, ii, tap), 64);
        }
      }
    }
    if (cut.parts > 1) {
#pragma omp for schedule(static)
      for (int64_t n = 0; n < total; n += kLanes) {
        __m512 sum = _mm512_load_ps(partial + n);
        for (int part = 1; part < cut.parts; ++part) sum = _mm512_add_ps(sum, _mm512_load_ps(partial + part * total + n));
        _mm512_store_ps(gradient + n, sum);
      }
    }
  }
}

}  // namespace tracin::cpu::amx
