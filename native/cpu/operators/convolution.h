// What Conv, its union with a BatchNormalization, and ConvTranspose share: a Correlation and the gradients of kernel and bias.
#pragma once
#include <optional>

#include "../correlation.h"
#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

inline Box whole(const Tensor& t) { return Box::whole(t.shape.extent); }

// What kernel and bias gradients have in common for both operators.
class Convolution : public Operator {
 public:
  Convolution(Workspace& w, const Operation& o);

  int64_t gradientFloats(int i) override { return i == 1 ? product_.gradientFloats() : Operator::gradientFloats(i); }
  void unpackGradient(int i, const float* row, float* plain) override {
    if (i == 1)
      product_.unpackGradient(row, plain);
    else
      Operator::unpackGradient(i, row, plain);
  }
  void keepPlainGradient(int i) override {
    if (i == 1) product_.keepPlainGradient();
  }

 protected:
  Geometry shape_;
  Correlation product_;
  std::optional<Correlation> motion_;  // with the kernel's tangent in its place; made when first asked for

  virtual const float* bias() const { return input(2) < 0 ? nullptr : work.numbers(input(2)); }

  void biasGradient(Backward& b) {
    if (input(2) < 0) return;
    const int channels = shape(output).channels;
    for (int r = 0; r < b.dy.count(); ++r) deliver(b, 2, r, [&](float* to) { sumPositions(b.dy.list[r], channels, to); });
  }

  // Room for kernel gradients in the library's order: the parameter's own, or, for a derived kernel, a piece to be unpacked from.
  float* kernelRoom(Backward& b, Pool::Piece& room) {
    if (!b.dx[1]) return b.gradients[1];
    room = work.pool.take((b.unit.shared ? b.unit.rows : 1) * product_.gradientFloats());
    return room.data();
  }
  void unpackKernels(Backward& b, const Pool::Piece& room) {
    if (!b.dx[1]) return;
    for (int r = 0; r < b.unit.rows; ++r) {
      float* to = b.dx[1]->list[r].data;
      if (b.unit.shared || r == 0)
        product_.unpackGradient(room.data() + r * product_.gradientFloats(), to);
      else
        std::fill_n(to, count(work.dims(input(1))), 0.f);  // in training the first row holds the sum
    }
  }

  // Adds a number to each channel of whole maps.
  void lift(int images, const float* bias, float* maps, int64_t step) const {
    const Shape& s = shape(output);
    std::vector<float> shift(s.blocks() * kLanes);
    std::copy_n(bias, s.channels, shift.begin());
    for (int image = 0; image < images; ++image)
      forLines(s.blocks(), s.extent, [&](int b, int z, int row) {
        float* line = maps + image * step + lineStart(s.extent, b, z, row);
        for (int i = 0; i < s.extent[2] * kLanes; i += kLanes)
          for (int l = 0; l < kLanes; ++l) line[i + l] += shift[b * kLanes + l];
      });
  }

  // kernel · ẋ + (d kernel) · x + d bias; apply(product, x, y) is the operator without its bias
  template <class Apply>
  void move(const Tangent& t, Apply apply) {
    const Tensor &x = work.tensors[input(0)], &y = work.tensors[output];
    const int64_t floats = t.images * y.floats();
    if (t.inputs[0]) apply(product_, {whole(x), const_cast<float*>(t.inputs[0])}, {whole(y), t.output});
    if (t.inputs[1]) {
      if (!motion_) motion_.emplace(work, shape_, input(1));
      motion_->useKernel(t.inputs[1]);
      Pool::Piece room;
      if (t.inputs[0]) room = work.pool.take(floats);
      apply(*motion_, window(input(0), 0, whole(x)), {whole(y), room ? room.data() : t.output});
      if (room) add(room.data(), floats, t.output);
    } else if (!t.inputs[0]) {
      std::fill_n(t.output, floats, 0.f);
    }
    if (t.inputs.size() > 2 && t.inputs[2]) lift(t.images, t.inputs[2], t.output, y.floats());
  }

  // The part of an activation inside a box, from this slice on.
  Correlation::Part window(int value, int image, const Box& box) const {
    const Tensor& t = work.tensors[value];
    return {box, t.of(image), t.flat, whole(t), t.step};
  }
};

class Conv : public Convolution {
 public:
  using Convolution::Convolution;

  bool fuse(float slope, int value) override {
    if (slope < 0.f) return false;  // the output's sign must tell the input's
    slope_ = slope, output = value;
    return true;
  }

  void forward(int images) override {
    const Box& wanted = tensor(output).wanted;
    const Box read = covered(shape_, wanted, whole(tensor(input(0))));
    product_.gather(images, window(input(0), 0, read), window(output, 0, wanted), bias(), slope_);
  }

  void backward(Backward& b) override {
    std::vector<Backward> units{b};
    backwardTogether(units);
  }

  void backwardTogether(std::vector<Backward>& units) override {
    std::vector<Pool::Piece> rooms(units.size());
    std::vector<float*> gradients;
    for (size_t u = 0; u < units.size(); ++u) {
      if (slope_ != 1.f) maskByOutput(work, output, slope_, units[u].unit, units[u].dy);
      gradients.push_back(kernelRoom(units[u], rooms[u]));
    }
    if (gradients[0]) product_.correlate(sums(units, gradients));
    for (size_t u = 0; u < units.size(); ++u) unpackKernels(units[u], rooms[u]), biasGradient(units[u]);
    dataGradients(units);
  }

  void tangent(const Tangent& t) override {
    move(t, [&](Correlation& product, const Correlation::Part& x, const Correlation::Part& y) {
      product.gather(t.images, x, y, nullptr, 1.f);
    });
    if (slope_ != 1.f) maskByOutput(work, output, slope_, t);
  }

 protected:
  float slope_ = 1.f;

  void dataGradients(const std::vector<Backward>& units) {
    std::vector<Correlation::Pair> pairs;
    for (const Backward& b : units)
      for (int r = 0; b.dx[0] && r < b.dy.count(); ++r) {
        const Row &x = b.dx[0]->list[r], &y = b.dy.list[r];
        pairs.push_back({{x.box, x.data}, {y.box, y.data}});
      }
    product_.scatter(pairs);
  }

  // The kernel gradients of units, each into its own array; classes of a slice at once where they lie on one box. `dots`: [rows, out].
  std::vector<Correlation::Sum> sums(const std::vector<Backward>& units, const std::vector<float*>& gradients, double* dots = nullptr) {
    std::vector<Correlation::Sum> all;
    const Box map = Box::whole(shape(input(0)).extent);
    for (size_t u = 0; u < units.size(); ++u) {
      const auto& [unit, dy, dx, parameters] = units[u];
      if (!unit.shared) {
        all.push_back({unit.rows, 1, window(input(0), unit.image, map), {dy.list[0].box, dy.list[0].data}, gradients[u]});
        continue;
      }
      const int stack = dy.stacked && product_.stacks() ? dy.count() : 1;
      for (int r = 0; r < dy.count(); r += stack) {
        const Row& y = dy.list[r];
        const auto x = window(input(0), unit.image, covered(shape_, y.box, map));
        all.push_back({1, stack, x, {y.box, y.data}, gradients[u] + r * product_.gradientFloats(), dots});
        if (dots) dots += stack * shape_.out;
      }
    }
    return all;
  }
};

}  // namespace tracin::cpu
