// The one layout of activations and cotangents: [image or row][channel block][z][y][x][16 channels], float32.
// Sixteen floats fill an AVX-512 register, and it is oneDNN's own nChw16c. Lanes past the last channel are always zero,
// so sums and products over whole blocks never need to know the channel count.
// One, two and three spatial axes share the code: missing leading axes have size 1.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tracin::cpu {

constexpr int kLanes = 16;
constexpr int kAxes = 3;

// The sixteen channels of one position, as the compiler's vectors: loops over plain floats it vectorises only where no doubt is left.
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(kLanes * sizeof(float)), may_alias));
inline const Lanes& lanes(const float* p) { return *reinterpret_cast<const Lanes*>(p); }
inline Lanes& lanes(float* p) { return *reinterpret_cast<Lanes*>(p); }

using Extent = std::array<int, kAxes>;

inline int64_t volume(const Extent& e) { return int64_t(e[0]) * e[1] * e[2]; }
inline int blocksOf(int channels) { return (channels + kLanes - 1) / kLanes; }

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

// Shape of a feature map: channels over a grid.
struct Shape {
  int channels = 0;
  Extent extent{1, 1, 1};
  int rank = 2;  // spatial axes in the network's own terms
  int blocks() const { return blocksOf(channels); }
  int64_t floats() const { return floats(extent); }
  int64_t floats(const Extent& part) const { return int64_t(blocks()) * volume(part) * kLanes; }
};

// Reads `box` of a map of extent `from` into a dense array (`copy`), or adds a dense array into it (`add`), block by block.
void crop(const float* map, const Extent& from, const Box& box, int blocks, float* dense);
void addInto(float* map, const Box& mapBox, const float* dense, const Box& denseBox, int blocks);

// [channels, positions] ↔ blocked
void pack(const float* plain, int channels, int64_t positions, float* blocked);
void unpack(const float* blocked, int channels, int64_t positions, float* plain);

}  // namespace tracin::cpu
