// Functions of one number: Relu, LeakyRelu, Sigmoid and the kind Elementwise (formulas: ONNX operator documentation).
#include <cmath>

#include "../../core/program.h"
#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

float negativeSlope(const Operation& o) { return o.type == "Relu" ? 0.f : static_cast<float>(o.number("alpha")); }

namespace {

// F: value(x), derivative(x, y) with y = value(x)
template <class F>
class Elementwise final : public Operator {
 public:
  Elementwise(Workspace& w, const Operation& o, F f) : Operator(w, o), f_(f) {}

  void forward(int images) override {
    const Shape& s = shape(output);
    if (flat()) {
      const int64_t n = tensor(output).floats();
      for (int image = 0; image < images; ++image) apply(work.numbers(input(0), image), out(image), n);
      return;
    }
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
    for (int r = 0; r < b.dy.count(); ++r) {
      if (flat()) {
        const float *x = work.numbers(input(0), b.unit.imageOf(r)), *y = out(b.unit.imageOf(r)), *dy = b.dy.list[r].data;
        deliver(b, 0, r, [&](float* dx) {
          const int64_t n = tensor(output).floats();
#pragma omp parallel for schedule(static) if (n > kWorthSharing)
          for (int64_t i = 0; i < n; ++i) dx[i] = through(dy[i], f_.derivative(x[i], y[i]));
        });
        continue;
      }
      if (!b.dx[0]) return;
      const Shape& s = shape(output);
      const Box& box = b.dy.list[r].box;
      const Extent n = box.size();
      forLines(s.blocks(), n, [&](int block, int z, int row) {
        const int64_t at = lineStart(s.extent, box, block, z, row), to = lineStart(n, block, z, row);
        const float* __restrict x = in(0, b.unit.imageOf(r)) + at;
        const float* __restrict y = out(b.unit.imageOf(r)) + at;
        const float* __restrict dy = b.dy.list[r].data + to;
        float* __restrict dx = b.dx[0]->list[r].data + to;
        const int used = std::min(kLanes, s.channels - block * kLanes);
        if (used == kLanes) {
          for (int i = 0; i < n[2] * kLanes; ++i) dx[i] = through(dy[i], f_.derivative(x[i], y[i]));
        } else {  // an unused lane's derivative may be no number
          for (int i = 0; i < n[2] * kLanes; ++i) dx[i] = i % kLanes < used ? through(dy[i], f_.derivative(x[i], y[i])) : 0.f;
        }
      });
    }
  }

  // Unused lanes do not move, so their slopes do not count.
  void tangent(const Tangent& t) override {
    const int64_t n = tensor(output).floats();
    linear(t, [&, image = 0](const float* dx, float* dy) mutable {
      const float *x = work.numbers(input(0), image), *y = out(image);
      ++image;
#pragma omp parallel for schedule(static) if (n > kWorthSharing)
      for (int64_t i = 0; i < n; ++i) dy[i] = dx[i] == 0.f ? 0.f : along(dx[i], f_.derivative(x[i], y[i]));
    });
  }

 private:
  F f_;

  void apply(const float* x, float* y, int64_t n) {
#pragma omp parallel for schedule(static) if (n > kWorthSharing)
    for (int64_t i = 0; i < n; ++i) y[i] = f_.value(x[i]);
  }
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

// value and derivative as plain functions of x, y and the two numbers of the operation
struct Named {
  float (*f)(float x, float a, float b);
  float (*d)(float x, float y, float a, float b);
  float a, b;
  float value(float x) const { return f(x, a, b); }
  float derivative(float x, float y) const { return d(x, y, a, b); }
};

constexpr float kHalfRoot = 0.70710678118654752f, kTwoOverRootPi = 1.1283791670955126f, kDensity = 0.39894228040143268f;
constexpr float kTanhScale = 0.79788456080286536f, kTanhCube = 0.044715f;

float softplus(float x) { return x > 20.f ? x : std::log1p(std::exp(x)); }
float logistic(float x) { return 1.f / (1.f + std::exp(-x)); }

Named function(const Operation& o) {
  const float a = static_cast<float>(o.number("a")), b = static_cast<float>(o.number("b"));
  const auto named = [&](float (*f)(float, float, float), float (*d)(float, float, float, float)) { return Named{f, d, a, b}; };
  const std::string& name = o.word("function");
  if (name == "tanh")
    return named([](float x, float, float) { return std::tanh(x); }, [](float, float y, float, float) { return 1.f - y * y; });
  if (name == "elu")
    return named([](float x, float a, float) { return x > 0.f ? x : a * std::expm1(x); },
                 [](float x, float, float a, float) { return x > 0.f ? 1.f : a * std::exp(x); });
  if (name == "selu")  // γ (x or α (eˣ − 1))
    return named([](float x, float a, float g) { return g * (x > 0.f ? x : a * std::expm1(x)); },
                 [](float x, float, float a, float g) { return g * (x > 0.f ? 1.f : a * std::exp(x)); });
  if (name == "celu")
    return named([](float x, float a, float) { return x > 0.f ? x : a * std::expm1(x / a); },
                 [](float x, float, float a, float) { return x > 0.f ? 1.f : std::exp(x / a); });
  if (name == "hard-sigmoid")
    return named([](float x, float a, float b) { return std::min(1.f, std::max(0.f, a * x + b)); },
                 [](float x, float, float a, float b) { return a * x + b > 0.f && a * x + b < 1.f ? a : 0.f; });
  if (name == "hard-swish")  // x · clip(x/6 + 1/2, 0, 1)
    return named([](float x, float, float) { return x * std::min(1.f, std::max(0.f, x / 6.f + 0.5f)); },
                 [](float x, float, float, float) { return x <= -3.f  ? 0.f
                                                           : x >= 3.f ? 1.f
                                                                      : x / 3.f + 0.5f; });
  if (name == "softplus")
    return named([](float x, float, float) { return softplus(x); }, [](float x, float, float, float) { return logistic(x); });
  if (name == "mish")  // x · tanh(softplus x)
    return named([](float x, float, float) { return x * std::tanh(softplus(x)); },
                 [](float x, float, float, float) {
                   const float t = std::tanh(softplus(x));
                   return t + x * (1.f - t * t) * logistic(x);
                 });
  if (name == "gelu")
    return named(
        [](float x, float, float) { return 0.5f * x * (1.f + std::erf(x * kHalfRoot)); },
        [](float x, float, float, float) { return 0.5f * (1.f + std::erf(x * kHalfRoot)) + x * kDensity * std::exp(-0.5f * x * x); });
  if (name == "gelu-tanh")
    return named([](float x, float, float) { return 0.5f * x * (1.f + std::tanh(kTanhScale * (x + kTanhCube * x * x * x))); },
                 [](float x, float, float, float) {
                   const float t = std::tanh(kTanhScale * (x + kTanhCube * x * x * x));
                   return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * kTanhScale * (1.f + 3.f * kTanhCube * x * x);
                 });
  if (name == "erf")
    return named([](float x, float, float) { return std::erf(x); },
                 [](float x, float, float, float) { return kTwoOverRootPi * std::exp(-x * x); });
  if (name == "clip")
    return named([](float x, float a, float b) { return std::min(b, std::max(a, x)); },
                 [](float x, float, float a, float b) { return x > a && x < b ? 1.f : 0.f; });
  if (name == "neg") return named([](float x, float, float) { return -x; }, [](float, float, float, float) { return -1.f; });
  if (name == "sqrt")
    return named([](float x, float, float) { return std::sqrt(x); }, [](float, float y, float, float) { return y > 0.f ? 0.5f / y : 0.f; });
  if (name == "exp") return named([](float x, float, float) { return std::exp(x); }, [](float, float y, float, float) { return y; });
  if (name == "log") return named([](float x, float, float) { return std::log(x); }, [](float x, float, float, float) { return 1.f / x; });
  if (name == "abs")
    return named([](float x, float, float) { return std::abs(x); },
                 [](float x, float, float, float) { return x > 0.f   ? 1.f
                                                           : x < 0.f ? -1.f
                                                                     : 0.f; });
  if (name == "reciprocal")
    return named([](float x, float, float) { return 1.f / x; }, [](float, float y, float, float) { return -y * y; });
  throw EngineError("the cpu engine has no function " + name + " (node " + o.name + ")");
}

}  // namespace

std::unique_ptr<Operator> leakyRelu(Workspace& w, const Operation& o) {
  return std::make_unique<Elementwise<Leaky>>(w, o, Leaky{negativeSlope(o)});
}
std::unique_ptr<Operator> sigmoid(Workspace& w, const Operation& o) { return std::make_unique<Elementwise<Logistic>>(w, o, Logistic{}); }
std::unique_ptr<Operator> elementwise(Workspace& w, const Operation& o) { return std::make_unique<Elementwise<Named>>(w, o, function(o)); }

}  // namespace tracin::cpu
