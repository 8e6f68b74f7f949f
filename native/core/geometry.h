// Grids of one, two and three spatial axes share one code: missing leading axes have size 1.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace tracin {

constexpr int kAxes = 3;

using Extent = std::array<int, kAxes>;

inline int64_t volume(const Extent& e) { return int64_t(e[0]) * e[1] * e[2]; }

// Sizes, strides … given for the real spatial axes, widened to three.
inline Extent widen(const std::vector<int>& list, int fill) {
  Extent e{fill, fill, fill};
  for (size_t i = 0; i < list.size(); ++i) e[kAxes - list.size() + i] = list[i];
  return e;
}

// Half-open box of positions.
struct Box {
  Extent lo{0, 0, 0}, hi{0, 0, 0};
  static Box whole(const Extent& e) { return {{0, 0, 0}, e}; }
  Extent size() const { return {hi[0] - lo[0], hi[1] - lo[1], hi[2] - lo[2]}; }
  bool empty() const { return hi[0] <= lo[0] || hi[1] <= lo[1] || hi[2] <= lo[2]; }
  bool operator==(const Box&) const = default;
  Box joined(const Box& o) const {
    if (empty()) return o;
    if (o.empty()) return *this;
    Box b;
    for (int a = 0; a < kAxes; ++a) b.lo[a] = std::min(lo[a], o.lo[a]), b.hi[a] = std::max(hi[a], o.hi[a]);
    return b;
  }
};

}  // namespace tracin
