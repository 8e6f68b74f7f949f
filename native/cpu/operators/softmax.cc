// Softmax along the channels or a spatial axis.
#include <cmath>

#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

class MapSoftmax final : public Operator {
 public:
  MapSoftmax(Workspace& w, const Operation& o) : Operator(w, o) {
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
      project(dx.box.size(), y, dx.data);
    }
  }

  // the same map: its matrix is symmetric
  void tangent(const Tangent& t) override {
    std::copy_n(t.inputs[0], t.images * shape(output).floats(), t.output);
    for (int image = 0; image < t.images; ++image) project(shape(output).extent, out(image), moving(t, image));
  }

 private:
  int axis_;

  // d ← y · (d − Σ y·d) on maps of extent n
  void project(const Extent& extent, const float* y, float* d) const {
    fibres(extent, [&](int64_t start, auto&& step, int n) {
      float dot = 0.f;
      for (int i = 0; i < n; ++i) dot += y[start + step(i)] * d[start + step(i)];
      for (int i = 0; i < n; ++i) d[start + step(i)] = y[start + step(i)] * (d[start + step(i)] - dot);
    });
  }

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

// Softmax, or its logarithm, along any axis of flat numbers.
class FlatSoftmax final : public Operator {
 public:
  FlatSoftmax(Workspace& w, const Operation& o) : Operator(w, o), logarithm_(o.type == "LogSoftmax") {
    const auto& dims = w.dims(o.output);
    const int axis = static_cast<int>(o.number("axis"));
    n_ = dims[axis];
    step_ = count({dims.begin() + axis + 1, dims.end()});
    outer_ = count(dims) / (n_ * step_);
  }

  void forward(int images) override {
    for (int image = 0; image < images; ++image) {
      const float* x = work.numbers(input(0), image);
      float* y = out(image);
      fibres([&](int64_t start) {
        float top = -INFINITY;
        double sum = 0;
        for (int64_t i = 0; i < n_; ++i) top = std::max(top, x[start + i * step_]);
        for (int64_t i = 0; i < n_; ++i) sum += std::exp(x[start + i * step_] - top);
        const float log = static_cast<float>(std::log(sum));
        for (int64_t i = 0; i < n_; ++i) {
          const float l = x[start + i * step_] - top - log;
          y[start + i * step_] = logarithm_ ? l : std::exp(l);
        }
      });
    }
  }

  // softmax: dx = y · (dy − Σ y·dy); its logarithm: dx = dy − eʸ · Σ dy
  void backward(Backward& b) override {
    for (int r = 0; r < b.dy.count(); ++r) {
      const float *y = out(b.unit.imageOf(r)), *dy = b.dy.list[r].data;
      deliver(b, 0, r, [&](float* dx) {
        fibres([&](int64_t start) {
          double sum = 0;
          for (int64_t i = start; i < start + n_ * step_; i += step_) sum += logarithm_ ? dy[i] : y[i] * dy[i];
          const float s = static_cast<float>(sum);
          for (int64_t i = start; i < start + n_ * step_; i += step_) dx[i] = logarithm_ ? dy[i] - std::exp(y[i]) * s : y[i] * (dy[i] - s);
        });
      });
    }
  }

  // softmax: ẏ = y · (ẋ − Σ y·ẋ); its logarithm: ẏ = ẋ − Σ eʸ·ẋ
  void tangent(const Tangent& t) override {
    for (int image = 0; image < t.images; ++image) {
      const float *y = out(image), *dx = moved(t, 0, image);
      float* dy = moving(t, image);
      fibres([&](int64_t start) {
        double sum = 0;
        for (int64_t i = start; i < start + n_ * step_; i += step_) sum += (logarithm_ ? std::exp(y[i]) : y[i]) * dx[i];
        const float s = static_cast<float>(sum);
        for (int64_t i = start; i < start + n_ * step_; i += step_) dy[i] = logarithm_ ? dx[i] - s : y[i] * (dx[i] - s);
      });
    }
  }

 private:
  bool logarithm_;
  int64_t outer_, n_, step_;

  // visit(start) for every run along the axis
  template <class Visit>
  void fibres(Visit visit) const {
#pragma omp parallel for schedule(static) if (outer_ * n_ * step_ > kWorthSharing)
    for (int64_t f = 0; f < outer_ * step_; ++f) visit(f / step_ * n_ * step_ + f % step_);
  }
};

}  // namespace

std::unique_ptr<Operator> softmax(Workspace& w, const Operation& o) {
  if (w.tensors[o.output].flat) return std::make_unique<FlatSoftmax>(w, o);
  return std::make_unique<MapSoftmax>(w, o);
}

}  // namespace tracin::cpu
