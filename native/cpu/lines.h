// Loops over the lines (runs along the last axis) of feature maps, shared among threads. What one line computes never depends on how
// many threads there are, so neither does any result.
#pragma once
#include <algorithm>

#include "layout.h"

namespace tracin::cpu {

// Below this many floats, waking threads costs more than they save.
constexpr int64_t kWorthSharing = 1 << 14;

// visit(block, z, y) for every line of `blocks` maps of extent n
template <class Visit>
void forLines(int blocks, const Extent& n, Visit visit) {
  const int64_t lines = int64_t(blocks) * n[0] * n[1];
#pragma omp parallel for schedule(static) if (lines * n[2] * kLanes > kWorthSharing)
  for (int64_t i = 0; i < lines; ++i)
    visit(static_cast<int>(i / n[1] / n[0]), static_cast<int>(i / n[1] % n[0]), static_cast<int>(i % n[1]));
}

inline void clear(float* numbers, int64_t count) {
  constexpr int64_t each = kWorthSharing;
#pragma omp parallel for schedule(static) if (count > each)
  for (int64_t i = 0; i < count; i += each) std::fill_n(numbers + i, std::min(each, count - i), 0.f);
}

inline void add(const float* numbers, int64_t count, float* to) {
#pragma omp parallel for schedule(static) if (count > kWorthSharing)
  for (int64_t i = 0; i < count; ++i) to[i] += numbers[i];
}

// Where line (block, z, y) starts in a dense blocked map of extent n.
inline int64_t lineStart(const Extent& n, int block, int z, int y) { return ((int64_t(block) * n[0] + z) * n[1] + y) * n[2] * kLanes; }

// Where position (z, y, 0) of a box starts on the whole map.
inline int64_t lineStart(const Extent& map, const Box& box, int block, int z, int y) {
  return lineStart(map, block, z + box.lo[0], y + box.lo[1]) + int64_t(box.lo[2]) * kLanes;
}

// Σ over the lines of each block of what visit(block, z, y, sums) adds to 16 sums: float32 inside a line, double between lines,
// in one order whatever the threads. totals: [blocks][16].
template <int Sums, class Visit>
void sumLines(int blocks, const Extent& n, std::vector<std::array<double, Sums * kLanes>>& totals, Visit visit) {
  const int64_t perBlock = int64_t(n[0]) * n[1];
  std::vector<std::array<float, Sums * kLanes>> parts(blocks * perBlock);
  forLines(blocks, n, [&](int block, int z, int y) {
    auto& part = parts[(int64_t(block) * n[0] + z) * n[1] + y];
    part.fill(0.f);
    visit(block, z, y, part);
  });
  for (int b = 0; b < blocks; ++b)
    for (int64_t i = 0; i < perBlock; ++i)
      for (int l = 0; l < Sums * kLanes; ++l) totals[b][l] += parts[b * perBlock + i][l];
}

}  // namespace tracin::cpu
