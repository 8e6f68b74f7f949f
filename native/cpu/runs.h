// Sums over long rows, by all threads.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace tracin::cpu {

// Numbers that are added up in float32: enough for a product to run at speed, few enough that such sums keep six digits.
constexpr int64_t kRun = 1 << 14;
// Shares of a row that threads take, as many on any machine: sums are the same whatever the threads.
constexpr int64_t kShares = 16;

// add(start, floats, sums) for every run of a row, run after run in each share; then the shares' sums, in their order.
template <class Add>
void addRuns(int64_t floats, size_t count, double* sums, Add add) {
  const int64_t runs = (floats + kRun - 1) / kRun, shares = std::min(runs, kShares);
  std::vector<double> parts(shares * count);
#pragma omp parallel for schedule(dynamic, 1) if (shares > 1)
  for (int64_t s = 0; s < shares; ++s)
    for (int64_t r = runs * s / shares; r < runs * (s + 1) / shares; ++r)
      add(r * kRun, std::min(kRun, floats - r * kRun), parts.data() + s * count);
  for (int64_t s = 0; s < shares; ++s)
    for (size_t i = 0; i < count; ++i) sums[i] += parts[s * count + i];
}

}  // namespace tracin::cpu
