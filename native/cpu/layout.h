// The one layout of activations and cotangents: [image or row][channel block][z][y][x][16 channels], float32.
// Sixteen floats fill an AVX-512 register, and it is oneDNN's own nChw16c. Lanes past the last channel are always zero,
// so sums and products over whole blocks never need to know the channel count.
#pragma once
#include <cstdint>

#include "../core/geometry.h"

namespace tracin::cpu {

constexpr int kLanes = 16;

// The sixteen channels of one position, as the compiler's vectors: loops over plain floats it vectorises only where no doubt is left.
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(kLanes * sizeof(float)), may_alias));
inline const Lanes& lanes(const float* p) { return *reinterpret_cast<const Lanes*>(p); }
inline Lanes& lanes(float* p) { return *reinterpret_cast<Lanes*>(p); }

// to = a > b (or a == b) ? yes : no, number by number; `to` may be any of them. Comparisons of vectors wider than the processor's the
// compiler takes apart into single numbers, so they are made piece by piece.
#if defined(__AVX__)
constexpr int kPieceBytes = 32;
#else
constexpr int kPieceBytes = 16;
#endif
typedef float Piece __attribute__((vector_size(kPieceBytes), aligned(kPieceBytes), may_alias));
template <class Test>
inline void choose(Test test, const Lanes& a, const Lanes& b, const Lanes& yes, const Lanes& no, Lanes& to) {
  const auto piece = [](const Lanes& v, size_t i) -> const Piece& { return reinterpret_cast<const Piece*>(&v)[i]; };
  for (size_t i = 0; i < sizeof(Lanes) / sizeof(Piece); ++i)
    reinterpret_cast<Piece*>(&to)[i] = test(piece(a, i), piece(b, i)) ? piece(yes, i) : piece(no, i);
}
inline void whereAbove(const Lanes& a, const Lanes& b, const Lanes& yes, const Lanes& no, Lanes& to) {
  choose([](const Piece& p, const Piece& q) { return p > q; }, a, b, yes, no, to);
}
inline void whereEqual(const Lanes& a, const Lanes& b, const Lanes& yes, const Lanes& no, Lanes& to) {
  choose([](const Piece& p, const Piece& q) { return p == q; }, a, b, yes, no, to);
}

inline int blocksOf(int channels) { return (channels + kLanes - 1) / kLanes; }

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
