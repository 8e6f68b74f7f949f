#include "amx_tiles.h"
#include "finish.h"

namespace tracin::cpu::amx {

namespace {

// correlate: spans that a thread goes over before the next strip: of two blocks of either side, about half a second-level cache
constexpr int kStrip = 1 << 7;

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

// Where a sum's numbers lie in the room: its inputs, its outputs, which of their spans have anything in them, its parts.
struct Room {
  int64_t inputs, outputs, flags, parts;
  explicit Room(const Sum& s) {
    const Sides sides(s.out);
    const Cut cut(s);
    inputs = floatsOf(int64_t(cut.images) * s.in.blocks * sides.input()), outputs = floatsOf(s.images * s.out.blocks * sides.block());
    flags = flagFloats(int64_t(s.images) * s.out.blocks * sides.spans), parts = cut.parts > 1 ? cut.parts * cut.total : 0;
  }
  int64_t total() const { return beforeParts() + parts; }
  int64_t beforeParts() const { return inputs + outputs + flags; }
};

// Positions [start, end) of one block of x, sixteen channels by so many positions.
void packInput(const Maps& in, const float* map, const Sides& sides, int top, int left, int start, int end, Brief* to) {
  Walk w(sides.columns, start);
  for (int n = start; n < end; n += kLanes) {
    __m512 square[kLanes];
    for (int i = 0; i < kLanes; ++i, w.step()) square[i] = load(at(in, map, top + w.y, left + w.x));
    transpose(square);
    for (int i = 0; i < kLanes; ++i)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * int64_t(sides.stride) + n), rounded(square[i]));
  }
}

// The same of one block of y.
void packOutput(const Maps& out, const float* map, const Sides& sides, int start, int end, Brief* to, bool* filled) {
  Walk w(sides.columns, start);
  const auto next = [&] {
    const float* p = at(out, map, w.y, w.x);
    w.step();
    return load(p);
  };
  for (int span = start / kSpan; span < end / kSpan; ++span) {
    auto* pairs = reinterpret_cast<__m512i*>(to + int64_t(span) * kTile);
    __m512i all = _mm512_setzero_si512();
    for (int pair = 0; pair < kSpan / 2; ++pair) {
      const __m512 low = next();
      pairs[pair] = paired(low, next());
      all = _mm512_or_si512(all, pairs[pair]);
    }
    filled[span] = any(all);
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
      const Room own(sums[s]);
      float* const from = room + rooms[s] + own.inputs;
      packOutput(out, out.data + map / out.blocks * out.image + map % out.blocks * out.block, sides, start,
                 least(start + kPacked, sides.spans * kSpan), reinterpret_cast<Brief*>(from) + map * sides.block(),
                 reinterpret_cast<bool*>(from + own.outputs) + map * sides.spans);
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
      const bool* filled = reinterpret_cast<const bool*>(room + rooms[s] + own.inputs + own.outputs);
      const int part = within / (cut.rows * cut.columns), i = within / cut.columns % cut.rows * 2, o = within % cut.columns * 2;
      // the last may be alone: then it is computed twice
      const int ii = least(i + 1, sum.in.blocks - 1), oo = least(o + 1, cut.blocks - 1);
      float* to = cut.parts > 1 ? room + rooms[s] + own.beforeParts() + part * cut.total : sum.gradient;
      const auto block = [&](int ob, int ib) { return to + (int64_t(ob) * sum.in.blocks + ib) * kTaps * kBlock; };
      float *const s0 = block(o, i), *const s1 = block(oo, i), *const s2 = block(o, ii), *const s3 = block(oo, ii);
      const int64_t step = sides.stride * int64_t(sizeof(Brief));
      const int begin = part * cut.strips / cut.parts, end = (part + 1) * cut.strips / cut.parts;
      for (int strip = begin; strip < end; ++strip) {
        const int image = strip / cut.perImage, from = strip % cut.perImage * kStrip, until = least(from + kStrip, sides.spans);
        const auto left = [&](int ib) { return x + (int64_t(image) * sum.in.blocks + ib) * sides.input(); };
        const auto right = [&](int ob) { return sum.gradients > 1 ? ob : int64_t(image) * sum.out.blocks + ob; };
        const Brief *a0 = left(i), *a1 = left(ii), *b0 = y + right(o) * sides.block(), *b1 = y + right(oo) * sides.block();
        const bool *f0 = filled + right(o) * sides.spans, *f1 = filled + right(oo) * sides.spans;
        int spans[kStrip], count = 0;  // with anything in them
        for (int span = from; span < until; ++span)
          if (f0[span] || f1[span]) spans[count++] = span;
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
          for (int n = 0; n < count; ++n) {
            const int64_t l = spans[n] * kSpan + sides.tap(tap), r = int64_t(spans[n]) * kTile;
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
          Finish finish(scaling, sum, ob, ib, 0);
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
      const float* from = room + rooms[s] + own.beforeParts() + int64_t(at) * kTaps * kBlock;
      float* to = sums[s].gradient + int64_t(at) * kTaps * kBlock;
      for (int64_t n = 0; n < kTaps * kBlock; n += kLanes) {
        __m512 sum = _mm512_load_ps(from + n);
        for (int part = 1; part < cut.parts; ++part) sum = _mm512_add_ps(sum, _mm512_load_ps(from + part * cut.total + n));
        _mm512_store_ps(to + n, sum);
      }
      Finish finish(scaling, sums[s], at / sums[s].in.blocks, at % sums[s].in.blocks, 0);
      finish.all(to);
      finish.keep(firsts[s]);
    }
  }
}

}  // namespace tracin::cpu::amx
