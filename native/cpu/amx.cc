#include "amx.h"

#include <immintrin.h>

#include "finish.h"
#include "running.h"

namespace tracin::cpu::amx {

namespace {

constexpr int kLanes = 16, kTaps = 9, kBlock = kLanes * kLanes;
constexpr int kTile = 512;          // bfloat16 numbers of a tile: 16 rows of 32
constexpr int kSpan = 32;           // positions that one multiplication of tiles sums over
constexpr int kPacked = 8 * kSpan;  // positions that a thread packs at a time
// correlate: spans that a thread goes over before the next strip: of two blocks of either side, about half a second-level cache
constexpr int kStrip = 1 << 7;

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

// Positions of a box are counted along its lines, two more to a line than it has, so what tap (y, x) reads lies y lines and x positions
// further on, and sixteen positions in a row need not be of one line. At the two extra ones nothing is asked for.
struct Lines {
  int columns, positions;
  explicit Lines(const Maps& out) : columns(out.width + 2), positions(out.height * columns) {}
  int tap(int t) const { return t / 3 * columns + t % 3; }
};

// Goes over positions (line, column) one after another.
struct Walk {
  const int columns;
  int y, x;
  Walk(int columns, int position) : columns(columns), y(position / columns), x(position % columns) {}
  void step() {
    if (++x == columns) x = 0, ++y;
  }
};

// What the windows of a pair's `out` read of its `in`, rounded: [32 channels][position][32].
struct Window : Lines {
  int halves, tiles, length;
  explicit Window(const Pair& p)
      : Lines(p.out), halves(ceilDiv(p.in.blocks, 2)), tiles(ceilDiv(positions, 16)), length(tiles * 16 + tap(kTaps - 1)) {}
  int64_t map() const { return int64_t(length) * 32; }
  int64_t image() const { return halves * map(); }
};

// For correlate: x by channel, [image][block][16][position]; y by pairs of positions, [image][block][pair][16][2], zero where nothing is
// asked for.
struct Sides : Lines {
  int spans, stride;
  explicit Sides(const Maps& out) : Lines(out), spans(ceilDiv(positions, kSpan)) {
    stride = ceilDiv(spans * kSpan + tap(kTaps - 1), kSpan) * kSpan;
    if (stride / kSpan % 2 == 0) stride += kSpan;  // lest the sixteen lie on the same cache lines
  }
  int64_t input() const { return int64_t(kLanes) * stride; }
  int64_t block() const { return int64_t(spans) * kTile; }
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
  const Running stretches(count, [&](int p) { return halves * ceilDiv(Window(pairs[p]).length, kPacked); });
  const Running doubles(count, [&](int p) { return ceilDiv(Window(pairs[p]).tiles, 2); });
  Brief* const packed = reinterpret_cast<Brief*>(room);
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
      Walk w(window.columns, start);
      for (int n = start; n < least(start + kPacked, window.length); ++n, w.step()) {
        const float* low = at(in, first, top + w.y, left + w.x);
        to[n] = rounded(load(low), load(low && second ? low + in.block : nullptr));
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
        const __m512 shift = load(bias ? bias + block * kLanes : nullptr), zero = _mm512_setzero_ps();
        float* to = out.data + block * out.block;
        Walk w(window.columns, (tile + part / 2) * 16);
        for (int n = 0; n < 16; ++n, w.step()) {
          if (w.x >= out.width || w.y >= out.height) continue;
          const __m512 z = _mm512_add_ps(_mm512_load_ps(result[part] + n * kLanes), shift);
          const __mmask16 below = _mm512_cmp_ps_mask(z, zero, _CMP_LE_OQ);
          _mm512_store_ps(to + w.y * out.line + int64_t(w.x) * kLanes, _mm512_mask_mul_ps(z, below, z, _mm512_set1_ps(slope)));
        }
      }
    }
  }
}

namespace {

// How one sum is shared out: strips of spans, and parts of strips whose sums are added up at the end. By the shape alone.
struct Cut {
  int images, blocks, perImage, strips, rows, columns, parts;
  int64_t total;
  explicit Cut(const Sum& s) {
    images = s.gradients > 1 ? 1 : s.images, blocks = s.gradients * s.out.blocks;
    perImage = ceilDiv(Sides(s.out).spans, kStrip), strips = images * perImage;
    rows = ceilDiv(s.in.blocks, 2), columns = ceilDiv(blocks, 2);
    parts = least(ceilDiv(8, rows * columns), strips);
    total = int64_t(blocks) * s.in.blocks * kTaps * kBlock;
  }
  int tasks() const { return parts * rows * columns; }
};

// Where a sum's numbers lie in the room: its inputs, its outputs, its parts.
struct Room {
  int64_t inputs, outputs, parts;
  explicit Room(const Sum& s) {
    const Sides sides(s.out);
    const Cut cut(s);
    inputs = floatsOf(int64_t(cut.images) * s.in.blocks * sides.input()), outputs = floatsOf(s.images * s.out.blocks * sides.block());
    parts = cut.parts > 1 ? cut.parts * cut.total : 0;
  }
  int64_t total() const { return inputs + outputs + parts; }
};

// Positions [start, end) of one block of x, sixteen channels by so many positions.
void packInput(const Maps& in, const float* map, const Sides& sides, int top, int left, int start, int end, Brief* to) {
  Walk w(sides.columns, start);
  for (int n = start; n < end; n += kLanes) {
    __m512 square[kLanes];
    for (int i = 0; i < kLanes; ++i, w.step()) square[i] = load(at(in, map, top + w.y, left + w.x));
    transpose(square);
    for (int i = 0; i < kLanes; ++i)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * int64_t(sides.stride) + n), (__m256i)_mm512_cvtneps_pbh(square[i]));
  }
}

// The same of one block of y.
void packOutput(const Maps& out, const float* map, const Sides& sides, int start, int end, Brief* to) {
  Walk w(sides.columns, start);
  const auto next = [&] {
    const float* p = at(out, map, w.y, w.x);
    w.step();
    return load(p);
  };
  for (int n = start; n < end; n += 2) {
    const __m512 low = next();
    reinterpret_cast<__m512i*>(to)[n / 2] = paired(low, next());
  }
}

}  // namespace

int64_t correlateFloats(const Sum* sums, int count) {
  return Running(count, [&](int s) { return Room(sums[s]).total(); }).total();
}

void correlate(const Sum* sums, int count, int offsetY, int offsetX, const Scaling* scaling, float* room) {
  const Running rooms(count, [&](int s) { return Room(sums[s]).total(); });
  const Running inputs(
      count, [&](int s) { return int64_t(Cut(sums[s]).images) * sums[s].in.blocks * ceilDiv(Sides(sums[s].out).stride, kPacked); });
  const Running outputs(
      count, [&](int s) { return int64_t(sums[s].images) * sums[s].out.blocks * ceilDiv(Sides(sums[s].out).spans * kSpan, kPacked); });
  const Running tasks(count, [&](int s) { return Cut(sums[s]).tasks(); });
  // (output block, input block) of all gradients
  const Running firsts(count, [&](int s) { return Cut(sums[s]).blocks * sums[s].in.blocks; });
#pragma omp parallel
  {
#pragma omp for schedule(static) nowait
    for (int64_t task = 0; task < inputs.total(); ++task) {
      const int s = inputs.ownerOf(task), within = int(task - inputs[s]);
      const Maps &in = sums[s].in, &out = sums[s].out;
      const Sides sides(out);
      const int stretches = ceilDiv(sides.stride, kPacked), map = within / stretches, start = within % stretches * kPacked;
      packInput(in, in.data + map / in.blocks * in.image + map % in.blocks * in.block, sides, out.y + offsetY - in.y,
                out.x + offsetX - in.x, start, least(start + kPacked, sides.stride),
                reinterpret_cast<Brief*>(room + rooms[s]) + map * sides.input());
    }
#pragma omp for schedule(static)
    for (int64_t task = 0; task < outputs.total(); ++task) {
      const int s = outputs.ownerOf(task), within = int(task - outputs[s]);
      const Maps& out = sums[s].out;
      const Sides sides(out);
      const int stretches = ceilDiv(sides.spans * kSpan, kPacked), map = within / stretches, start = within % stretches * kPacked;
      packOutput(out, out.data + map / out.blocks * out.image + map % out.blocks * out.block, sides, start,
                 least(start + kPacked, sides.spans * kSpan),
                 reinterpret_cast<Brief*>(room + rooms[s] + Room(sums[s]).inputs) + map * sides.block());
    }
    const Tiles configured;
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < tasks.total(); ++task) {
      const int s = tasks.ownerOf(task), within = int(task - tasks[s]);
      const Sum& sum = sums[s];
      const Sides sides(sum.out);
      const Cut cut(sum);
      const Room own(sum);
      const Brief* x = reinterpret_cast<const Brief*>(room + rooms[s]);
      const Brief* y = reinterpret_cast<const Brief*>(room + rooms[s] + own.inputs);
      const int part = within / (cut.rows * cut.columns), i = within / cut.columns % cut.rows * 2, o = within % cut.columns * 2;
      // the last may be alone: then it is computed twice
      const int ii = least(i + 1, sum.in.blocks - 1), oo = least(o + 1, cut.blocks - 1);
      float* to = cut.parts > 1 ? room + rooms[s] + own.inputs + own.outputs + part * cut.total : sum.gradient;
      const auto block = [&](int ob, int ib) { return to + (int64_t(ob) * sum.in.blocks + ib) * kTaps * kBlock; };
      float *const s0 = block(o, i), *const s1 = block(oo, i), *const s2 = block(o, ii), *const s3 = block(oo, ii);
      const int64_t step = sides.stride * int64_t(sizeof(Brief));
      const int begin = part * cut.strips / cut.parts, end = (part + 1) * cut.strips / cut.parts;
      for (int strip = begin; strip < end; ++strip) {
        const int image = strip / cut.perImage, from = strip % cut.perImage * kStrip, until = least(from + kStrip, sides.spans);
        const auto left = [&](int ib) { return x + (int64_t(image) * sum.in.blocks + ib) * sides.input(); };
        const auto right = [&](int ob) { return y + (sum.gradients > 1 ? ob : int64_t(image) * sum.out.blocks + ob) * sides.block(); };
        const Brief *a0 = left(i), *a1 = left(ii), *b0 = right(o), *b1 = right(oo);
        for (int tap = 0; tap < kTaps; ++tap) {
          const int64_t at = tap * kBlock;
          if (strip > begin) {
            _tile_loadd(0, s0 + at, 64);
            _tile_loadd(1, s1 + at, 64);
            _tile_loadd(2, s2 + at, 64);
            _tile_loadd(3, s3 + at, 64);
          } else {
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
          }
          for (int span = from; span < until; ++span) {
            const int64_t l = span * kSpan + sides.tap(tap), r = int64_t(span) * kTile;
            _tile_loadd(4, a0 + l, step);
            _tile_loadd(5, a1 + l, step);
            _tile_loadd(6, b0 + r, 64);
            _tile_loadd(7, b1 + r, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
          }
          _tile_stored(0, s0 + at, 64);
          _tile_stored(1, s1 + at, 64);
          _tile_stored(2, s2 + at, 64);
          _tile_stored(3, s3 + at, 64);
        }
      }
      if (cut.parts > 1) continue;
      for (int ob = o; ob <= oo; ++ob)
        for (int ib = i; ib <= ii; ++ib) {
          Finish finish(scaling, sum, ob, ib);
          finish.all(block(ob, ib));
          finish.keep(firsts[s]);
        }
    }
#pragma omp for schedule(static)
    for (int64_t task = 0; task < firsts.total(); ++task) {
      const int s = firsts.ownerOf(task), at = int(task - firsts[s]);
      const Cut cut(sums[s]);
      if (cut.parts == 1) continue;
      const Room own(sums[s]);
      const float* from = room + rooms[s] + own.inputs + own.outputs + int64_t(at) * kTaps * kBlock;
      float* to = sums[s].gradient + int64_t(at) * kTaps * kBlock;
      for (int64_t n = 0; n < kTaps * kBlock; n += kLanes) {
        __m512 sum = _mm512_load_ps(from + n);
        for (int part = 1; part < cut.parts; ++part) sum = _mm512_add_ps(sum, _mm512_load_ps(from + part * cut.total + n));
        _mm512_store_ps(to + n, sum);
      }
      Finish finish(scaling, sums[s], at / sums[s].in.blocks, at % sums[s].in.blocks);
      finish.all(to);
      finish.keep(firsts[s]);
    }
  }
}

}  // namespace tracin::cpu::amx
