// Functions of one number, whose derivative follows from their output: Relu, LeakyRelu, Sigmoid.
#include <cmath>

#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

float negativeSlope(const Operation& o) { return o.type == "Relu" ? 0.f : static_cast<float>(o.number("alpha")); }

namespace {

// F: value(x), derivative(x, y)
template <class F>
class Elementwise final : public Operator {
 public:
  Elementwise(Workspace& w, const Operation& o, F f) : Operator(w, o), f_(f) {}

  void forward(int images) override {
    const Shape& s = shape(output);
    for (int image = 0; image < images; ++image)
      forLines(s.blocks(), s.extent, [&](int b, int z, int row) {
        const int64_t at = lineStart(s.extent, b, z, row);
        const float* __restrict x = in(0, image) + at;
        float* __restrict y = out(image) + at;
        const int n = s.extent[2] * kLanes, used = s.channels - b * kLanes;
        for (int i = 0; i < n; ++i) y[i] = f_.value(x[i]);
        for (int i = 0; used < kLanes && i < n; i += kLanes) std::fill(y + i + used, y + i + kLanes, 0.f);
      });
  }

  void backward(Backward& b) override {
    if (!b.dx[0]) return;
    const Shape& s = shape(output);
    for (int r = 0; r < b.dy.count(); ++r) {
      const Box& box = b.dy.list[r].box;
      const Extent n = box.size();
      forLines(s.blocks(), n, [&](int block, int z, int row) {
        const int64_t at = lineStart(s.extent, box, block, z, row), to = lineStart(n, block, z, row);
        const float* __restrict x = in(0, b.unit.imageOf(r)) + at;
        const float* __restrict y = out(b.unit.imageOf(r)) + at;
        const float* __restrict dy = b.dy.list[r].data + to;
        float* __restrict dx = b.dx[0]->list[r].data + to;
        for (int i = 0; i < n[2] * kLanes; ++i) dx[i] = dy[i] * f_.derivative(x[i], y[i]);
      });
    }
  }

 private:
  F f_;
};

struct Leaky {
  float slope;
  float value(float x) const { return x > 0.f ? x : slope * x; }
  float derivative(float x, float) const { return x > 0.f ? 1.f : slope; }
};

struct Logistic {
  float value(float x) const { return 1.f / (1.f + std::exp(-x)); }
  float derivative(float, float y) const { return y * (1.f - y); }
};

}  // namespace

std::unique_ptr<Operator> leakyRelu(Workspace& w, const Operation& o) {
  return std::make_unique<Elementwise<Leaky>>(w, o, Leaky{negativeSlope(o)});
}
std::unique_ptr<Operator> sigmoid(Workspace& w, const Operation& o) { return std::make_unique<Elementwise<Logistic>>(w, o, Logistic{}); }

}  // namespace tracin::cpu
