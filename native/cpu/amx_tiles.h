// What convolve and correlate on AMX tiles share: rounding, packing by positions. In a nameless namespace for the sake of winograd.h's
// rule.
#pragma once
#include <immintrin.h>

#include "amx.h"
#include "bfloat16.h"
#include "running.h"

namespace tracin::cpu::amx {

namespace {

constexpr int kLanes = 16, kTaps = 9, kBlock = kLanes * kLanes;
constexpr int kTile = 512;          // bfloat16 numbers of a tile: 16 rows of 32
constexpr int kSpan = 32;           // positions that one multiplication of tiles sums over
constexpr int kPacked = 8 * kSpan;  // positions that a thread packs at a time

using Brief = uint16_t;

inline int least(int a, int b) { return a < b ? a : b; }
inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }
inline int64_t floatsOf(int64_t briefs) { return (briefs + 31) / 32 * 16; }
// Floats that so many flags take.
inline int64_t flagFloats(int64_t flags) { return (flags + 63) / 64 * 16; }
inline __m512 load(const float* p) { return p ? _mm512_load_ps(p) : _mm512_setzero_ps(); }

// Whether any of thirty-two rounded numbers is not zero. Cotangents are zero outside of what their region reaches, and what is zero on a
// stretch of positions is not worth multiplying.
inline bool any(__m512i numbers) { return _mm512_test_epi32_mask(numbers, _mm512_set1_epi32(0x7fff7fff)) != 0; }

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

}  // namespace

}  // namespace tracin::cpu::amx
