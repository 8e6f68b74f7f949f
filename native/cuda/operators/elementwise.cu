// Functions of one number: Relu, LeakyRelu, Sigmoid and the kind Elementwise (formulas: ONNX operator documentation).
#include <map>

#include "../fold.cuh"
#include "operators.h"

namespace tracin::cuda {

float negativeSlope(const Operation& o) { return o.type == "Relu" ? 0.f : static_cast<float>(o.number("alpha")); }

namespace {

struct Leaky {
  float slope;
  __device__ float value(float x) const { return x > 0.f ? x : slope * x; }
  __device__ float derivative(float x, float) const { return x > 0.f ? 1.f : slope; }
};

__device__ float logistic(float x) { return 1.f / (1.f + expf(-x)); }
__device__ float softplus(float x) { return x > 20.f ? x : log1pf(expf(x)); }

struct Logistic {
  __device__ float value(float x) const { return logistic(x); }
  __device__ float derivative(float, float y) const { return y * (1.f - y); }
};

enum class Name {
  tanh,
  elu,
  selu,
  celu,
  hardSigmoid,
  hardSwish,
  softplus,
  mish,
  gelu,
  geluTanh,
  erf,
  clip,
  neg,
  sqrt,
  exp,
  log,
  abs,
  reciprocal
};

constexpr float kHalfRoot = 0.70710678118654752f, kTwoOverRootPi = 1.1283791670955126f, kDensity = 0.39894228040143268f;
constexpr float kTanhScale = 0.79788456080286536f, kTanhCube = 0.044715f;

// One of them, the same for a whole launch, with the two numbers of the operation.
struct Named {
  Name name;
  float a, b;

  __device__ float value(float x) const {
    switch (name) {
      case Name::tanh:
        return tanhf(x);
      case Name::elu:
        return x > 0.f ? x : a * expm1f(x);
      case Name::selu:  // γ (x or α (eˣ − 1))
        return b * (x > 0.f ? x : a * expm1f(x));
      case Name::celu:
        return x > 0.f ? x : a * expm1f(x / a);
      case Name::hardSigmoid:
        return fminf(1.f, fmaxf(0.f, a * x + b));
      case Name::hardSwish:  // x · clip(x/6 + 1/2, 0, 1)
        return x * fminf(1.f, fmaxf(0.f, x / 6.f + 0.5f));
      case Name::softplus:
        return cuda::softplus(x);
      case Name::mish:  // x · tanh(softplus x)
        return x * tanhf(cuda::softplus(x));
      case Name::gelu:
        return 0.5f * x * (1.f + erff(x * kHalfRoot));
      case Name::geluTanh:
        return 0.5f * x * (1.f + tanhf(kTanhScale * (x + kTanhCube * x * x * x)));
      case Name::erf:
        return erff(x);
      case Name::clip:
        return fminf(b, fmaxf(a, x));
      case Name::neg:
        return -x;
      case Name::sqrt:
        return sqrtf(x);
      case Name::exp:
        return expf(x);
      case Name::log:
        return logf(x);
      case Name::abs:
        return fabsf(x);
      default:
        return 1.f / x;
    }
  }

  __device__ float derivative(float x, float y) const {
    switch (name) {
      case Name::tanh:
        return 1.f - y * y;
      case Name::elu:
        return x > 0.f ? 1.f : a * expf(x);
      case Name::selu:
        return b * (x > 0.f ? 1.f : a * expf(x));
      case Name::celu:
        return x > 0.f ? 1.f : expf(x / a);
      case Name::hardSigmoid:
        return a * x + b > 0.f && a * x + b < 1.f ? a : 0.f;
      case Name::hardSwish:
        return x <= -3.f ? 0.f : x >= 3.f ? 1.f : x / 3.f + 0.5f;
      case Name::softplus:
        return logistic(x);
      case Name::mish: {
        const float t = tanhf(cuda::softplus(x));
        return t + x * (1.f - t * t) * logistic(x);
      }
      case Name::gelu:
        return 0.5f * (1.f + erff(x * kHalfRoot)) + x * kDensity * expf(-0.5f * x * x);
      case Name::geluTanh: {
        const float t = tanhf(kTanhScale * (x + kTanhCube * x * x * x));
        return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * kTanhScale * (1.f + 3.f * kTanhCube * x * x);
      }
      case Name::erf:
        return kTwoOverRootPi * expf(-x * x);
      case Name::clip:
        return x > a && x < b ? 1.f : 0.f;
      case Name::neg:
        return -1.f;
      case Name::sqrt:
        return y > 0.f ? 0.5f / y : 0.f;
      case Name::exp:
        return y;
      case Name::log:
        return 1.f / x;
      case Name::abs:
        return x > 0.f ? 1.f : x < 0.f ? -1.f : 0.f;
      default:
        return -y * y;
    }
  }
};

Named function(const Operation& o) {
  static const std::map<std::string, Name> names{{"tanh", Name::tanh},
                                                 {"elu", Name::elu},
                                                 {"selu", Name::selu},
                                                 {"celu", Name::celu},
                                                 {"hard-sigmoid", Name::hardSigmoid},
                                                 {"erf", Name::erf},
                                                 {"gelu", Name::gelu},
                                                 {"softplus", Name::softplus},
                                                 {"mish", Name::mish},
                                                 {"hard-swish", Name::hardSwish},
                                                 {"clip", Name::clip},
                                                 {"neg", Name::neg},
                                                 {"sqrt", Name::sqrt},
                                                 {"exp", Name::exp},
                                                 {"gelu-tanh", Name::geluTanh},
                                                 {"log", Name::log},
                                                 {"abs", Name::abs},
                                                 {"reciprocal", Name::reciprocal}};
  const auto it = names.find(o.word("function"));
  if (it == names.end()) throw EngineError("the cuda engine has no function " + o.word("function") + " (node " + o.name + ")");
  return {it->second, static_cast<float>(o.number("a")), static_cast<float>(o.number("b"))};
}

template <class F>
__global__ void valueKernel(F f, const float* x, float* y, int64_t n) {
  TRACIN_EACH(i, n) y[i] = f.value(x[i]);
}

template <class F>
__global__ void tangentKernel(F f, const float* x, const float* y, const float* t, float* to, int64_t n) {
  TRACIN_EACH(i, n) to[i] = through(t[i], f.derivative(x[i], y[i]));
}

template <class F>
struct Slope {
  F f;
  const float* dy;
  int64_t dyRow;
  Operand x, y;
  const int* images;
  __device__ float operator()(int row, const Place& p) const {
    const int image = sliceOf(images, row);
    return through(dy[row * dyRow + p.dy], f.derivative(slice(x, image)[p.a], slice(y, image)[p.a]));
  }
};

// F: value(x), derivative(x, y) with y = value(x)
template <class F>
class Elementwise final : public Operator {
 public:
  Elementwise(Workspace& w, const Operation& o, F f) : Operator(w, o), f_(f) {}

  void forward(int images) override {
    const int64_t n = repeats(images) * outFloats();
    valueKernel<<<blocksFor(n), kThreads, 0, stream()>>>(f_, in(0).data, out(), n);
    launched();
  }

  void backward(Backward& b) override {
    const auto& dims = work.dims(output);
    deliver(b, 0, [&](Rows to) {
      const Slope<F> term{f_, b.dy.data, rowNumbers(dims, *b.dy.window), in(0), work.numbers(output), b.images};
      fold(device(), planOf(dims, *b.dy.window, dims, *to.window, dims, dims), b.rows, term, to.data);
    });
  }

  void tangent(int images) override {
    const int64_t n = repeats(images) * outFloats();
    tangentKernel<<<blocksFor(n), kThreads, 0, stream()>>>(f_, in(0).data, out(), tangents(0).data, outTangent(), n);
    launched();
  }

 private:
  F f_;
};

}  // namespace

std::unique_ptr<Operator> leakyRelu(Workspace& w, const Operation& o) {
  return std::make_unique<Elementwise<Leaky>>(w, o, Leaky{negativeSlope(o)});
}
std::unique_ptr<Operator> sigmoid(Workspace& w, const Operation& o) { return std::make_unique<Elementwise<Logistic>>(w, o, Logistic{}); }
std::unique_ptr<Operator> elementwise(Workspace& w, const Operation& o) { return std::make_unique<Elementwise<Named>>(w, o, function(o)); }

}  // namespace tracin::cuda
