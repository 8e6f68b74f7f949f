#include "residents.h"

#include <algorithm>
#include <bit>

#include "runs.h"

namespace tracin::cpu {

namespace {

using Brief = Residents::Brief;

// To nearest, ties to even.
Brief rounded(float number) {
  const auto bits = std::bit_cast<uint32_t>(number);
  return static_cast<Brief>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float widened(Brief number) { return std::bit_cast<float>(uint32_t(number) << 16); }

// Rows that a thread widens at a time, a run of each: half a megabyte, for a second-level cache.
constexpr int kWidened = 8;

// sums[r][row] += left[r] · right[row], rows so many floats apart
void addProducts(int leftRows, const float* left, int64_t leftStep, int rightRows, const float* right, int64_t rightStep, int64_t n,
                 double* sums) {
  std::vector<float> part(size_t(leftRows) * rightRows);
  dnnl_sgemm('N', 'T', leftRows, rightRows, n, 1.f, left, leftStep, right, rightStep, 0.f, part.data(), rightRows);
  for (float p : part) *sums++ += p;
}

}  // namespace

Residents::Residents(int capacity, int classes, std::vector<int64_t> floats, Precision precision)
    : capacity_(capacity), classes_(classes), floats_(std::move(floats)), brief_(precision == Precision::bf16) {
  for (int64_t n : floats_) data_.emplace_back((capacity * classes * bytes(n, precision) + sizeof(float) - 1) / sizeof(float));
}

void Residents::makeRoom(int slices) const {
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
  addRuns(g.floats, size_t(rows()) * g.count, products, [&](int64_t start, int64_t n, double* sums) {
    if (!brief_) return cpu::addProducts(rows(), all + start, g.floats, g.count, g.rows + start, g.floats, n, sums);
    thread_local Buffer room(kWidened * kRun);
    for (int first = 0; first < rows(); first += kWidened) {
      const int count = std::min(kWidened, rows() - first);
      for (int r = 0; r < count; ++r) {
        const Brief* from = reinterpret_cast<const Brief*>(all) + (first + r) * g.floats + start;
        std::transform(from, from + n, room.data() + r * kRun, widened);
      }
      cpu::addProducts(count, room.data(), kRun, g.count, g.rows + start, g.floats, n, sums + first * g.count);
    }
  });
}

int64_t Residents::scratchBytes(int threads, Precision p) {
  return p == Precision::bf16 ? threads * kWidened * kRun * int64_t(sizeof(float)) : 0;
}

}  // namespace tracin::cpu
