#include "winograd.h"

#include <omp.h>

#include "finish.h"
#include "running.h"
#include "winograd_products.h"
#include "winograd_transforms.h"

namespace tracin::cpu::winograd {

namespace {

constexpr int kPoints = kWide * kWide, kTaps = 9;
constexpr int64_t kBlock = kTaps * kLanes * kLanes;
// A task's share of tiles (a multiple of a product's rows), input and output channels: three arrays of [36][…], with AVX-512 1.4 MB
// together, for second-level caches of 2 MiB that others may use, too, else 0.6 MB.
constexpr bool kLarge = kParts == 1;
constexpr int kTiles = kLarge ? 42 : 24, kIn = kLarge ? 64 : 32, kOut = 64;
// Output blocks whose products are taken together.
constexpr int kGroup = kLarge ? 2 : 1;
// correlate: tiles transformed at a time, channels of either side of a task (1 MB or 0.4); rows of a product and registers of its columns
constexpr int kSpan = kLarge ? 32 : 16, kRows = 32, kColumns = kLarge ? 96 : 48;
constexpr int kHigh = kLarge ? 8 : 4, kRegisters = 3;

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

// Transforms the `from`² values from (y, x) of a map on, in a register's channels from where `map` points; positions beyond it are zero.
template <class T, class Out>
inline void fromMap(const Maps& maps, const float* map, int y, int x, Out out) {
  constexpr int side = T::from;
  const float* at = map + y * maps.line + int64_t(x) * kLanes;
  if (y >= 0 && x >= 0 && y + side <= maps.height && x + side <= maps.width) {
    transform<T>(
        [&](int i, int j) __attribute__((always_inline)) { return load(at + i * maps.line + j * kLanes); }, out);
    return;
  }
  Mask rows[side], columns[side];
  for (int i = 0; i < side; ++i) rows[i] = y + i >= 0 && y + i < maps.height ? kAll : 0;
  for (int j = 0; j < side; ++j) columns[j] = x + j >= 0 && x + j < maps.width ? kAll : 0;
  transform<T>(
      [&](int i, int j) __attribute__((always_inline)) { return loadIf(rows[i] & columns[j], at + i * maps.line + j * kLanes); }, out);
}

// Whether so many blocks of a map are zero wherever the `side`² positions from (y, x) on are in it. Cotangents are outside of what their
// region reaches, and such a tile is not worth computing. Elsewhere the first number looked at nearly always says no.
inline bool blank(const Maps& maps, const float* map, int blocks, int y, int x, int side) {
  const int top = most(y, 0), left = most(x, 0), bottom = least(y + side, maps.height), right = least(x + side, maps.width);
  if (top >= bottom || left >= right) return true;
  const auto anyAt = [&](int r, int c) {
    for (int lane = 0; lane < kLanes; lane += kWidth)
      if (any(load(map + r * maps.line + int64_t(c) * kLanes + lane))) return true;
    return false;
  };
  if (anyAt((top + bottom) / 2, (left + right) / 2)) return false;
  for (int block = 0; block < blocks; ++block, map += maps.block)
    for (int r = top; r < bottom; ++r)
      for (int c = left; c < right; ++c)
        if (anyAt(r, c)) return false;
  return true;
}

// Where a tile's results go in a register's channels, from `channel` on: those within the map, with bias and activation.
class Target {
 public:
  Target(const Maps& out, const Place& place, int channel, const float* bias, float slope)
      : data_(out.data + channel / kLanes * out.block + place.y * out.line + int64_t(place.x) * kLanes + channel % kLanes),
        line_(out.line),
        high_(least(kTile, out.height - place.y)),
        across_(least(kTile, out.width - place.x)),
        bias_(bias ? load(bias + channel) : Vector{}),
        slope_(slope) {}
  [[gnu::always_inline]] inline void put(int r, int c, const Vector& value) const {
    if (r >= high_ || c >= across_) return;
    const Vector z = value + bias_;
    store(data_ + r * line_ + c * kLanes, slope_ == 1.f ? z : z > 0.f ? z : z * slope_);
  }

 private:
  float* data_;
  int64_t line_;
  int high_, across_;
  Vector bias_;
  float slope_;
};

// Rows of [36][rows][width], a little apart so that the 36 do not fall on the same cache lines.
constexpr int64_t plane(int rows, int width) { return int64_t(rows) * width + kLanes; }

constexpr int kDepth = kIn / kTerms, kTogether = kSpan / kTerms;  // operands that a product's sums run over
constexpr int64_t kInputs = kPoints * plane(kTiles, kDepth), kKernels = kPoints * plane(kDepth, kOut),
                  kProducts = kPoints * plane(kTiles, kOut);
constexpr int64_t kLefts = kPoints * plane(kTogether, kRows), kRights = kPoints * plane(kTogether, kColumns),
                  kSums = kPoints * plane(kRows, kColumns);

// [36][…]: channels of output blocks [from, to) for the input channels of blocks [first, last), in groups of blocks (the last may be
// smaller)
void transformKernels(const Kernel& kernel, int first, int last, int from, int to, float* u) {
  const int depth = (last - first) * kLanes / kTerms;
  const int64_t step = plane(kDepth, kOut);
  for (int o = from; o < to; ++o) {
    const int group = (o - from) / kGroup * kGroup, width = least(kGroup, to - from - group);
    for (int i = first; i < last; ++i)
      for (int l = 0; l < kLanes; l += kTerms)
        for (int lane = 0; lane < kLanes; lane += kWidth) {
          const float* w = kernel.data + i * kernel.inStride + o * kernel.outStride + l * kLanes + lane;
          float* at = u + (int64_t(group) * depth + ((i - first) * kLanes + l) / kTerms * width + (o - from) % kGroup) * kLanes + lane;
          together(
              [&](int term, auto out) __attribute__((always_inline)) {
                transform<Taps>(
                    [&](int y, int x) __attribute__((always_inline)) {
                      return load(w + term * kLanes + (kernel.turned ? kTaps - 1 - y * 3 - x : y * 3 + x) * kLanes * kLanes);
                    },
                    out);
              },
              [&](int y, int x, const Vector& v) __attribute__((always_inline)) { store(at + (y * kWide + x) * step, v); });
        }
  }
}

// Tiles of a task: as many as let the threads end soonest. A task transforms its kernels, which takes as long as four tiles do (three in
// float32, five in bfloat16, as timed), and products of few rows are slow. No tile's numbers depend on the others of its task.
int tilesOfTask(int tiles, int columns, int threads) {
  constexpr int kernels = 4, fewest = 7;
  const int chunks = ceilDiv(tiles, kTiles), most = least(ceilDiv(4 * threads, columns), tiles / fewest);
  int best = ceilDiv(tiles, chunks), soonest = ceilDiv(columns * chunks, threads) * (best + kernels);
  for (int n = chunks + 1; n <= most; ++n) {
    const int length = ceilDiv(tiles, n), end = ceilDiv(columns * n, threads) * (length + kernels);
    if (end < soonest) best = length, soonest = end;
  }
  return best;
}

constexpr int64_t kForward = kInputs + kKernels + kProducts, kBackward = kLefts + kRights + kSums,
                  kScratch = kForward > kBackward ? kForward : kBackward;

void convolve(const Pair* pairs, int count, const Kernel& kernel, int offsetY, int offsetX, const float* bias, float slope,
              float* scratch) {
  if (!count) return;
  const Running starts(count, [&](int p) { return Grid(pairs[p].out).tiles(); });
  const int ins = pairs[0].in.blocks, outs = pairs[0].out.blocks;
  const int columns = ceilDiv(outs * kLanes, kOut), wide = ceilDiv(outs, columns);
  const int tiles = int(starts.total()), length = tilesOfTask(tiles, columns, omp_get_max_threads()), chunks = ceilDiv(tiles, length);
  const int steps = ceilDiv(ins * kLanes, kIn), deep = ceilDiv(ins, steps);
#pragma omp parallel
  {
    float* v = scratch + omp_get_thread_num() * kScratch;
    float *u = v + kInputs, *m = u + kKernels;
    int kernels = -1;  // whose transformed kernels lie in u
    Place places[kTiles];
#pragma omp for schedule(dynamic, 1)
    for (int task = 0; task < columns * chunks; ++task) {
      const int from = task / chunks * wide, to = least(from + wide, outs);
      const int start = task % chunks * length, end = least(start + length, tiles);
      if (from >= to) continue;
      int n = 0;  // tiles with anything in them
      for (int t = start; t < end; ++t) {
        const int p = starts.ownerOf(t);
        const auto& [in, out] = pairs[p];
        places[n] = Grid(out).place(p, t - int(starts[p]));
        const auto& [owner, y, x] = places[n];
        if (!blank(in, in.data, ins, y + out.y + offsetY - in.y, x + out.x + offsetX - in.x, kWide))
          ++n;
        else
          for (int channel = from * kLanes; channel < to * kLanes; channel += kWidth) {
            const Target target(out, places[n], channel, bias, slope);
            for (int r = 0; r < kTile; ++r)
              for (int c = 0; c < kTile; ++c) target.put(r, c, Vector{});
          }
      }
      for (int s = 0; s < steps; ++s) {
        const int first = s * deep, last = least(first + deep, ins), depth = (last - first) * kLanes / kTerms;
        if (depth <= 0) continue;
        for (int i = first; i < last; ++i)
          for (int t = 0; t < n; ++t) {
            const auto& [in, out] = pairs[places[t].owner];
            for (int lane = 0; lane < kLanes; lane += kWidth) {
              float* at = v + int64_t(t) * depth + ((i - first) * kLanes + lane) / kTerms;
              fromMap<Input>(
                  in, in.data + i * in.block + lane, places[t].y + out.y + offsetY - in.y,
                  places[t].x + out.x + offsetX - in.x, [&](int r, int c, const Vector& value) __attribute__((always_inline)) {
                    storeTerms(at + (r * kWide + c) * plane(kTiles, kDepth), value);
                  });
            }
          }
        if (kernels != from * steps + s) transformKernels(kernel, first, last, from, to, u), kernels = from * steps + s;
        for (int point = 0; point < kPoints; ++point)
          for (int o = from; o < to; o += kGroup) {
            const float *left = v + point * plane(kTiles, kDepth),
                        *right = u + point * plane(kDepth, kOut) + int64_t(o - from) * depth * kLanes;
            float* sums = m + point * plane(kTiles, kOut) + (o - from) * kLanes;
            withConstant<kGroup>(least(kGroup, to - o),
                                 [&]<int Blocks>() { productRows<Blocks * kParts>(n, depth, left, depth, right, sums, kOut, s > 0); });
          }
      }
      for (int channel = from * kLanes; channel < to * kLanes; channel += kWidth)
        for (int t = 0; t < n; ++t) {
          const Target target(pairs[places[t].owner].out, places[t], channel, bias, slope);
          const float* at = m + int64_t(t) * kOut + channel - from * kLanes;
          transform<Output>(
              [&](int r, int c) __attribute__((always_inline)) { return load(at + (r * kWide + c) * plane(kTiles, kOut)); },
              [&](int r, int c, const Vector& value) __attribute__((always_inline)) { target.put(r, c, value); });
        }
    }
  }
}

// How one sum is shared out: by its shape alone, so that no result depends on what else is computed or on how many threads do.
struct Cut {
  int perImage, tiles, blocks, parts, length, rows, high, columns, wide;
  int64_t total;
  explicit Cut(const Sum& s) {
    perImage = Grid(s.out).tiles(), tiles = (s.gradients > 1 ? 1 : s.images) * perImage, blocks = s.gradients * s.out.blocks;
    rows = ceilDiv(s.in.blocks * kLanes, kRows), high = ceilDiv(s.in.blocks, rows);
    columns = ceilDiv(blocks * kLanes, kColumns), wide = ceilDiv(blocks, columns);
    const int most = least(ceilDiv(8, rows * columns), ceilDiv(tiles, 4 * kSpan));
    parts = most > 1 ? most : 1, length = ceilDiv(tiles, parts * kTerms) * kTerms;
    total = int64_t(blocks) * s.in.blocks * kBlock;
  }
  int tasks() const { return parts * rows * columns; }
  int64_t room() const { return parts > 1 ? parts * total : 0; }
};

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
    float* left = scratch + omp_get_thread_num() * kScratch;
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
      const auto mapOf = [&](int image, int o) {
        return out.data + (gradients > 1 ? o / out.blocks : image) * out.image + o % out.blocks * out.block;
      };
      bool add = false;
      for (int next = begin; next < end; add = true) {
        int n = 0;  // tiles with anything in them, or beside such in an operand
        for (; next < end && n < kSpan; next += kTerms) {
          bool nothing = true;
          for (int t = n; t < n + kTerms; ++t) {
            const int tile = next + t - n;
            places[t] = tile < cut.tiles ? grid.place(tile / grid.tiles(), tile % grid.tiles()) : Place{0, out.height, out.width};
            for (int o = from; nothing && o < to; ++o) nothing = blank(out, mapOf(places[t].owner, o), 1, places[t].y, places[t].x, kTile);
          }
          n += nothing ? 0 : kTerms;
        }
        if (n == 0) break;
        // block by block: a few lines of memory to follow at a time
        for (int i = first; i < last; ++i)
          for (int t = 0; t < n; t += kTerms)
            for (int lane = 0; lane < kLanes; lane += kWidth) {
              float* at = left + t / kTerms * kRows + (i - first) * kLanes + lane;
              together(
                  [&](int term, auto put) __attribute__((always_inline)) {
                    const auto& [image, y, x] = places[t + term];
                    fromMap<Input>(in, in.data + image * in.image + i * in.block + lane, y + out.y + offsetY - in.y,
                                   x + out.x + offsetX - in.x, put);
                  },
                  [&](int r, int c, const Vector& value)
                      __attribute__((always_inline)) { store(at + (r * kWide + c) * plane(kTogether, kRows), value); });
            }
        for (int o = from; o < to; ++o)
          for (int t = 0; t < n; t += kTerms)
            for (int lane = 0; lane < kLanes; lane += kWidth) {
              float* at = right + t / kTerms * kColumns + (o - from) * kLanes + lane;
              together(
                  [&](int term, auto put) __attribute__((always_inline)) {
                    const auto& [image, y, x] = places[t + term];
                    fromMap<Spread>(out, mapOf(image, o) + lane, y, x, put);
                  },
                  [&](int r, int c, const Vector& value)
                      __attribute__((always_inline)) { store(at + (r * kWide + c) * plane(kTogether, kColumns), value); });
            }
        for (int point = 0; point < kPoints; ++point)
          for (int o = 0; o < (to - from) * kLanes; o += kRegisters * kWidth)
            withConstant<kRegisters>(least(kRegisters, (to - from) * kParts - o / kWidth), [&]<int N>() {
              for (int i = 0; i < (last - first) * kLanes; i += kHigh)
                product<kHigh, N>(n / kTerms, left + point * plane(kTogether, kRows) + i, 1, kRows,
                                  right + point * plane(kTogether, kColumns) + o, kColumns,
                                  totals + point * plane(kRows, kColumns) + i * kColumns + o, kColumns, add);
            });
      }
      for (int64_t i = 0; !add && i < kSums; i += kWidth) store(totals + i, Vector{});
      float* whole = cut.parts > 1 ? room + rooms[s] + part * cut.total : gradient;
      for (int o = from; o < to; ++o)
        for (int i = first; i < last; ++i)
          for (int lane = 0; lane < kLanes; lane += kWidth) {
            Finish finish(cut.parts > 1 ? nullptr : scaling, sum, o, i, lane);
            for (int l = 0; l < kLanes; ++l) {
              const float* at = totals + ((i - first) * kLanes + l) * kColumns + (o - from) * kLanes + lane;
              float* w = whole + (int64_t(o) * in.blocks + i) * kBlock;
              transform<Gather>(
                  [&](int r, int c) __attribute__((always_inline)) { return load(at + (r * kWide + c) * plane(kRows, kColumns)); },
                  [&](int r, int c, const Vector& value) __attribute__((always_inline)) {
                    const int64_t offset = ((r * 3 + c) * kLanes + l) * kLanes + lane;
                    store(w + offset, finish(offset, value));
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
      for (int lane = 0; lane < kLanes; lane += kWidth) {
        Finish finish(scaling, sums[s], at / sums[s].in.blocks, at % sums[s].in.blocks, lane);
        for (int64_t i = lane; i < kBlock; i += kLanes) {
          const float* from = room + rooms[s] + at * kBlock + i;
          Vector sum = load(from);
          for (int part = 1; part < cut.parts; ++part) sum += load(from + part * cut.total);
          store(sums[s].gradient + at * kBlock + i, finish(i, sum));
        }
        finish.keep(firsts[s]);
      }
    }
  }
}

}  // namespace

const Kernels TRACIN_KERNELS{kScratch, convolve, correlateFloats, correlate};

}  // namespace tracin::cpu::winograd
