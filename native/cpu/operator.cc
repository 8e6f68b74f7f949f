#include "operator.h"

#include "lines.h"

namespace tracin::cpu {

void maskByOutput(const Workspace& work, int value, float slope, const Unit& unit, Rows& dy) {
  const Shape& s = work.tensors[value].shape;
  for (int r = 0; r < dy.count(); ++r) {
    const Box& box = dy.list[r].box;
    const Extent n = box.size();
    const float* y = work.tensors[value].of(unit.imageOf(r));
    float* g = dy.list[r].data;
    forLines(s.blocks(), n, [&](int b, int z, int row) {
      const float* __restrict from = y + lineStart(s.extent, box, b, z, row);
      float* __restrict to = g + lineStart(n, b, z, row);
      for (int i = 0; i < n[2] * kLanes; ++i) to[i] = from[i] > 0.f ? to[i] : to[i] * slope;
    });
  }
}

void sumPositions(const Row& row, int channels, float* sums) {
  const Extent n = row.box.size();
  const int blocks = blocksOf(channels);
  std::vector<std::array<double, kLanes>> totals(blocks);
  sumLines<1>(blocks, n, totals, [&](int b, int z, int y, auto& part) {
    const float* g = row.data + lineStart(n, b, z, y);
    for (int i = 0; i < n[2] * kLanes; i += kLanes)
      for (int l = 0; l < kLanes; ++l) part[l] += g[i + l];
  });
  for (int c = 0; c < channels; ++c) sums[c] = static_cast<float>(totals[c / kLanes][c % kLanes]);
}

}  // namespace tracin::cpu
