#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

namespace tracin::test {

// The largest difference, as a share of the largest of b.
inline double far(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0, largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    most = std::max<double>(most, std::abs(a[i] - b[i])), largest = std::max<double>(largest, std::abs(b[i]));
  return std::isfinite(most) ? most / largest : INFINITY;
}

}  // namespace tracin::test
