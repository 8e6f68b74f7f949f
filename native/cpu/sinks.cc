#include "sinks.h"

#include "runs.h"

namespace tracin::cpu {

namespace {

typedef float Loose
    __attribute__((vector_size(sizeof(Lanes)), aligned(sizeof(float)), may_alias));  // rows of any length follow one another
typedef double Wide __attribute__((vector_size(kLanes * sizeof(double))));

double squaredNorm(const float* x, int64_t n) {
  Wide sums{};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    Loose part{};
    for (int64_t j = i; j < i + 4 * kLanes; j += kLanes) {
      const Loose& v = *reinterpret_cast<const Loose*>(x + j);
      part += v * v;
    }
    sums += __builtin_convertvector(part, Wide);
  }
  double total = 0;
  for (int l = 0; l < kLanes; ++l) total += sums[l];
  for (; i < n; ++i) total += double(x[i]) * x[i];
  return total;
}

}  // namespace

void addSquaredNorms(const float* rows, int count, int64_t floats, double* norms) {
  addRuns(floats, count, norms, [&](int64_t start, int64_t n, double* sums) {
    for (int row = 0; row < count; ++row) sums[row] += squaredNorm(rows + row * floats + start, n);
  });
}

}  // namespace tracin::cpu
