#include "residents.h"

#include <omp.h>

#include <algorithm>
#include <bit>
#include <memory>

#include "constant.h"
#include "runs.h"

namespace tracin::cpu {

namespace {

using Brief = Residents::Brief;

// To nearest, ties to even.
Brief rounded(float number) {
  const auto bits = std::bit_cast<uint32_t>(number);
  return static_cast<Brief>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

constexpr int kEight = 8;
typedef float Eight __attribute__((vector_size(kEight * sizeof(float)), aligned(sizeof(float)), may_alias));
typedef uint32_t Bits __attribute__((vector_size(kEight * sizeof(uint32_t))));
typedef Brief Briefs __attribute__((vector_size(kEight * sizeof(Brief)), aligned(sizeof(Brief)), may_alias));

float widened(float number) { return number; }
float widened(Brief number) { return std::bit_cast<float>(uint32_t(number) << 16); }
Eight eight(const float* from) { return *reinterpret_cast<const Eight*>(from); }
Eight eight(const Brief* from) { return Eight(__builtin_convertvector(*reinterpret_cast<const Briefs*>(from), Bits) << 16); }

// Rows of either side whose sums stay in registers, and numbers of each for which all the right ones stay in the second-level cache.
constexpr int kLeft = 2, kRight = 6, kStretch = 1 << 12;

// sums[l · stride + r] += Σ left[l] · right[r] over n numbers, at most kStretch
template <int Left, int Right, class Number>
void addDots(const Number* left, int64_t leftStep, const float* right, int64_t rightStep, int64_t n, float* sums, int stride) {
  Eight s[Left][Right] = {};
  int64_t i = 0;
  for (; i + kEight <= n; i += kEight) {
    Eight v[Left];
    for (int l = 0; l < Left; ++l) v[l] = eight(left + l * leftStep + i);
    for (int r = 0; r < Right; ++r)
      for (int l = 0; l < Left; ++l) s[l][r] += v[l] * eight(right + r * rightStep + i);
  }
  for (int l = 0; l < Left; ++l)
    for (int r = 0; r < Right; ++r) {
      float sum = 0;
      for (int e = 0; e < kEight; ++e) sum += s[l][r][e];
      for (int64_t rest = i; rest < n; ++rest) sum += widened(left[l * leftStep + rest]) * right[r * rightStep + rest];
      sums[l * stride + r] += sum;
    }
}

// The same for any number of rows and numbers; `part` is room for as many sums.
template <class Number>
void addProducts(const Number* left, int64_t leftStep, int leftRows, const float* right, int64_t rightStep, int rightRows, int64_t n,
                 float* part, double* sums) {
  const int64_t count = int64_t(leftRows) * rightRows;
  std::fill_n(part, count, 0.f);
  for (int64_t i = 0; i < n; i += kStretch)
    for (int l = 0; l < leftRows; l += kLeft)
      for (int r = 0; r < rightRows; r += kRight)
        withConstant<kLeft>(std::min(kLeft, leftRows - l), [&]<int Left>() {
          withConstant<kRight>(std::min(kRight, rightRows - r), [&]<int Right>() {
            addDots<Left, Right>(left + l * leftStep + i, leftStep, right + r * rightStep + i, rightStep,
                                 std::min<int64_t>(kStretch, n - i), part + int64_t(l) * rightRows + r, rightRows);
          });
        });
  for (int64_t i = 0; i < count; ++i) sums[i] += part[i];
}

}  // namespace

Residents::Residents(int capacity, int classes, std::vector<int64_t> floats, Precision precision)
    : capacity_(capacity), classes_(classes), floats_(std::move(floats)), brief_(precision == Precision::bf16) {
  for (int64_t n : floats_) data_.emplace_back((int64_t(capacity) * classes * bytes(n, precision) + sizeof(float) - 1) / sizeof(float));
}

void Residents::checkRoom(int slices) const {
  if (used_ + slices > capacity_) throw EngineError("resident block is full");
}

void Residents::keep(int selected, int64_t row, const float* gradient) {
  const int64_t n = floats_[selected], start = (rows() + row) * n;
  float* to = data_[selected].data();
  const auto fill = [&](auto* at, auto convert) {
    gradient ? void(std::transform(gradient, gradient + n, at, convert)) : void(std::fill_n(at, n, 0));
  };
  if (brief_)
    fill(reinterpret_cast<Brief*>(to) + start, rounded);
  else
    fill(to + start, [](float x) { return x; });
}

void Residents::addProducts(const Gradient& g, double* products) const {
  const float* all = data_[g.selected].data();
  const size_t count = size_t(rows()) * g.count;
  // Made here, for a thread that finds no memory could tell nobody; not filled, for one tensor in two is work for one thread.
  const std::unique_ptr<float[]> parts(new float[omp_get_max_threads() * count]);
  addRuns(g.floats, count, products, [&](int64_t start, int64_t n, double* sums) {
    float* part = parts.get() + omp_get_thread_num() * count;
    const auto with = [&](const auto* left) {
      cpu::addProducts(left + start, g.floats, rows(), g.rows + start, g.floats, g.count, n, part, sums);
    };
    brief_ ? with(reinterpret_cast<const Brief*>(all)) : with(all);
  });
}

}  // namespace tracin::cpu
