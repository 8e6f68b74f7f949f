#include "layout.h"

#include <algorithm>

#include "lines.h"

namespace tracin::cpu {

void crop(const float* map, const Extent& from, const Box& box, int blocks, float* dense) {
  const Extent n = box.size();
  forLines(blocks, n,
           [&](int b, int z, int y) { std::copy_n(map + lineStart(from, box, b, z, y), n[2] * kLanes, dense + lineStart(n, b, z, y)); });
}

void addInto(float* map, const Box& mapBox, const float* dense, const Box& box, int blocks) {
  const Extent n = box.size(), m = mapBox.size();
  Box inMap = box;
  for (int a = 0; a < kAxes; ++a) inMap.lo[a] -= mapBox.lo[a], inMap.hi[a] -= mapBox.lo[a];
  forLines(blocks, n, [&](int b, int z, int y) {
    float* to = map + lineStart(m, inMap, b, z, y);
    const float* from = dense + lineStart(n, b, z, y);
    for (int i = 0; i < n[2] * kLanes; i += kLanes) lanes(to + i) += lanes(from + i);
  });
}

void pack(const float* plain, int channels, int64_t positions, float* blocked) {
#pragma omp parallel for collapse(2) schedule(static) if (int64_t(channels) * positions > kWorthSharing)
  for (int b = 0; b < blocksOf(channels); ++b)
    for (int64_t p = 0; p < positions; ++p)
      for (int l = 0; l < kLanes; ++l) {
        const int c = b * kLanes + l;
        blocked[(b * positions + p) * kLanes + l] = c < channels ? plain[c * positions + p] : 0.f;
      }
}

void unpack(const float* blocked, int channels, int64_t positions, float* plain) {
#pragma omp parallel for schedule(static) if (int64_t(channels) * positions > kWorthSharing)
  for (int c = 0; c < channels; ++c)
    for (int64_t p = 0; p < positions; ++p) plain[c * positions + p] = blocked[(int64_t(c / kLanes) * positions + p) * kLanes + c % kLanes];
}

}  // namespace tracin::cpu
