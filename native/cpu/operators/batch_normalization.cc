// BatchNormalization: by its running statistics (influence, prediction) or by the batch's own (training, ONNX semantics:
// population variance, running ← momentum · running + (1 − momentum) · batch).
#include <cmath>

#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

enum Input { kX, kScale, kShift, kMean, kVariance };

class BatchNormalization final : public Operator {
 public:
  BatchNormalization(Workspace& w, const Operation& o)
      : Operator(w, o), epsilon_(o.number("epsilon")), momentum_(o.number("momentum")), channels_(shape(o.inputs[0]).channels) {
    for (auto* v : {&mean_, &inverse_, &factor_, &shift_}) v->resize(blocksOf(channels_) * kLanes);
  }

  bool fuse(float slope, int value) override {
    if (slope < 0.f) return false;
    slope_ = slope, output = value;
    return true;
  }

  void forward(int images) override {
    if (work.training) measure(images);
    for (int c = 0; c < channels_; ++c) {
      if (!work.training) {
        mean_[c] = work.stored[input(kMean)][c];
        inverse_[c] = 1.f / std::sqrt(work.stored[input(kVariance)][c] + static_cast<float>(epsilon_));
      }
      factor_[c] = work.stored[input(kScale)][c] * inverse_[c];
      shift_[c] = work.stored[input(kShift)][c];
    }
    const Shape& s = shape(output);
    for (int image = 0; image < images; ++image)
      forLines(s.blocks(), s.extent, [&](int b, int z, int row) {
        const int64_t at = lineStart(s.extent, b, z, row);
        const float* __restrict x = in(kX, image) + at;
        float* __restrict y = out(image) + at;
        const Lanes mean = lanes(mean_, b), factor = lanes(factor_, b), shift = lanes(shift_, b);
        const float slope = slope_;
        for (int i = 0; i < s.extent[2] * kLanes; i += kLanes)
          for (int l = 0; l < kLanes; ++l) {
            const float v = (x[i + l] - mean[l]) * factor[l] + shift[l];
            y[i + l] = v > 0.f ? v : slope * v;
          }
      });
  }

  void backward(Backward& b) override {
    const int blocks = shape(output).blocks();
    Sums sums(blocks);
    for (int r = 0; r < b.dy.count(); ++r) {
      if (b.unit.shared) std::fill(sums.begin(), sums.end(), Sums::value_type{});
      accumulate(b, r, sums);
      const int row = b.unit.shared ? r : 0;
      for (int c = 0; c < channels_; ++c) {
        if (b.gradients[kScale]) b.gradients[kScale][row * channels_ + c] = static_cast<float>(weighted(sums, c));
        if (b.gradients[kShift]) b.gradients[kShift][row * channels_ + c] = static_cast<float>(sums[c / kLanes][c % kLanes]);
      }
    }
    if (!b.dx[kX] || !work.training) return;
    // through the batch's statistics: dx = γ/σ · (dy − mean(dy) − x̂ · mean(dy·x̂))
    std::vector<float> meanDy(mean_.size()), meanWeighted(mean_.size());
    const double positions = double(b.dy.count()) * volume(shape(output).extent);
    for (int c = 0; c < channels_; ++c) {
      meanDy[c] = static_cast<float>(sums[c / kLanes][c % kLanes] / positions);
      meanWeighted[c] = static_cast<float>(weighted(sums, c) / positions);
    }
    for (int r = 0; r < b.dy.count(); ++r) {
      const Extent n = b.dy.list[r].box.size();
      forLines(blocks, n, [&](int block, int z, int y) {
        const auto [x, _, dy, dx] = line(b, r, block, z, y);
        const Lanes mean = lanes(mean_, block), inverse = lanes(inverse_, block), factor = lanes(factor_, block);
        const Lanes offset = lanes(meanDy, block), slope = lanes(meanWeighted, block);
        float* __restrict to = dx;
        const float* __restrict in = x, * __restrict g = dy;
        for (int i = 0; i < n[2] * kLanes; i += kLanes)
          for (int l = 0; l < kLanes; ++l) to[i + l] = factor[l] * (g[i + l] - offset[l] - (in[i + l] - mean[l]) * inverse[l] * slope[l]);
      });
    }
  }

 private:
  double epsilon_, momentum_;
  int channels_;
  float slope_ = 1.f;
  std::vector<float> mean_, inverse_, factor_, shift_;  // zero in unused lanes, so those stay zero

  // A block's sixteen numbers, where the compiler keeps them in registers.
  using Lanes = std::array<float, kLanes>;
  static Lanes lanes(const std::vector<float>& all, int block) {
    Lanes part;
    std::copy_n(all.begin() + block * kLanes, kLanes, part.begin());
    return part;
  }

  // By block: Σ dy, then Σ dy·(x − mean), of sixteen channels each.
  using Sums = std::vector<std::array<double, 2 * kLanes>>;
  // Σ dy·x̂
  double weighted(const Sums& sums, int c) const { return sums[c / kLanes][kLanes + c % kLanes] * inverse_[c]; }

  struct Line {
    const float *x, *y;
    float *dy, *dx;
  };
  Line line(Backward& b, int r, int block, int z, int y) {
    const Box& box = b.dy.list[r].box;
    const int64_t at = lineStart(shape(output).extent, box, block, z, y), to = lineStart(box.size(), block, z, y);
    return {in(kX, b.unit.imageOf(r)) + at, out(b.unit.imageOf(r)) + at, b.dy.list[r].data + to,
            b.dx[kX] ? b.dx[kX]->list[r].data + to : nullptr};
  }

  // Masks dy by the fused Relu, adds a row's sums. Running statistics are constants, so with them dx = γ/σ · dy at once.
  void accumulate(Backward& b, int r, Sums& sums) {
    const Extent n = b.dy.list[r].box.size();
    sumLines<2>(shape(output).blocks(), n, sums, [&](int block, int z, int row, auto& part) {
      const auto [x, y, dy, dx] = line(b, r, block, z, row);
      const bool scales = !work.training && dx;
      const Lanes mean = lanes(mean_, block);
      Lanes factor = lanes(factor_, block), sum{}, product{};
      if (!scales) factor.fill(1.f);
      float* to = scales ? dx : dy;
      const float slope = slope_;
      for (int i = 0; i < n[2] * kLanes; i += kLanes)
        for (int l = 0; l < kLanes; ++l) {
          const float g = y[i + l] > 0.f ? dy[i + l] : dy[i + l] * slope;
          sum[l] += g;
          product[l] += g * (x[i + l] - mean[l]);
          to[i + l] = factor[l] * g;
        }
      std::copy_n(sum.begin(), kLanes, part.begin());
      std::copy_n(product.begin(), kLanes, part.begin() + kLanes);
    });
  }

  void measure(int images) {
    const Shape& s = shape(input(kX));
    auto &mean = work.stored[input(kMean)], &variance = work.stored[input(kVariance)];
    // the second time around the mean
    const auto moments = [&](auto term) {
      std::vector<std::array<double, kLanes>> totals(s.blocks());
      for (int image = 0; image < images; ++image)
        sumLines<1>(s.blocks(), s.extent, totals, [&](int block, int z, int y, auto& part) {
          const float* x = in(kX, image) + lineStart(s.extent, block, z, y);
          const Lanes center = lanes(mean_, block);
          Lanes sum{};
          for (int i = 0; i < s.extent[2] * kLanes; i += kLanes)
            for (int l = 0; l < kLanes; ++l) sum[l] += term(x[i + l], center[l]);
          part = sum;
        });
      return totals;
    };
    const double positions = double(images) * volume(s.extent);
    const auto first = moments([](float v, float) { return v; });
    for (int c = 0; c < channels_; ++c) mean_[c] = static_cast<float>(first[c / kLanes][c % kLanes] / positions);
    const auto second = moments([](float v, float m) { return (v - m) * (v - m); });
    for (int c = 0; c < channels_; ++c) {
      const double m = first[c / kLanes][c % kLanes] / positions, var = second[c / kLanes][c % kLanes] / positions;
      inverse_[c] = static_cast<float>(1. / std::sqrt(var + epsilon_));
      mean[c] = static_cast<float>(momentum_ * mean[c] + (1 - momentum_) * m);
      variance[c] = static_cast<float>(momentum_ * variance[c] + (1 - momentum_) * var);
    }
  }
};

}  // namespace

std::unique_ptr<Operator> batchNormalization(Workspace& w, const Operation& o) { return std::make_unique<BatchNormalization>(w, o); }

}  // namespace tracin::cpu
