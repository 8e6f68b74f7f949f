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
      for (int i = 0; i < n[2] * kLanes; i += kLanes)
        whereAbove(lanes(from + i), Lanes{}, lanes(to + i), lanes(to + i) * slope, lanes(to + i));
    });
  }
}

void maskByOutput(const Workspace& work, int value, float slope, const Tangent& t) {
  const Tensor& y = work.tensors[value];
  Rows rows;
  for (int image = 0; image < t.images; ++image) rows.list.push_back({y.whole(), t.output + image * y.floats()});
  maskByOutput(work, value, slope, {0, t.images, false}, rows);
}

namespace {

// Σ over the row's positions of what line(block, z, y, sums) adds.
template <class Line>
void sumRow(const Row& row, int channels, float* sums, Line line) {
  std::vector<std::array<double, kLanes>> totals(blocksOf(channels));
  sumLines<1>(blocksOf(channels), row.box.size(), totals, [&](int b, int z, int y, auto& part) {
    Lanes sum{};
    line(b, z, y, sum);
    for (int l = 0; l < kLanes; ++l) part[l] = sum[l];
  });
  for (int c = 0; c < channels; ++c) sums[c] = static_cast<float>(totals[c / kLanes][c % kLanes]);
}

}  // namespace

void sumPositions(const Row& row, int channels, float* sums) {
  const Extent n = row.box.size();
  sumRow(row, channels, sums, [&](int b, int z, int y, Lanes& sum) {
    const float* g = row.data + lineStart(n, b, z, y);
    for (int i = 0; i < n[2] * kLanes; i += kLanes) sum += lanes(g + i);
  });
}

void maskAndSum(const Workspace& work, int value, float slope, int image, const Row& row, int channels, float* sums) {
  const Extent n = row.box.size(), map = work.tensors[value].shape.extent;
  const float* y = work.tensors[value].of(image);
  sumRow(row, channels, sums, [&](int b, int z, int line, Lanes& sum) {
    const float* from = y + lineStart(map, row.box, b, z, line);
    float* g = row.data + lineStart(n, b, z, line);
    for (int i = 0; i < n[2] * kLanes; i += kLanes) {
      whereAbove(lanes(from + i), Lanes{}, lanes(g + i), lanes(g + i) * slope, lanes(g + i));
      sum += lanes(g + i);
    }
  });
}

}  // namespace tracin::cpu
