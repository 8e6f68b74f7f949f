// Conv and ConvTranspose: the same Correlation, run one way or the other.
#include "convolution.h"

#include "../lines.h"

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

class ConvTranspose final : public Convolution {
 public:
  using Convolution::Convolution;

  void forward(int images) override {
    const Tensor &x = work.tensors[input(0)], &y = work.tensors[output];
    scatter(product_, images, window(input(0), 0, whole(x)), window(output, 0, whole(y)));
    if (bias()) lift(images, bias(), y.of(0), y.step);
  }

  void tangent(const Tangent& t) override {
    move(t, [&](Correlation& product, const Correlation::Part& x, const Correlation::Part& y) { scatter(product, t.images, x, y); });
  }

  void backward(Backward& b) override {
    const auto& dy = b.dy.list;
    const Box map = Box::whole(shape(output).extent), small = Box::whole(shape(input(0)).extent);
    biasGradient(b);
    Pool::Piece kernels;
    float* gradients = kernelRoom(b, kernels);
    if (gradients && !b.unit.shared)
      product_.correlate({{b.unit.rows, 1, {dy[0].box, dy[0].data}, window(input(0), b.unit.image, small), gradients}});
    for (int r = 0; r < b.dy.count(); ++r) {
      const Box inner = b.dx[0] ? b.dx[0]->list[r].box : meeting(shape_, dy[r].box, small);
      Pool::Piece wide;
      const Correlation::Part y = widened(dy[r], covered(shape_, inner, map), wide);
      if (gradients && b.unit.shared)
        product_.correlate({{1, 1, y, window(input(0), b.unit.image, inner), gradients + r * product_.gradientFloats()}});
      if (b.dx[0]) product_.gather(1, y, {inner, b.dx[0]->list[r].data}, nullptr, 1.f);
    }
    unpackKernels(b, kernels);
  }

 private:
  // From the side that a convolution would call its output.
  static void scatter(Correlation& product, int images, const Correlation::Part& from, const Correlation::Part& to) {
    product.scatter(product.batch(images, to, from));
  }

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

Convolution::Convolution(Workspace& w, const Operation& o) : Operator(w, o), shape_(geometry(w, o)), product_(w, shape_, o.inputs[1]) {
  w.anySize &= product_.anySize();
  if (product_.hasChoice()) w.choice.expect(shape_.in, shape_.out, volume(shape(o.output).extent));
}

std::unique_ptr<Operator> conv(Workspace& w, const Operation& o) { return std::make_unique<Conv>(w, o); }
std::unique_ptr<Operator> convTranspose(Workspace& w, const Operation& o) { return std::make_unique<ConvTranspose>(w, o); }

}  // namespace tracin::cpu
