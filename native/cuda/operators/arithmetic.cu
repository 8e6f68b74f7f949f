// Functions of two numbers with numpy broadcasting: arithmetic and PRelu. Operands are activations, constants, parameters or derived.
#include "../fold.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

// value(a, b) and its two derivatives
struct Add {
  static __device__ float value(float a, float b) { return a + b; }
  static __device__ float left(float, float) { return 1.f; }
  static __device__ float right(float, float) { return 1.f; }
};
struct Sub {
  static __device__ float value(float a, float b) { return a - b; }
  static __device__ float left(float, float) { return 1.f; }
  static __device__ float right(float, float) { return -1.f; }
};
struct Mul {
  static __device__ float value(float a, float b) { return a * b; }
  static __device__ float left(float, float b) { return b; }
  static __device__ float right(float a, float) { return a; }
};
struct Div {
  static __device__ float value(float a, float b) { return a / b; }
  static __device__ float left(float, float b) { return 1.f / b; }
  static __device__ float right(float a, float b) { return -a / (b * b); }
};
struct Pow {
  static __device__ float value(float a, float b) { return b == 2.f ? a * a : powf(a, b); }
  static __device__ float left(float a, float b) { return b == 0.f ? 0.f : b * powf(a, b - 1.f); }
  static __device__ float right(float a, float b) { return a > 0.f ? powf(a, b) * logf(a) : 0.f; }
};
struct Min {
  static __device__ float value(float a, float b) { return a <= b ? a : b; }
  static __device__ float left(float a, float b) { return a <= b ? 1.f : 0.f; }
  static __device__ float right(float a, float b) { return a <= b ? 0.f : 1.f; }
};
struct Max {
  static __device__ float value(float a, float b) { return a >= b ? a : b; }
  static __device__ float left(float a, float b) { return a >= b ? 1.f : 0.f; }
  static __device__ float right(float a, float b) { return a >= b ? 0.f : 1.f; }
};
struct Slope {  // PRelu
  static __device__ float value(float x, float s) { return x > 0.f ? x : s * x; }
  static __device__ float left(float x, float s) { return x > 0.f ? 1.f : s; }
  static __device__ float right(float x, float) { return x > 0.f ? 0.f : x; }
};

template <class F>
struct Value {
  Operand a, b;
  float* y;
  int64_t n;
  __device__ void operator()(int row, unsigned i, const int (&at)[2]) const {
    y[row * n + i] = F::value(slice(a, row)[at[0]], slice(b, row)[at[1]]);
  }
};

template <class F>
struct Tangent {
  Operand a, b, ta, tb;  // a tangent without numbers is zero
  float* to;
  int64_t n;
  __device__ void operator()(int row, unsigned i, const int (&at)[2]) const {
    const float x = slice(a, row)[at[0]], y = slice(b, row)[at[1]];
    float t = 0.f;
    if (ta.data) t += through(slice(ta, row)[at[0]], F::left(x, y));
    if (tb.data) t += through(slice(tb, row)[at[1]], F::right(x, y));
    to[row * n + i] = t;
  }
};

template <class F, int kSide>
struct Term {
  const float* dy;
  int64_t dyRow;
  Operand a, b;
  const int* images;
  __device__ float operator()(int row, const Place& p) const {
    const int image = sliceOf(images, row);
    const float x = slice(a, image)[p.a], y = slice(b, image)[p.b];
    return through(dy[row * dyRow + p.dy], kSide ? F::right(x, y) : F::left(x, y));
  }
};

template <class F>
class Binary final : public Operator {
 public:
  Binary(Workspace& w, const Operation& o) : Operator(w, o), spread_(w.dims(o.output), {w.dims(o.inputs[0]), w.dims(o.inputs[1])}) {}

  void forward(int images) override { spreadOver<2>(device(), spread_, repeats(images), Value<F>{in(0), in(1), out(), outFloats()}); }

  void backward(Backward& b) override {
    toSide<0>(b);
    toSide<1>(b);
  }

  void tangent(int images) override {
    spreadOver<2>(device(), spread_, repeats(images), Tangent<F>{in(0), in(1), tangents(0), tangents(1), outTangent(), outFloats()});
  }

 private:
  Spread spread_;

  template <int kSide>
  void toSide(Backward& b) {
    deliver(b, kSide, [&](Rows to) {
      const auto& dims = work.dims(output);
      const Plan plan = planOf(dims, *b.dy.window, work.dims(input(kSide)), *to.window, work.dims(input(0)), work.dims(input(1)));
      fold(device(), plan, b.rows, Term<F, kSide>{b.dy.data, rowNumbers(dims, *b.dy.window), in(0), in(1), b.images}, to.data);
    });
  }
};

}  // namespace

std::unique_ptr<Operator> arithmetic(Workspace& w, const Operation& o) {
  if (o.type == "Add") return std::make_unique<Binary<Add>>(w, o);
  if (o.type == "Sub") return std::make_unique<Binary<Sub>>(w, o);
  if (o.type == "Mul") return std::make_unique<Binary<Mul>>(w, o);
  if (o.type == "Div") return std::make_unique<Binary<Div>>(w, o);
  if (o.type == "Pow") return std::make_unique<Binary<Pow>>(w, o);
  if (o.type == "Min") return std::make_unique<Binary<Min>>(w, o);
  if (o.type == "Max") return std::make_unique<Binary<Max>>(w, o);
  return std::make_unique<Binary<Slope>>(w, o);  // PRelu
}

}  // namespace tracin::cuda
