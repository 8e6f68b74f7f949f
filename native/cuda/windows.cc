#include "windows.h"

namespace tracin::cuda {

namespace {

// Window sizes are this many steps of a map's extent at most, the same number along every axis: few sizes, so that few kernels have to
// be chosen.
constexpr int kSteps = 8;

Window around(const std::vector<Box>& rows, const Extent& map, const Extent& alignment) {
  Window w;
  w.size = map;
  // corners fall on multiples of the alignment, and so must the map's end
  for (int a = 0; a < kAxes; ++a)
    if (map[a] % alignment[a]) return w;
  int steps = 1;
  Extent step;
  for (int a = 0; a < kAxes; ++a) {
    step[a] = (map[a] + kSteps - 1) / kSteps;
    step[a] = (step[a] + alignment[a] - 1) / alignment[a] * alignment[a];
    for (const Box& box : rows)
      if (!box.empty()) steps = std::max(steps, (box.hi[a] - box.lo[a] / alignment[a] * alignment[a] + step[a] - 1) / step[a]);
  }
  w.whole = true;
  for (int a = 0; a < kAxes; ++a) {
    w.size[a] = std::min(map[a], steps * step[a]);
    w.whole &= w.size[a] == map[a];
  }
  if (w.whole) return w;
  for (const Box& box : rows) {
    Extent corner{0, 0, 0};
    for (int a = 0; a < kAxes; ++a)
      if (!box.empty()) corner[a] = std::min(box.lo[a] / alignment[a] * alignment[a], map[a] - w.size[a]);
    w.corners.push_back(corner);
  }
  return w;
}

}  // namespace

Windows::Windows(const Workspace& work, const std::vector<std::vector<Box>>& boxes, const std::vector<Extent>& alignment)
    : list_(work.tensors.size()) {
  std::vector<int> flat;
  std::vector<int64_t> starts(list_.size(), -1);
  for (size_t v = 0; v < list_.size(); ++v) {
    const Tensor& t = work.tensors[v];
    if (!t.used || t.dims.empty() || t.dims.size() > kAxes + 1) continue;
    list_[v].size = t.extent();
    if (boxes.empty() || boxes[v].empty()) continue;
    list_[v] = around(boxes[v], t.extent(), alignment[v]);
    if (list_[v].whole) continue;
    starts[v] = static_cast<int64_t>(flat.size());
    for (const Extent& corner : list_[v].corners) flat.insert(flat.end(), corner.begin(), corner.end());
  }
  if (flat.empty()) return;
  corners_ = work.device.pool.upload(flat, work.device.stream);
  for (size_t v = 0; v < list_.size(); ++v)
    if (starts[v] >= 0) list_[v].onDevice = corners_.as<int>() + starts[v];
}

}  // namespace tracin::cuda
