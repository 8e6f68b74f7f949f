// Conv and the BatchNormalization that follows it as one operator. By running statistics the two are a convolution with the kernel
// γ/σ · w and the bias β + γ/σ · (b − μ), so nothing is stored between them; with g the cotangent of the result and G the kernel gradient
// of that convolution, the parameters' gradients are exactly
//   dw = γ/σ · G,  db = γ/σ · Σ g,  dβ = Σ g,  dγ = (⟨w, G⟩ + (b − μ) Σ g) / σ,
// for Σ g · (w ∗ x) = ⟨w, G⟩. In training, by the batch's statistics, the two run one after the other.
#include <cmath>

#include "convolution.h"

namespace tracin::cpu {

namespace {

enum Input { kX, kKernel, kBias, kScale, kShift, kMean, kVariance };

class NormalizedConv final : public Conv {
 public:
  NormalizedConv(Workspace& w, const Operation& o)
      : Conv(w, o),
        middle_(static_cast<int>(o.number("middle"))),
        convolution_(o),
        normalization_(o),
        factors_(shape_.out),
        inverse_(shape_.out),
        biases_(shape_.out) {
    convolution_.type = "Conv", convolution_.inputs.resize(kScale), convolution_.output = middle_;
    normalization_.type = "BatchNormalization",
    normalization_.inputs.erase(normalization_.inputs.begin(), normalization_.inputs.begin() + kBias);
    normalization_.inputs[0] = middle_;
    work.tensors[middle_].trainingOnly = true;
    conv_ = makeOperator(work, convolution_), normalize_ = makeOperator(work, normalization_);
  }

  bool fuse(float slope, int value) override { return normalize_->fuse(slope, value) && Conv::fuse(slope, value); }

  void keepPlainGradient(int i) override {
    Conv::keepPlainGradient(i);
    if (i == kKernel) conv_->keepPlainGradient(i);
  }

  void forward(int images) override {
    if (work.training) return conv_->forward(images), normalize_->forward(images);
    fold();
    Conv::forward(images);
  }

  void backwardTogether(std::vector<Backward>& units) override {
    if (work.training) {
      for (Backward& b : units) apart(b);
      return;
    }
    const int channels = shape_.out;
    std::vector<float> sums;  // of the cotangents, over all rows
    for (Backward& b : units) {
      sums.resize(sums.size() + b.unit.rows * channels);
      float* sum = sums.data() + sums.size() - b.unit.rows * channels;
      for (int r = 0; r < b.unit.rows; ++r, sum += channels) {
        if (slope_ == 1.f)
          sumPositions(b.dy.list[r], channels, sum);
        else
          maskAndSum(work, output, slope_, b.unit.imageOf(r), b.dy.list[r], channels, sum);
        for (int c = 0; c < channels; ++c) {
          if (b.gradients[kBias]) b.gradients[kBias][r * channels + c] = factors_[c] * sum[c];
          if (b.gradients[kShift]) b.gradients[kShift][r * channels + c] = sum[c];
        }
      }
    }
    if (units[0].gradients[kKernel] || units[0].gradients[kScale]) kernelsAndScales(units, sums);
    dataGradients(units);
  }

  // The kernel and the bias of both together move when any of their parameters does.
  void tangent(const Tangent& t) override {
    const auto motion = [&](Input i, int64_t at) { return t.inputs[i] ? t.inputs[i][at] : 0.f; };
    const float *w = work.numbers(input(kKernel)), *mean = work.numbers(input(kMean));
    const int64_t each = count(work.dims(input(kKernel))) / shape_.out;
    std::vector<float> kernel(each * shape_.out), bias(shape_.out);
    for (int c = 0; c < shape_.out; ++c) {
      const float turn = motion(kScale, c) * inverse_[c];
      bias[c] = motion(kShift, c) + motion(kBias, c) * factors_[c] + (plainBias(c) - mean[c]) * turn;
      for (int64_t i = c * each; i < (c + 1) * each; ++i) kernel[i] = motion(kKernel, i) * factors_[c] + w[i] * turn;
    }
    const bool moves = t.inputs[kKernel] || t.inputs[kScale];
    Conv::tangent({t.images, {t.inputs[kX], moves ? kernel.data() : nullptr, bias.data()}, t.output});
  }

 private:
  int middle_;  // the convolution's own result, in training
  Operation convolution_, normalization_;
  std::unique_ptr<Operator> conv_, normalize_;
  std::vector<float> factors_, inverse_, biases_;  // γ/σ, 1/σ, the bias of both together
  uint64_t version_ = 0;                           // of the parameters these are from

  const float* bias() const override { return biases_.data(); }
  float plainBias(int c) const { return input(kBias) < 0 ? 0.f : work.numbers(input(kBias))[c]; }

  void fold() {
    if (version_ == work.version) return;
    version_ = work.version;
    const float *scale = work.numbers(input(kScale)), *shift = work.numbers(input(kShift)), *mean = work.numbers(input(kMean)),
                *variance = work.numbers(input(kVariance));
    for (int c = 0; c < shape_.out; ++c) {
      inverse_[c] = 1.f / std::sqrt(variance[c] + static_cast<float>(operation.number("epsilon")));
      factors_[c] = scale[c] * inverse_[c];
      biases_[c] = shift[c] + (plainBias(c) - mean[c]) * factors_[c];
    }
    product_.scaleOut(factors_.data());
  }

  void kernelsAndScales(const std::vector<Backward>& units, const std::vector<float>& sums) {
    int rows = 0;
    for (const Backward& b : units) rows += b.unit.rows;
    const int64_t n = product_.gradientFloats();
    Pool::Piece room;
    if (!units[0].gradients[kKernel]) room = work.pool.take(rows * n);
    std::vector<float*> kernels;
    int row = 0;
    for (const Backward& b : units) kernels.push_back(room ? room.data() + row * n : b.gradients[kKernel]), row += b.unit.rows;
    std::vector<double> dots(rows * shape_.out);
    product_.correlate(Conv::sums(units, kernels, dots.data()));
    row = 0;
    for (const Backward& b : units)
      for (int r = 0; r < b.unit.rows; ++r, ++row)
        for (int c = 0; b.gradients[kScale] && c < shape_.out; ++c) {
          const double offset = double(plainBias(c)) - work.numbers(input(kMean))[c];
          const int at = row * shape_.out + c;
          b.gradients[kScale][r * shape_.out + c] = static_cast<float>(inverse_[c] * (dots[at] + offset * sums[at]));
        }
  }

  void apart(Backward& b) {
    Pool::Piece room;
    Rows middle;
    middle.stacked = true;
    const Shape& s = work.tensors[middle_].shape;
    room = work.pool.take(b.dy.count() * s.floats());
    for (int r = 0; r < b.dy.count(); ++r) middle.list.push_back({Box::whole(s.extent), room.data() + r * s.floats()});
    const auto& g = b.gradients;
    Backward second{b.unit, b.dy, {&middle, nullptr, nullptr, nullptr, nullptr}, {nullptr, g[kScale], g[kShift], nullptr, nullptr}};
    normalize_->backward(second);
    Backward first{b.unit, middle, {b.dx[kX], nullptr, nullptr}, {nullptr, g[kKernel], g[kBias]}};
    conv_->backward(first);
  }
};

}  // namespace

std::unique_ptr<Operator> normalizedConv(Workspace& w, const Operation& o) { return std::make_unique<NormalizedConv>(w, o); }

}  // namespace tracin::cpu
