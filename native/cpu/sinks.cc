#include "sinks.h"

#include <algorithm>

namespace tracin::cpu {

namespace {

// Long enough for the product to run at speed, short enough that float32 sums keep six digits.
constexpr int64_t kRun = 1 << 14;

}  // namespace

double squaredNorm(const float* row, int64_t floats) {
  const int64_t runs = (floats + kRun - 1) / kRun;
  std::vector<double> parts(runs);
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < runs; ++r) {
    const float* x = row + r * kRun;
    const int64_t n = std::min(kRun, floats - r * kRun);
    double sum = 0;
    for (int64_t i = 0; i < n; i += 64) {
      float part = 0;
      for (int64_t j = i; j < std::min(n, i + 64); ++j) part += x[j] * x[j];
      sum += part;
    }
    parts[r] = sum;
  }
  double total = 0;
  for (double p : parts) total += p;
  return total;
}

void addProducts(const float* left, int leftRows, const float* right, int rightRows, int64_t floats, double* products) {
  std::vector<float> part(size_t(leftRows) * rightRows);
  for (int64_t start = 0; start < floats; start += kRun) {
    const int64_t n = std::min(kRun, floats - start);
    dnnl_sgemm('N', 'T', leftRows, rightRows, n, 1.f, left + start, floats, right + start, floats, 0.f, part.data(), rightRows);
    for (size_t i = 0; i < part.size(); ++i) products[i] += part[i];
  }
}

}  // namespace tracin::cpu
