// BatchNormalization: by its running statistics (influence, prediction) or by the batch's own (training, ONNX semantics:
// population variance, running ← momentum · running + (1 − momentum) · batch).
#include <cmath>

#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

enum Input { kX, kScale, kShift, kMean, kVariance };

// Numbers by channel, zero in unused lanes, aligned like a position's.
class Channels {
 public:
  Channels() = default;
  explicit Channels(size_t n) { resize(n); }
  void resize(size_t n) {
    data_ = Buffer(n);
    std::fill_n(data_.data(), n, 0.f);
  }
  size_t size() const { return data_.size(); }
  float& operator[](size_t i) { return data_.data()[i]; }
  float operator[](size_t i) const { return data_.data()[i]; }
  const float* data() const { return data_.data(); }

 private:
  Buffer data_;
};

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
    const float *scale = work.numbers(input(kScale)), *shift = work.numbers(input(kShift));
    for (int c = 0; c < channels_; ++c) {
      if (!work.training) {
        mean_[c] = work.stored[input(kMean)][c];
        inverse_[c] = 1.f / std::sqrt(work.stored[input(kVariance)][c] + static_cast<float>(epsilon_));
      }
      factor_[c] = scale[c] * inverse_[c];
      shift_[c] = shift[c];
    }
    const Shape& s = shape(output);
    for (int image = 0; image < images; ++image)
      forLines(s.blocks(), s.extent, [&](int b, int z, int row) {
        const int64_t at = lineStart(s.extent, b, z, row);
        const float* x = in(kX, image) + at;
        float* y = out(image) + at;
        const Lanes mean = of(mean_, b), factor = of(factor_, b), shift = of(shift_, b);
        for (int i = 0; i < s.extent[2] * kLanes; i += kLanes) {
          const Lanes v = (lanes(x + i) - mean) * factor + shift;
          whereAbove(v, Lanes{}, v, v * slope_, lanes(y + i));
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
    Channels meanDy(mean_.size()), meanWeighted(mean_.size());
    const double positions = double(b.dy.count()) * volume(shape(output).extent);
    for (int c = 0; c < channels_; ++c) {
      meanDy[c] = static_cast<float>(sums[c / kLanes][c % kLanes] / positions);
      meanWeighted[c] = static_cast<float>(weighted(sums, c) / positions);
    }
    for (int r = 0; r < b.dy.count(); ++r) {
      const Extent n = b.dy.list[r].box.size();
      forLines(blocks, n, [&](int block, int z, int y) {
        const auto [x, _, dy, dx] = line(b, r, block, z, y);
        const Lanes mean = of(mean_, block), inverse = of(inverse_, block), factor = of(factor_, block);
        const Lanes offset = of(meanDy, block), slope = of(meanWeighted, block);
        for (int i = 0; i < n[2] * kLanes; i += kLanes)
          lanes(dx + i) = factor * (lanes(dy + i) - offset - (lanes(x + i) - mean) * inverse * slope);
      });
    }
  }

  // ẏ = γ/σ · ẋ + γ̇ · x̂ + β̇
  void tangent(const Tangent& t) override {
    const Shape& s = shape(output);
    const auto byChannel = [&](Input i) {
      Channels all(mean_.size());
      for (int c = 0; t.inputs[i] && c < channels_; ++c) all[c] = t.inputs[i][c];
      return all;
    };
    Channels stretch = byChannel(kScale);
    const Channels lift = byChannel(kShift);
    for (int c = 0; c < channels_; ++c) stretch[c] *= inverse_[c];
    for (int image = 0; image < t.images; ++image)
      forLines(s.blocks(), s.extent, [&](int b, int z, int row) {
        const int64_t at = lineStart(s.extent, b, z, row);
        const float *x = in(kX, image) + at, *y = out(image) + at, *dx = moved(t, kX, image);
        float* dy = moving(t, image) + at;
        const Lanes mean = of(mean_, b), factor = of(factor_, b), scale = of(stretch, b), shift = of(lift, b);
        for (int i = 0; i < s.extent[2] * kLanes; i += kLanes) {
          Lanes v = (lanes(x + i) - mean) * scale + shift;
          if (dx) v += lanes(dx + at + i) * factor;
          whereAbove(lanes(y + i), Lanes{}, v, v * slope_, lanes(dy + i));
        }
      });
  }

 private:
  double epsilon_, momentum_;
  int channels_;
  float slope_ = 1.f;
  Channels mean_, inverse_, factor_, shift_;

  static const Lanes& of(const Channels& all, int block) { return lanes(all.data() + block * kLanes); }

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
      const Lanes mean = of(mean_, block), one = Lanes{} + 1.f, factor = scales ? of(factor_, block) : one;
      Lanes sum{}, product{};
      float* to = scales ? dx : dy;
      for (int i = 0; i < n[2] * kLanes; i += kLanes) {
        Lanes g;
        whereAbove(lanes(y + i), Lanes{}, lanes(dy + i), lanes(dy + i) * slope_, g);
        sum += g;
        product += g * (lanes(x + i) - mean);
        lanes(to + i) = factor * g;
      }
      for (int l = 0; l < kLanes; ++l) part[l] = sum[l], part[kLanes + l] = product[l];
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
          const Lanes center = of(mean_, block);
          Lanes sum{};
          for (int i = 0; i < s.extent[2] * kLanes; i += kLanes) term(lanes(x + i), center, sum);
          for (int l = 0; l < kLanes; ++l) part[l] = sum[l];
        });
      return totals;
    };
    const double positions = double(images) * volume(s.extent);
    const auto first = moments([](const Lanes& v, const Lanes&, Lanes& sum) { sum += v; });
    for (int c = 0; c < channels_; ++c) mean_[c] = static_cast<float>(first[c / kLanes][c % kLanes] / positions);
    const auto second = moments([](const Lanes& v, const Lanes& m, Lanes& sum) { sum += (v - m) * (v - m); });
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
