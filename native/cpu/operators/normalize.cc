// Normalize: rows of numbers made (x − mean) / √(variance + ε). Instance, group and layer normalisation without their scale and shift.
#include <cmath>

#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

// dx = (dy − mean(dy) − x̂ · mean(dy·x̂)) / σ, a symmetric map: ẏ comes from ẋ by the same
class FlatNormalize final : public Operator {
 public:
  FlatNormalize(Workspace& w, const Operation& o)
      : Operator(w, o),
        groups_(static_cast<int64_t>(o.number("groups"))),
        n_(count(w.dims(o.output)) / groups_),
        epsilon_(o.number("epsilon")) {}

  void forward(int images) override {
    for (int image = 0; image < images; ++image) {
      const float* x = work.numbers(input(0), image);
      float* y = out(image);
#pragma omp parallel for schedule(static) if (groups_ * n_ > kWorthSharing)
      for (int64_t g = 0; g < groups_; ++g) {
        const auto [mean, inverse] = moments(x + g * n_);
        for (int64_t i = g * n_; i < (g + 1) * n_; ++i) y[i] = static_cast<float>((x[i] - mean) * inverse);
      }
    }
  }

  void backward(Backward& b) override {
    for (int r = 0; r < b.dy.count(); ++r) {
      const float *x = work.numbers(input(0), b.unit.imageOf(r)), *y = out(b.unit.imageOf(r)), *dy = b.dy.list[r].data;
      deliver(b, 0, r, [&](float* dx) { project(x, y, dy, dx); });
    }
  }

  void tangent(const Tangent& t) override {
    for (int image = 0; image < t.images; ++image) project(work.numbers(input(0), image), out(image), moved(t, 0, image), moving(t, image));
  }

 private:
  int64_t groups_, n_;
  double epsilon_;

  void project(const float* x, const float* y, const float* from, float* to) const {
#pragma omp parallel for schedule(static) if (groups_ * n_ > kWorthSharing)
    for (int64_t g = 0; g < groups_; ++g) {
      const double inverse = moments(x + g * n_).second;
      double sum = 0, weighted = 0;
      for (int64_t i = g * n_; i < (g + 1) * n_; ++i) sum += from[i], weighted += double(from[i]) * y[i];
      for (int64_t i = g * n_; i < (g + 1) * n_; ++i) to[i] = static_cast<float>((from[i] - sum / n_ - y[i] * weighted / n_) * inverse);
    }
  }

  // mean and 1/σ
  std::pair<double, double> moments(const float* x) const {
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n_; ++i) sum += x[i];
    const double mean = sum / n_;
    for (int64_t i = 0; i < n_; ++i) square += (x[i] - mean) * (x[i] - mean);
    return {mean, 1. / std::sqrt(square / n_ + epsilon_)};
  }
};

// The same over consecutive channels of blocked maps; the whole map speaks, so its box is always whole.
class MapNormalize final : public Operator {
 public:
  MapNormalize(Workspace& w, const Operation& o)
      : Operator(w, o), perGroup_(shape(o.output).channels / static_cast<int>(o.number("groups"))), epsilon_(o.number("epsilon")) {}

  void forward(int images) override {
    const Shape& s = shape(output);
    inverse_.resize(std::max(inverse_.size(), size_t(images)));
    for (int image = 0; image < images; ++image) {
      const float* from = in(0, image);
      std::vector<float> mean(s.blocks() * kLanes, 0.f);
      const auto totals = [&](auto term) {
        Totals sums(s.blocks());
        sumLines<1>(s.blocks(), s.extent, sums, [&](int block, int z, int y, auto& part) {
          const float* x = from + lineStart(s.extent, block, z, y);
          for (int i = 0; i < s.extent[2] * kLanes; i += kLanes)
            for (int l = 0; l < kLanes; ++l) part[l] += term(x[i + l], mean[block * kLanes + l]);
        });
        return byGroup(sums);
      };
      const auto first = totals([](float x, float) { return x; });
      for (int c = 0; c < s.channels; ++c) mean[c] = static_cast<float>(first[c]);
      const auto second = totals([](float x, float m) { return (x - m) * (x - m); });
      auto& inverse = inverse_[image];
      inverse.assign(s.blocks() * kLanes, 0.f);
      for (int c = 0; c < s.channels; ++c) inverse[c] = static_cast<float>(1. / std::sqrt(second[c] + epsilon_));
      forLines(s.blocks(), s.extent, [&](int block, int z, int row) {
        const int64_t at = lineStart(s.extent, block, z, row);
        const float *m = &mean[block * kLanes], *f = &inverse[block * kLanes];
        for (int i = 0; i < s.extent[2] * kLanes; i += kLanes)
          for (int l = 0; l < kLanes; ++l) out(image)[at + i + l] = (from[at + i + l] - m[l]) * f[l];
      });
    }
  }

  void backward(Backward& b) override {
    if (!b.dx[0]) return;
    for (int r = 0; r < b.dy.count(); ++r) project(b.unit.imageOf(r), b.dy.list[r], b.dx[0]->list[r]);
  }

  void tangent(const Tangent& t) override {
    const Box whole = Box::whole(shape(output).extent);
    for (int image = 0; image < t.images; ++image) {
      Row to{whole, moving(t, image)};
      project(image, {whole, const_cast<float*>(moved(t, 0, image))}, to);
    }
  }

 private:
  using Totals = std::vector<std::array<double, kLanes>>;
  int perGroup_;
  double epsilon_;
  std::vector<std::vector<float>> inverse_;  // 1/σ by slice and channel, of the last forward

  // As in FlatNormalize; `dy` is zero outside its box, dx is not.
  void project(int image, const Row& from, Row& dx) {
    const Shape& s = shape(output);
    const Box& box = from.box;
    const Extent n = box.size();
    const float *y = out(image), *dy = from.data;
    std::vector<std::array<double, 2 * kLanes>> sums(s.blocks());
    sumLines<2>(s.blocks(), n, sums, [&](int block, int z, int row, auto& part) {
      const float *normal = y + lineStart(s.extent, box, block, z, row), *g = dy + lineStart(n, block, z, row);
      for (int i = 0; i < n[2] * kLanes; i += kLanes)
        for (int l = 0; l < kLanes; ++l) part[l] += g[i + l], part[kLanes + l] += g[i + l] * normal[i + l];
    });
    Totals plain(s.blocks()), weighted(s.blocks());
    for (int block = 0; block < s.blocks(); ++block)
      for (int l = 0; l < kLanes; ++l) plain[block][l] = sums[block][l], weighted[block][l] = sums[block][kLanes + l];
    const auto mean = byGroup(plain), slope = byGroup(weighted);
    const auto& inverse = inverse_[image];
    const Extent m = dx.box.size();
    std::fill_n(dx.data, s.floats(m), 0.f);
    addInto(dx.data, dx.box, dy, box, s.blocks());
    forLines(s.blocks(), m, [&](int block, int z, int row) {
      const float* normal = y + lineStart(s.extent, dx.box, block, z, row);
      float* to = dx.data + lineStart(m, block, z, row);
      for (int i = 0; i < m[2] * kLanes; i += kLanes)
        for (int l = 0; l < kLanes; ++l) {
          const int c = block * kLanes + l;
          to[i + l] = static_cast<float>((to[i + l] - mean[c] - normal[i + l] * slope[c]) * inverse[c]);
        }
    });
  }

  // By channel: its group's mean of what was summed by channel.
  std::vector<double> byGroup(const Totals& sums) const {
    const Shape& s = shape(output);
    std::vector<double> means(s.blocks() * kLanes, 0.);
    const double n = double(perGroup_) * volume(s.extent);
    for (int first = 0; first < s.channels; first += perGroup_) {
      double total = 0;
      for (int c = first; c < first + perGroup_; ++c) total += sums[c / kLanes][c % kLanes];
      std::fill_n(means.begin() + first, perGroup_, total / n);
    }
    return means;
  }
};

}  // namespace

std::unique_ptr<Operator> normalize(Workspace& w, const Operation& o) {
  if (w.tensors[o.output].flat) return std::make_unique<FlatNormalize>(w, o);
  return std::make_unique<MapNormalize>(w, o);
}

}  // namespace tracin::cpu
