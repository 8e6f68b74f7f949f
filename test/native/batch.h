// Seeded slices with regions, for the native engines' own tests.
#pragma once
#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "networks.h"

namespace tracin::test {

constexpr int kForeground = kClasses - 1, kSlices = 3;

struct Batch {
  std::vector<float> images;
  std::vector<uint8_t> targets, masks;
  std::vector<int32_t> boxes;
  RegionBatch view(int first, int slices, bool boxed) const {
    const int64_t s = targets.size() / kSlices;
    return {slices,
            images.data() + first * 4 * s,
            targets.data() + first * s,
            masks.data() + first * kForeground * s,
            boxed ? boxes.data() + first * static_cast<int64_t>(boxes.size()) / kSlices : nullptr,
            false};
  }
};

// Regions are patches of a few pixels; the last slice lacks its last class.
inline Batch batchOf(const Builder& b) {
  const int height = static_cast<int>(b.dims(b.network.input)[1]), width = static_cast<int>(b.dims(b.network.input)[2]),
            pixels = height * width;
  std::mt19937 random(3);
  std::normal_distribution<float> noise;
  Batch batch;
  for (int i = 0; i < kSlices * 4 * pixels; ++i) batch.images.push_back(noise(random));
  for (int i = 0; i < kSlices * pixels; ++i) batch.targets.push_back(random() % kClasses);
  batch.masks.assign(kSlices * kForeground * pixels, 0);
  for (int slice = 0; slice < kSlices; ++slice)
    for (int c = 0; c < kForeground; ++c) {
      int reach = 0;  // from the logits backwards
      const bool absent = slice == kSlices - 1 && c == kForeground - 1;
      const int y = (slice * 13 + c * 7) % (height - 6), x = (slice * 29 + c * 11) % (width - 8);
      for (int i = 0; i < 48 && !absent; ++i) batch.masks[((slice * kForeground + c) * height + y + i / 8) * width + x + i % 8] = 1;
      std::vector<std::array<int, 4>> slots;
      for (size_t o = b.network.operations.size(); o-- > 0;) {
        const Operation& op = b.network.operations[o];
        if (op.type == "Conv" && op.integers("kernel")[0] == 3) ++reach;
        const std::array<int, 4> box{std::max(0, y - reach), std::min(height, y + 6 + reach), std::max(0, x - reach),
                                     std::min(width, x + 8 + reach)};
        for (size_t i = op.inputs.size(); i-- > 0;) slots.push_back(i == 0 ? box : std::array<int, 4>{0, 0, 0, 0});
      }
      slots.insert(slots.begin(), {y, y + 6, x, x + 8});
      for (size_t s = slots.size(); s-- > 0;)
        for (int n : slots[s]) batch.boxes.push_back(absent ? 0 : n);
    }
  return batch;
}

}  // namespace tracin::test
