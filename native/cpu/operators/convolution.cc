// Conv and ConvTranspose: the same Correlation, run one way or the other.
#include <optional>

#include "../correlation.h"
#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

// ONNX kernels: Conv [Cout, Cin/groups, …]; ConvTranspose [Cin, Cout/groups, …], read here as the convolution that it transposes.
Geometry geometry(const Workspace& work, const Operation& op) {
  const auto& kernel = work.dims(op.inputs[1]);
  Geometry g;
  g.rank = static_cast<int>(kernel.size()) - 2;
  g.groups = static_cast<int>(op.number("groups"));
  g.out = static_cast<int>(kernel[0]);
  g.in = static_cast<int>(kernel[1]) * g.groups;
  g.kernel = widen(op.integers("kernel"), 1);
  g.strides = widen(op.integers("strides"), 1);
  g.dilations = widen(op.integers("dilations"), 1);
  g.before = widen(op.integers("before"), 0);
  return g;
}

// Positions of the `in` side, of this extent, that windows at `out` positions cover.
Box covered(const Geometry& g, const Box& out, const Extent& inExtent) {
  Box in;
  for (int a = 0; a < kAxes; ++a) {
    in.lo[a] = std::max(0, out.lo[a] * g.strides[a] - g.before[a]);
    in.hi[a] = std::min(inExtent[a], (out.hi[a] - 1) * g.strides[a] - g.before[a] + (g.kernel[a] - 1) * g.dilations[a] + 1);
  }
  return in;
}

// Positions of the `out` side whose window meets `in`.
Box meeting(const Geometry& g, const Box& in, const Extent& outExtent) {
  const auto floorDiv = [](int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); };
  Box out;
  for (int a = 0; a < kAxes; ++a) {
    const int span = (g.kernel[a] - 1) * g.dilations[a];
    out.lo[a] = std::max(0, -floorDiv(-(in.lo[a] + g.before[a] - span), g.strides[a]));
    out.hi[a] = std::min(outExtent[a], floorDiv(in.hi[a] - 1 + g.before[a], g.strides[a]) + 1);
  }
  return out;
}

Box whole(const Tensor& t) { return Box::whole(t.shape.extent); }

// What kernel and bias gradients have in common for both operators.
class Convolution : public Operator {
 public:
  Convolution(Workspace& w, const Operation& o) : Operator(w, o), shape_(geometry(w, o)), product_(w, shape_, o.inputs[1]) {}

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

  const float* bias() const { return input(2) < 0 ? nullptr : work.numbers(input(2)); }

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
  void lift(int images, const float* bias, float* maps) const {
    const Shape& s = shape(output);
    std::vector<float> shift(s.blocks() * kLanes);
    std::copy_n(bias, s.channels, shift.begin());
    for (int image = 0; image < images; ++image)
      forLines(s.blocks(), s.extent, [&](int b, int z, int row) {
        float* line = maps + image * s.floats() + lineStart(s.extent, b, z, row);
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
      apply(*motion_, {whole(x), x.of(0), x.flat}, {whole(y), room ? room.data() : t.output});
      const Box all = Box::whole({1, 1, static_cast<int>(floats / kLanes)});
      if (room) addInto(t.output, all, room.data(), all, 1);
    } else if (!t.inputs[0]) {
      std::fill_n(t.output, floats, 0.f);
    }
    if (input(2) >= 0 && t.inputs[2]) lift(t.images, t.inputs[2], t.output);
  }

  // The part of an activation inside a box; copied together unless it is the whole map.
  Correlation::Part window(int value, int image, const Box& box, Pool::Piece& room) {
    const Tensor& t = work.tensors[value];
    if (box == whole(t)) return {box, t.of(image), t.flat};
    const Extent e = t.shape.extent, n = box.size();
    room = work.pool.take(t.flat ? t.shape.channels * volume(n) : t.shape.floats(n));
    if (!t.flat) {
      crop(t.of(image), e, box, t.shape.blocks(), room.data());
    } else {
      float* to = room.data();
      for (int c = 0; c < t.shape.channels; ++c)
        for (int z = box.lo[0]; z < box.hi[0]; ++z)
          for (int y = box.lo[1]; y < box.hi[1]; ++y, to += n[2])
            std::copy_n(t.of(image) + ((int64_t(c) * e[0] + z) * e[1] + y) * e[2] + box.lo[2], n[2], to);
    }
    return {box, room.data(), t.flat};
  }
};

class Conv final : public Convolution {
 public:
  using Convolution::Convolution;

  bool fuse(float slope, int value) override {
    if (slope < 0.f) return false;  // the output's sign must tell the input's
    slope_ = slope, output = value;
    return true;
  }

  void forward(int images) override {
    const Tensor &x = work.tensors[input(0)], &y = work.tensors[output];
    product_.gather(images, {whole(x), x.of(0), x.flat}, {whole(y), y.of(0), y.flat}, bias(), slope_);
  }

  void backward(Backward& b) override {
    if (slope_ != 1.f) maskByOutput(work, output, slope_, b.unit, b.dy);
    Pool::Piece kernels;
    if (float* gradients = kernelRoom(b, kernels)) kernelGradient(b, gradients);
    unpackKernels(b, kernels);
    biasGradient(b);
    if (!b.dx[0]) return;
    const Rows &dy = b.dy, &dx = *b.dx[0];
    const bool together = dy.stacked && dx.stacked;
    for (int r = 0; r < (together ? 1 : dy.count()); ++r)
      product_.scatter(together ? dy.count() : 1, {dy.list[r].box, dy.list[r].data}, {dx.list[r].box, dx.list[r].data});
  }

  void tangent(const Tangent& t) override {
    move(t, [&](Correlation& product, const Correlation::Part& x, const Correlation::Part& y) {
      product.gather(t.images, x, y, nullptr, 1.f);
    });
    if (slope_ != 1.f) maskByOutput(work, output, slope_, t);
  }

 private:
  float slope_ = 1.f;

  void kernelGradient(Backward& b, float* gradients) {
    const auto& dy = b.dy.list;
    const Extent map = shape(input(0)).extent;
    const int64_t n = product_.gradientFloats();
    Pool::Piece room;
    if (!b.unit.shared)
      return product_.correlate(b.unit.rows, 1, window(input(0), b.unit.image, Box::whole(map), room), {dy[0].box, dy[0].data}, gradients);
    const bool together = b.dy.stacked && product_.stacks();
    for (int r = 0; r < (together ? 1 : b.dy.count()); ++r) {
      const auto x = window(input(0), b.unit.image, product_.readsAnywhere() ? Box::whole(map) : covered(shape_, dy[r].box, map), room);
      product_.correlate(1, together ? b.dy.count() : 1, x, {dy[r].box, dy[r].data}, gradients + r * n);
    }
  }
};

class ConvTranspose final : public Convolution {
 public:
  using Convolution::Convolution;

  void forward(int images) override {
    const Tensor &x = work.tensors[input(0)], &y = work.tensors[output];
    product_.scatter(images, {whole(x), x.of(0), x.flat}, {whole(y), y.of(0), y.flat});
    if (bias()) lift(images, bias(), y.of(0));
  }

  void tangent(const Tangent& t) override {
    move(t, [&](Correlation& product, const Correlation::Part& x, const Correlation::Part& y) { product.scatter(t.images, x, y); });
  }

  void backward(Backward& b) override {
    const auto& dy = b.dy.list;
    const Extent map = shape(output).extent, small = shape(input(0)).extent;
    Pool::Piece room;
    biasGradient(b);
    Pool::Piece kernels;
    float* gradients = kernelRoom(b, kernels);
    if (gradients && !b.unit.shared)
      product_.correlate(b.unit.rows, 1, {dy[0].box, dy[0].data}, window(input(0), b.unit.image, Box::whole(small), room), gradients);
    for (int r = 0; r < b.dy.count(); ++r) {
      const Box inner = b.dx[0] ? b.dx[0]->list[r].box : meeting(shape_, dy[r].box, small);
      Pool::Piece wide;
      const Correlation::Part y = widened(dy[r], covered(shape_, inner, map), wide);
      if (gradients && b.unit.shared)
        product_.correlate(1, 1, y, window(input(0), b.unit.image, inner, room), gradients + r * product_.gradientFloats());
      if (b.dx[0]) product_.gather(1, y, {inner, b.dx[0]->list[r].data}, nullptr, 1.f);
    }
    unpackKernels(b, kernels);
  }

 private:
  // The cotangent over everything the windows touch: zero outside its own box.
  Correlation::Part widened(const Row& row, const Box& box, Pool::Piece& room) {
    if (box == row.box) return {box, row.data};
    const Shape& s = shape(output);
    room = work.pool.take(s.floats(box.size()));
    std::fill_n(room.data(), s.floats(box.size()), 0.f);
    Box common;
    for (int a = 0; a < kAxes; ++a) common.lo[a] = std::max(box.lo[a], row.box.lo[a]), common.hi[a] = std::min(box.hi[a], row.box.hi[a]);
    if (!common.empty()) {
      Box inRow = common;
      for (int a = 0; a < kAxes; ++a) inRow.lo[a] -= row.box.lo[a], inRow.hi[a] -= row.box.lo[a];
      Pool::Piece cut = work.pool.take(s.floats(common.size()));
      crop(row.data, row.box.size(), inRow, s.blocks(), cut.data());
      addInto(room.data(), box, cut.data(), common, s.blocks());
    }
    return {box, room.data()};
  }
};

}  // namespace

std::unique_ptr<Operator> conv(Workspace& w, const Operation& o) { return std::make_unique<Conv>(w, o); }
std::unique_ptr<Operator> convTranspose(Workspace& w, const Operation& o) { return std::make_unique<ConvTranspose>(w, o); }

}  // namespace tracin::cpu
