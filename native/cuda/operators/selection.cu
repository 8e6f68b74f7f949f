// Compare and Where, with numpy broadcasting.
#include "../fold.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

enum class Relation { less, lessOrEqual, greater, greaterOrEqual, equal };

struct Holds {
  Relation relation;
  Operand a, b;
  float* y;
  int64_t n;
  __device__ bool holds(float x, float y) const {
    switch (relation) {
      case Relation::less:
        return x < y;
      case Relation::lessOrEqual:
        return x <= y;
      case Relation::greater:
        return x > y;
      case Relation::greaterOrEqual:
        return x >= y;
      default:
        return x == y;
    }
  }
  __device__ void operator()(int row, unsigned i, const int (&at)[2]) const {
    y[row * n + i] = holds(slice(a, row)[at[0]], slice(b, row)[at[1]]) ? 1.f : 0.f;
  }
};

class Compare final : public Operator {
 public:
  Compare(Workspace& w, const Operation& o)
      : Operator(w, o), relation_(relation(o)), spread_(w.dims(o.output), {w.dims(o.inputs[0]), w.dims(o.inputs[1])}) {}

  void forward(int images) override {
    spreadOver<2>(device(), spread_, repeats(images), Holds{relation_, in(0), in(1), out(), outFloats()});
  }

  // A step has no slope.
  void backward(Backward& b) override {
    for (int side = 0; side < 2; ++side)
      deliver(b, side, [&](Rows to) {
        device().zero(to.data, int64_t(b.rows) * rowNumbers(work.dims(input(side)), *to.window) * int64_t(sizeof(float)));
      });
  }

  void tangent(int images) override { device().zero(outTangent(), repeats(images) * outFloats() * int64_t(sizeof(float))); }

 private:
  Relation relation_;
  Spread spread_;

  static Relation relation(const Operation& o) {
    const std::string& name = o.word("relation");
    if (name == "less") return Relation::less;
    if (name == "less-or-equal") return Relation::lessOrEqual;
    if (name == "greater") return Relation::greater;
    if (name == "greater-or-equal") return Relation::greaterOrEqual;
    if (name == "equal") return Relation::equal;
    throw EngineError("the cuda engine has no relation " + name + " (node " + o.name + ")");
  }
};

// Of values, or of tangents: one without numbers is zero.
struct Chosen {
  Operand condition, a, b;
  float* y;
  int64_t n;
  __device__ void operator()(int row, unsigned i, const int (&at)[3]) const {
    const bool left = slice(condition, row)[at[0]] != 0.f;
    const Operand& from = left ? a : b;
    y[row * n + i] = from.data ? slice(from, row)[left ? at[1] : at[2]] : 0.f;
  }
};

struct Share {
  bool left;
  const float* dy;
  int64_t dyRow;
  Operand condition;
  const int* images;
  __device__ float operator()(int row, const Place& p) const {
    return (slice(condition, sliceOf(images, row))[p.a] != 0.f) == left ? dy[row * dyRow + p.dy] : 0.f;
  }
};

class Where final : public Operator {
 public:
  Where(Workspace& w, const Operation& o)
      : Operator(w, o), spread_(w.dims(o.output), {w.dims(o.inputs[0]), w.dims(o.inputs[1]), w.dims(o.inputs[2])}) {}

  void forward(int images) override { spreadOver<3>(device(), spread_, repeats(images), Chosen{in(0), in(1), in(2), out(), outFloats()}); }

  void backward(Backward& b) override {
    deliver(b, 0, [&](Rows to) {
      device().zero(to.data, int64_t(b.rows) * rowNumbers(work.dims(input(0)), *to.window) * int64_t(sizeof(float)));
    });
    for (int side = 1; side < 3; ++side)
      deliver(b, side, [&](Rows to) {
        const auto &dims = work.dims(output), &condition = work.dims(input(0));
        const Plan plan = planOf(dims, *b.dy.window, work.dims(input(side)), *to.window, condition, condition);
        fold(device(), plan, b.rows, Share{side == 1, b.dy.data, rowNumbers(dims, *b.dy.window), in(0), b.images}, to.data);
      });
  }

  void tangent(int images) override {
    spreadOver<3>(device(), spread_, repeats(images), Chosen{in(0), tangents(1), tangents(2), outTangent(), outFloats()});
  }

 private:
  Spread spread_;
};

}  // namespace

std::unique_ptr<Operator> compare(Workspace& w, const Operation& o) { return std::make_unique<Compare>(w, o); }
std::unique_ptr<Operator> where(Workspace& w, const Operation& o) { return std::make_unique<Where>(w, o); }

}  // namespace tracin::cuda
