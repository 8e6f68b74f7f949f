// What becomes of a kernel gradient's numbers in the end (winograd.h: Scaling). In a nameless namespace for the sake of winograd.h's rule.
#pragma once
#include "winograd.h"
#include "winograd_vector.h"

namespace tracin::cpu {

namespace {

// The 9 · 256 numbers of one output and one input block, or what of them belongs to a register of the outputs.
class Finish {
 public:
  using Vector = winograd::Vector;

  // o: the gradient's output block, of all gradients of a sum; `lane`: the first of the outputs in it; without scaling nothing becomes of
  // them
  Finish(const winograd::Scaling* scaling, const winograd::Sum& sum, int o, int i, int lane)
      : scaling_(scaling), dots_((int64_t(o) * sum.in.blocks + i) * winograd::kLanes + lane) {
    if (!scaling) return;
    const int block = o % sum.out.blocks;
    kernel_ = scaling->kernel + (int64_t(block) * sum.in.blocks + i) * kNumbers,
    factor_ = winograd::load(scaling->factors + block * winograd::kLanes + lane);
  }
  [[gnu::always_inline]] inline Vector operator()(int64_t offset, const Vector& value) {
    if (!scaling_) return value;
    dot_ += winograd::load(kernel_ + offset) * value;
    return value * factor_;
  }
  // All of a block that is complete in memory, where a register holds all of its outputs.
  void all(float* numbers) {
    for (int64_t n = 0; scaling_ && n < kNumbers; n += winograd::kWidth)
      winograd::store(numbers + n, (*this)(n, winograd::load(numbers + n)));
  }
  // `first`: where the sum's dots start, in blocks
  void keep(int64_t first) const {
    if (scaling_) winograd::store(scaling_->dots + first * winograd::kLanes + dots_, dot_);
  }

 private:
  static constexpr int64_t kNumbers = 9 * 256;
  const winograd::Scaling* scaling_;
  const float* kernel_ = nullptr;
  int64_t dots_;
  Vector factor_{}, dot_{};
};

}  // namespace

}  // namespace tracin::cpu
