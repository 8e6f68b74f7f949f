// Softmax along the channels or a spatial axis.
#include <cmath>

#include "operators.h"

namespace tracin::cpu {

namespace {

class Softmax final : public Operator {
 public:
  Softmax(Workspace& w, const Operation& o) : Operator(w, o) {
    const int axis = static_cast<int>(o.number("axis"));
    axis_ = axis == 0 ? -1 : axis - 1 + kAxes - shape(output).rank;
  }

  void forward(int images) override {
    const Shape& s = shape(output);
    for (int image = 0; image < images; ++image) {
      const float* x = in(0, image);
      float* y = out(image);
      std::fill_n(y, s.floats(), 0.f);
      fibres(s.extent, [&](int64_t start, auto&& step, int n) {
        float top = -INFINITY, sum = 0.f;
        for (int i = 0; i < n; ++i) top = std::max(top, x[start + step(i)]);
        for (int i = 0; i < n; ++i) sum += y[start + step(i)] = std::exp(x[start + step(i)] - top);
        for (int i = 0; i < n; ++i) y[start + step(i)] /= sum;
      });
    }
  }

  // dx = y · (dy − Σ y·dy); dx's box spans the whole axis, dy is zero outside its own
  void backward(Backward& b) override {
    if (!b.dx[0]) return;
    const Shape& s = shape(output);
    for (int r = 0; r < b.dy.count(); ++r) {
      const Row &dy = b.dy.list[r], &dx = b.dx[0]->list[r];
      Pool::Piece room = work.pool.take(s.floats(dx.box.size()));
      crop(out(b.unit.imageOf(r)), s.extent, dx.box, s.blocks(), room.data());
      const float* y = room.data();
      std::fill_n(dx.data, s.floats(dx.box.size()), 0.f);
      addInto(dx.data, dx.box, dy.data, dy.box, s.blocks());
      fibres(dx.box.size(), [&](int64_t start, auto&& step, int n) {
        float dot = 0.f;
        for (int i = 0; i < n; ++i) dot += y[start + step(i)] * dx.data[start + step(i)];
        for (int i = 0; i < n; ++i) dx.data[start + step(i)] = y[start + step(i)] * (dx.data[start + step(i)] - dot);
      });
    }
  }

 private:
  int axis_;

  // visit(start, step, n): the n numbers of one fibre along the axis stand at start + step(i)
  template <class Visit>
  void fibres(const Extent& e, Visit visit) const {
    const Shape& s = shape(output);
    const int64_t positions = volume(e);
    if (axis_ < 0) {
      const auto step = [positions](int c) { return int64_t(c / kLanes) * positions * kLanes + c % kLanes; };
#pragma omp parallel for schedule(static)
      for (int64_t p = 0; p < positions; ++p) visit(p * kLanes, step, s.channels);
      return;
    }
    int64_t stride = kLanes;
    for (int a = kAxes - 1; a > axis_; --a) stride *= e[a];
    const auto step = [stride](int i) { return i * stride; };
#pragma omp parallel for schedule(static)
    for (int c = 0; c < s.channels; ++c)
      for (int64_t p = 0; p < positions; ++p)
        if (p * kLanes / stride % e[axis_] == 0) visit((c / kLanes * positions + p) * kLanes + c % kLanes, step, e[axis_]);
  }
};

}  // namespace

std::unique_ptr<Operator> softmax(Workspace& w, const Operation& o) { return std::make_unique<Softmax>(w, o); }

}  // namespace tracin::cpu
