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
      const float* from = y + lineStart(s.extent, box, b, z, row);
      float* to = g + lineStart(n, b, z, row);
      for (int i = 0; i < n[2] * kLanes; i += kLanes) lanes(to + i) = lanes(from + i) > 0.f ? lanes(to + i) : lanes(to + i) * slope;
    });
  }
}

void maskByOutput(const Workspace& work, int value, float slope, const Tangent& t) {
  const Tensor& y = work.tensors[value];
  Rows rows;
  for (int image = 0; image < t.images; ++image) rows.list.push_back({y.whole(), t.output + image * y.floats()});
  maskByOutput(work, value, slope, {0, t.images, false}, rows);
}

void sumPositions(const Row& row, int channels, float* sums) {
  const Extent n = row.box.size();
  const int blocks = blocksOf(channels);
  std::vector<std::array<double, kLanes>> totals(blocks);
  sumLines<1>(blocks, n, totals, [&](int b, int z, int y, auto& part) {
    const float* g = row.data + lineStart(n, b, z, y);
    Lanes sum{};
    for (int i = 0; i < n[2] * kLanes; i += kLanes) sum += lanes(g + i);
    for (int l = 0; l < kLanes; ++l) part[l] = sum[l];
  });
  for (int c = 0; c < channels; ++c) sums[c] = static_cast<float>(totals[c / kLanes][c % kLanes]);
}

}  // namespace tracin::cpu
