// Whether numbers can be what they are said to be. There are millions: no branches, so that compilers make vectors of the loops.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

namespace tracin {

inline bool allFinite(std::span<const float> numbers) {
  int wrong = 0;
  for (float x : numbers) wrong += !(x - x == 0.f);
  return wrong == 0;
}

inline bool noneAbove(std::span<const uint8_t> bytes, uint8_t most) {
  uint8_t largest = 0;
  for (uint8_t byte : bytes) largest = std::max(largest, byte);
  return largest <= most;
}

}  // namespace tracin
