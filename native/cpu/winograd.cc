#include "winograd.h"

#include <immintrin.h>
#include <omp.h>

#include "finish.h"
#include "running.h"

namespace tracin::cpu::winograd {

namespace {

constexpr int kLanes = 16, kTile = 4, kWide = kTile + 2, kPoints = kWide * kWide, kTaps = 9;
constexpr int64_t kBlock = kTaps * kLanes * kLanes;
// A task's share of tiles, input and output channels: three arrays of [36][…] that fit a second-level cache of 2 MiB together.
constexpr int kTiles = 56, kIn = 64, kOut = 64;
// correlate: tiles transformed at a time, channels of either side of a task
constexpr int kSpan = 32, kRows = 32, kColumns = 96;

typedef float Vector __attribute__((vector_size(64), aligned(64), may_alias));

inline Vector load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
inline void store(float* p, const Vector& v) { *reinterpret_cast<Vector*>(p) = v; }
inline int least(int a, int b) { return a < b ? a : b; }
inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }

// Interpolation points 0, ±a, ±b, ∞. These keep the transforms' numbers close together (oneDNN's choice, too).
constexpr float a = 0.625f, b = 1.5f, p = a * a, q = b * b;
constexpr float kA = 1.f / (2 * p * (p - q)), kB = 1.f / (2 * q * (q - p)), k0 = 1.f / (p * q);

// One axis of each transform: in and out are `Vector`s a step apart.
struct Input {  // Bᵀ
  static constexpr int from = kWide, to = kWide;
  template <class In, class Out>
  [[gnu::always_inline]] static inline void apply(In d, Out v) {
    const Vector ea = d(4) - q * d(2), oa = d(3) - q * d(1), eb = d(4) - p * d(2), ob = d(3) - p * d(1);
    v(0, (d(4) - (p + q) * d(2)) + (p * q) * d(0));
    v(1, ea + a * oa);
    v(2, ea - a * oa);
    v(3, eb + b * ob);
    v(4, eb - b * ob);
    v(5, (d(5) - (p + q) * d(3)) + (p * q) * d(1));
  }
};
struct Output {  // Aᵀ
  static constexpr int from = kWide, to = kTile;
  template <class In, class Out>
  [[gnu::always_inline]] static inline void apply(In m, Out y) {
    const Vector sa = m(1) + m(2), da = m(1) - m(2), sb = m(3) + m(4), db = m(3) - m(4);
    y(0, m(0) + sa + sb);
    y(1, a * da + b * db);
    y(2, p * sa + q * sb);
    y(3, (p * a) * da + (q * b) * db + m(5));
  }
};
struct Spread {  // A
  static constexpr int from = kTile, to = kWide;
  template <class In, class Out>
  [[gnu::always_inline]] static inline void apply(In y, Out m) {
    const Vector ea = y(0) + p * y(2), oa = a * y(1) + (p * a) * y(3), eb = y(0) + q * y(2), ob = b * y(1) + (q * b) * y(3);
    m(0, y(0));
    m(1, ea + oa);
    m(2, ea - oa);
    m(3, eb + ob);
    m(4, eb - ob);
    m(5, y(3));
  }
};
struct Taps {  // G
  static constexpr int from = 3, to = kWide;
  template <class In, class Out>
  [[gnu::always_inline]] static inline void apply(In w, Out u) {
    const Vector ea = kA * w(0) + (kA * p) * w(2), oa = (kA * a) * w(1), eb = kB * w(0) + (kB * q) * w(2), ob = (kB * b) * w(1);
    u(0, k0 * w(0));
    u(1, ea + oa);
    u(2, ea - oa);
    u(3, eb + ob);
    u(4, eb - ob);
    u(5, w(2) + Vector{});
  }
};
struct Gather {  // Gᵀ
  static constexpr int from = kWide, to = 3;
  template <class In, class Out>
  [[gnu::always_inline]] static inline void apply(In u, Out w) {
    const Vector sa = u(1) + u(2), da = u(1) - u(2), sb = u(3) + u(4), db = u(3) - u(4);
    w(0, k0 * u(0) + kA * sa + kB * sb);
    w(1, (kA * a) * da + (kB * b) * db);
    w(2, (kA * p) * sa + (kB * q) * sb + u(5));
  }
};

// Both axes: value (i, j) is read by `in` and result (i, j) handed to `out`.
template <class T, class In, class Out>
[[gnu::always_inline]] inline void transform(In in, Out out) {
  Vector half[T::to][T::from];
#pragma GCC unroll 6
  for (int j = 0; j < T::from; ++j)
    T::apply(
        [&](int i) __attribute__((always_inline)) { return in(i, j); }, [&](int i, const Vector& v)
                                                                            __attribute__((always_inline)) { half[i][j] = v; });
#pragma GCC unroll 6
  for (int i = 0; i < T::to; ++i)
    T::apply(
        [&](int j) __attribute__((always_inline)) { return half[i][j]; }, [&](int j, const Vector& v)
                                                                              __attribute__((always_inline)) { out(i, j, v); });
}

// Whose tile, and where its first position is.
struct Place {
  int owner, y, x;
};

// The tiles of 4 × 4 positions that cover a map.
struct Grid {
  int down, across;
  explicit Grid(const Maps& m) : down(ceilDiv(m.height, kTile)), across(ceilDiv(m.width, kTile)) {}
  int tiles() const { return down * across; }
  Place place(int owner, int tile) const { return {owner, tile / across * kTile, tile % across * kTile}; }
};

// Transforms the `Side`² values from (y, x) of a block's map on; positions beyond the map are zero.
template <class T, class Out>
inline void fromMap(const Maps& maps, const float* map, int y, int x, Out out) {
  constexpr int side = T::from;
  const float* at = map + y * maps.line + int64_t(x) * kLanes;
  if (y >= 0 && x >= 0 && y + side <= maps.height && x + side <= maps.width) {
    transform<T>(
        [&](int i, int j) __attribute__((always_inline)) { return load(at + i * maps.line + j * kLanes); }, out);
    return;
  }
  // all or none of sixteen numbers
  __mmask16 rows[side], columns[side];
  for (int i = 0; i < side; ++i) rows[i] = y + i >= 0 && y + i < maps.height ? 0xffff : 0;
  for (int j = 0; j < side; ++j) columns[j] = x + j >= 0 && x + j < maps.width ? 0xffff : 0;
  transform<T>(
      [&](int i, int j)
          __attribute__((always_inline)) { return Vector(_mm512_maskz_load_ps(rows[i] & columns[j], at + i * maps.line + j * kLanes)); },
      out);
}

// Rows of [36][rows][width], a little apart so that the 36 do not fall on the same cache lines.
constexpr int64_t plane(int rows, int width) { return int64_t(rows) * width + kLanes; }

// sums[R][32 N'] (+)= left[R][depth] · right[depth][16 N]
template <int R, int N>
inline void product(int depth, const float* left, int64_t leftStep, const float* right, float* sums, int64_t sumStep, bool add) {
  Vector s[R][N];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) s[r][n] = add ? load(sums + r * sumStep + n * kLanes) : Vector{};
  for (int k = 0; k < depth; ++k) {
    Vector u[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) u[n] = load(right + (int64_t(k) * N + n) * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vector v = left[r * leftStep + k] - Vector{};
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) s[r][n] += v * u[n];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) store(sums + r * sumStep + n * kLanes, s[r][n]);
}

template <int N>
void productRows(int rows, int depth, const float* left, int64_t leftStep, const float* right, float* sums, int64_t sumStep, bool add) {
  constexpr int most = 14;
  // as even as possible: 15 rows are 8 and 7, not 14 and 1
  for (int parts = ceilDiv(rows, most); parts > 0; --parts) {
    const int r = ceilDiv(rows, parts);
    const auto go = [&]<int R>() { product<R, N>(depth, left, leftStep, right, sums, sumStep, add); };
    switch (r) {
      case 1:
        go.template operator()<1>();
        break;
      case 2:
        go.template operator()<2>();
        break;
      case 3:
        go.template operator()<3>();
        break;
      case 4:
        go.template operator()<4>();
        break;
      case 5:
        go.template operator()<5>();
        break;
      case 6:
        go.template operator()<6>();
        break;
      case 7:
        go.template operator()<7>();
        break;
      case 8:
        go.template operator()<8>();
        break;
      case 9:
        go.template operator()<9>();
        break;
      case 10:
        go.template operator()<10>();
        break;
      case 11:
        go.template operator()<11>();
        break;
      case 12:
        go.template operator()<12>();
        break;
      case 13:
        go.template operator()<13>();
        break;
      default:
        go.template operator()<14>();
        break;
    }
    left += r * leftStep, sums += r * sumStep, rows -= r;
  }
}

// sums[i][j] (+)= Σ_t left[t][i] · right[t][j] for R values i and 16 N values j
template <int R, int N>
inline void outer(int depth, const float* left, int64_t leftStep, const float* right, int64_t rightStep, float* sums, int64_t sumStep,
                  bool add) {
  Vector s[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
    for (int n = 0; n < N; ++n) s[r][n] = add ? load(sums + r * sumStep + n * kLanes) : Vector{};
  for (int t = 0; t < depth; ++t) {
    Vector u[N];
#pragma GCC unroll 3
    for (int n = 0; n < N; ++n) u[n] = load(right + t * rightStep + n * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vector v = left[t * leftStep + r] - Vector{};
#pragma GCC unroll 3
      for (int n = 0; n < N; ++n) s[r][n] += v * u[n];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
    for (int n = 0; n < N; ++n) store(sums + r * sumStep + n * kLanes, s[r][n]);
}

constexpr int64_t kInputs = kPoints * plane(kTiles, kIn), kKernels = kPoints * plane(kIn, kOut), kProducts = kPoints * plane(kTiles, kOut);
constexpr int64_t kLefts = kPoints * plane(kSpan, kRows), kRights = kPoints * plane(kSpan, kColumns),
                  kSums = kPoints * plane(kRows, kColumns);

// [36][…]: channels of output blocks [from, to) for the input channels of blocks [first, last), in pairs of blocks (the last may be alone)
void transformKernels(const Kernel& kernel, int first, int last, int from, int to, float* u) {
  const int depth = (last - first) * kLanes;
  const int64_t step = plane(kIn, kOut);
  for (int o = from; o < to; ++o) {
    const int pair = (o - from) / 2, width = least(2, to - from - 2 * pair);
    for (int i = first; i < last; ++i)
      for (int l = 0; l < kLanes; ++l) {
        const float* w = kernel.data + i * kernel.inStride + o * kernel.outStride + l * kLanes;
        float* at = u + (int64_t(pair) * 2 * depth + ((i - first) * kLanes + l) * width + (o - from) % 2) * kLanes;
        transform<Taps>(
            [&](int y, int x)
                __attribute__((always_inline)) { return load(w + (kernel.turned ? kTaps - 1 - y * 3 - x : y * 3 + x) * kLanes * kLanes); },
            [&](int y, int x, const Vector& v) __attribute__((always_inline)) { store(at + (y * kWide + x) * step, v); });
      }
  }
}

}  // namespace

int64_t scratchFloats() {
  constexpr int64_t forward = kInputs + kKernels + kProducts, backward = kLefts + kRights + kSums;
  return forward > backward ? forward : backward;
}

void convolve(const Pair* pairs, int count, const Kernel& kernel, int offsetY, int offsetX, const float* bias, float slope,
              float* scratch) {
  if (!count) return;
  const Running starts(count, [&](int p) { return Grid(pairs[p].out).tiles(); });
  const int tiles = int(starts.total()), chunks = ceilDiv(tiles, kTiles), length = ceilDiv(tiles, chunks);
  const int ins = pairs[0].in.blocks, outs = pairs[0].out.blocks;
  const int columns = ceilDiv(outs * kLanes, kOut), wide = ceilDiv(outs, columns);
  const int steps = ceilDiv(ins * kLanes, kIn), deep = ceilDiv(ins, steps);
#pragma omp parallel
  {
    float* v = scratch + omp_get_thread_num() * scratchFloats();
    float *u = v + kInputs, *m = u + kKernels;
    int kernels = -1;  // whose transformed kernels lie in u
    Place places[kTiles];
#pragma omp for schedule(dynamic, 1)
    for (int task = 0; task < columns * chunks; ++task) {
      const int from = task / chunks * wide, to = least(from + wide, outs);
      const int start = task % chunks * length, n = least(length, tiles - start);
      if (from >= to || n <= 0) continue;
      for (int t = 0; t < n; ++t) {
        const int p = starts.ownerOf(start + t);
        places[t] = Grid(pairs[p].out).place(p, start + t - int(starts[p]));
      }
      for (int s = 0; s < steps; ++s) {
        const int first = s * deep, last = least(first + deep, ins), depth = (last - first) * kLanes;
        if (depth <= 0) continue;
        for (int i = first; i < last; ++i)
          for (int t = 0; t < n; ++t) {
            const auto& [in, out] = pairs[places[t].owner];
            float* at = v + int64_t(t) * depth + (i - first) * kLanes;
            fromMap<Input>(
                in, in.data + i * in.block, places[t].y + out.y + offsetY - in.y,
                places[t].x + out.x + offsetX - in.x, [&](int r, int c, const Vector& value) __attribute__((always_inline)) {
                  store(at + (r * kWide + c) * plane(kTiles, kIn), value);
                });
          }
        if (kernels != from * steps + s) transformKernels(kernel, first, last, from, to, u), kernels = from * steps + s;
        for (int point = 0; point < kPoints; ++point)
          for (int o = from; o < to; o += 2) {
            const float *left = v + point * plane(kTiles, kIn), *right = u + point * plane(kIn, kOut) + int64_t(o - from) * depth * kLanes;
            float* sums = m + point * plane(kTiles, kOut) + (o - from) * kLanes;
            if (to - o > 1)
              productRows<2>(n, depth, left, depth, right, sums, kOut, s > 0);
            else
              productRows<1>(n, depth, left, depth, right, sums, kOut, s > 0);
          }
      }
      for (int o = from; o < to; ++o)
        for (int t = 0; t < n; ++t) {
          const Maps& out = pairs[places[t].owner].out;
          const int y = places[t].y, x = places[t].x, high = least(kTile, out.height - y), across = least(kTile, out.width - x);
          const float* at = m + int64_t(t) * kOut + (o - from) * kLanes;
          float* to = out.data + o * out.block + y * out.line + int64_t(x) * kLanes;
          const Vector shift = bias ? load(bias + o * kLanes) : Vector{};
          transform<Output>(
              [&](int r, int c) __attribute__((always_inline)) { return load(at + (r * kWide + c) * plane(kTiles, kOut)); },
              [&](int r, int c, const Vector& value) __attribute__((always_inline)) {
                if (r >= high || c >= across) return;
                const Vector z = value + shift;
                store(to + r * out.line + c * kLanes, slope == 1.f ? z : z > 0.f ? z : z * slope);
              });
        }
    }
  }
}

namespace {

// How one sum is shared out: by its shape alone, so that no result depends on what else is computed or on how many threads do.
struct Cut {
  int perImage, tiles, blocks, parts, length, rows, high, columns, wide;
  int64_t total;
  explicit Cut(const Sum& s) {
    perImage = Grid(s.out).tiles(), tiles = (s.gradients > 1 ? 1 : s.images) * perImage, blocks = s.gradients * s.out.blocks;
    rows = ceilDiv(s.in.blocks * kLanes, kRows), high = ceilDiv(s.in.blocks, rows);
    columns = ceilDiv(blocks * kLanes, kColumns), wide = ceilDiv(blocks, columns);
    const int most = least(ceilDiv(8, rows * columns), ceilDiv(tiles, 4 * kSpan));
    parts = most > 1 ? most : 1, length = ceilDiv(tiles, parts);
    total = int64_t(blocks) * s.in.blocks * kBlock;
  }
  int tasks() const { return parts * rows * columns; }
  int64_t room() const { return parts > 1 ? parts * total : 0; }
};

}  // namespace

int64_t correlateFloats(const Sum* sums, int count) {
  return Running(count, [&](int s) { return Cut(sums[s]).room(); }).total();
}

void correlate(const Sum* sums, int count, int offsetY, int offsetX, const Scaling* scaling, float* room, float* scratch) {
  const Running starts(count, [&](int s) { return Cut(sums[s]).tasks(); });
  const Running rooms(count, [&](int s) { return Cut(sums[s]).room(); });
  // (output block, input block) of all gradients
  const Running firsts(count, [&](int s) { return Cut(sums[s]).blocks * sums[s].in.blocks; });
#pragma omp parallel
  {
    float* left = scratch + omp_get_thread_num() * scratchFloats();
    float *right = left + kLefts, *totals = right + kRights;
    Place places[kSpan];
#pragma omp for schedule(dynamic, 1)
    for (int task = 0; task < starts.total(); ++task) {
      const int s = starts.ownerOf(task), within = task - int(starts[s]);
      const Sum& sum = sums[s];
      const Cut cut(sum);
      const auto& [images, gradients, in, out, gradient] = sum;
      const int part = within / (cut.rows * cut.columns), first = within / cut.columns % cut.rows * cut.high,
                from = within % cut.columns * cut.wide;
      const int last = least(first + cut.high, in.blocks), to = least(from + cut.wide, cut.blocks);
      if (first >= last || from >= to) continue;
      const Grid grid(out);
      const int begin = part * cut.length, end = least(begin + cut.length, cut.tiles);
      if (begin >= end)
        for (int64_t i = 0; i < kSums; i += kLanes) store(totals + i, Vector{});
      for (int start = begin; start < end; start += kSpan) {
        const int n = least(kSpan, end - start);
        for (int t = 0; t < n; ++t) places[t] = grid.place((start + t) / grid.tiles(), (start + t) % grid.tiles());
        for (int t = 0; t < n; ++t) {
          const auto& [image, y, x] = places[t];
          for (int i = first; i < last; ++i) {
            float* at = left + t * kRows + (i - first) * kLanes;
            fromMap<Input>(
                in, in.data + image * in.image + i * in.block, y + out.y + offsetY - in.y,
                x + out.x + offsetX - in.x, [&](int r, int c, const Vector& value) __attribute__((always_inline)) {
                  store(at + (r * kWide + c) * plane(kSpan, kRows), value);
                });
          }
          for (int o = from; o < to; ++o) {
            float* at = right + t * kColumns + (o - from) * kLanes;
            const float* map = out.data + (gradients > 1 ? o / out.blocks : image) * out.image + o % out.blocks * out.block;
            fromMap<Spread>(
                out, map, y, x, [&](int r, int c, const Vector& value) __attribute__((always_inline)) {
                  store(at + (r * kWide + c) * plane(kSpan, kColumns), value);
                });
          }
        }
        const bool add = start > begin;
        for (int point = 0; point < kPoints; ++point)
          for (int o = from; o < to;) {
            const int width = least(3, to - o);
            for (int i = 0; i < (last - first) * kLanes; i += 8) {
              const float *l = left + point * plane(kSpan, kRows) + i, *r = right + point * plane(kSpan, kColumns) + (o - from) * kLanes;
              float* all = totals + point * plane(kRows, kColumns) + i * kColumns + (o - from) * kLanes;
              if (width == 3)
                outer<8, 3>(n, l, kRows, r, kColumns, all, kColumns, add);
              else if (width == 2)
                outer<8, 2>(n, l, kRows, r, kColumns, all, kColumns, add);
              else
                outer<8, 1>(n, l, kRows, r, kColumns, all, kColumns, add);
            }
            o += width;
          }
      }
      float* whole = cut.parts > 1 ? room + rooms[s] + part * cut.total : gradient;
      for (int o = from; o < to; ++o)
        for (int i = first; i < last; ++i) {
          Finish finish(cut.parts > 1 ? nullptr : scaling, sum, o, i);
          for (int l = 0; l < kLanes; ++l) {
            const float* at = totals + ((i - first) * kLanes + l) * kColumns + (o - from) * kLanes;
            float* w = whole + (int64_t(o) * in.blocks + i) * kBlock + l * kLanes;
            transform<Gather>(
                [&](int r, int c) __attribute__((always_inline)) { return load(at + (r * kWide + c) * plane(kRows, kColumns)); },
                [&](int r, int c, const Vector& value) __attribute__((always_inline)) {
                  const int64_t tap = (r * 3 + c) * kLanes * kLanes;
                  store(w + tap, finish(tap + l * kLanes, value));
                });
          }
          finish.keep(firsts[s]);
        }
    }
#pragma omp for schedule(static)
    for (int block = 0; block < firsts.total(); ++block) {
      const int s = firsts.ownerOf(block), at = block - int(firsts[s]);
      const Cut cut(sums[s]);
      if (cut.parts == 1) continue;
      Finish finish(scaling, sums[s], at / sums[s].in.blocks, at % sums[s].in.blocks);
      for (int64_t i = 0; i < kBlock; i += kLanes) {
        const float* from = room + rooms[s] + at * kBlock + i;
        Vector sum = load(from);
        for (int part = 1; part < cut.parts; ++part) sum += load(from + part * cut.total);
        store(sums[s].gradient + at * kBlock + i, finish(i, sum));
      }
      finish.keep(firsts[s]);
    }
  }
}

}  // namespace tracin::cpu::winograd
