// Operators on flat numbers: Rearrange, Reduce, MatMul, Compare, Where.
#include <functional>

#include "../../core/program.h"
#include "../broadcast.h"
#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

class Rearrange final : public Operator {
 public:
  Rearrange(Workspace& w, const Operation& o) : Operator(w, o), fill_(static_cast<float>(o.number("fill"))) {}

  void forward(int images) override {
    for (int image = 0; image < images; ++image) apply(work.numbers(input(0), image), fill_, out(image));
  }

  void tangent(const Tangent& t) override {
    linear(t, [&](const float* from, float* to) { apply(from, 0.f, to); });
  }

  void backward(Backward& b) override {
    const auto& index = operation.index;
    const int64_t n = tensor(output).floats(), m = count(work.dims(input(0)));
    for (int r = 0; r < b.dy.count(); ++r) {
      const float* dy = b.dy.list[r].data;
      deliver(b, 0, r, [&](float* dx) {
        if (index.empty()) {
          std::copy_n(dy, n, dx);
          return;
        }
        std::fill_n(dx, m, 0.f);
        for (int64_t i = 0; i < n; ++i)
          if (index[i] >= 0) dx[index[i]] += dy[i];
      });
    }
  }

 private:
  float fill_;

  void apply(const float* x, float fill, float* y) const {
    const auto& index = operation.index;
    const int64_t n = tensor(output).floats();
    if (index.empty()) {
      std::copy_n(x, n, y);
      return;
    }
#pragma omp parallel for schedule(static) if (n > kWorthSharing)
    for (int64_t i = 0; i < n; ++i) y[i] = index[i] < 0 ? fill : x[index[i]];
  }
};

class Reduce final : public Operator {
 public:
  Reduce(Workspace& w, const Operation& o) : Operator(w, o), maximum_(o.word("kind") == "max") {
    const auto& dims = w.dims(o.inputs[0]);
    std::vector<int64_t> strides(dims.size(), 0);
    std::vector<bool> reduced(dims.size(), false);
    for (int axis : o.integers("axes")) reduced[axis] = true;
    int64_t stride = 1, terms = 1;
    for (size_t i = dims.size(); i-- > 0;)
      if (reduced[i])
        terms *= dims[i];
      else
        strides[i] = stride, stride *= dims[i];
    factor_ = o.word("kind") == "mean" ? 1. / terms : 1.;
    to_.resize(count(dims));
    for (size_t at = 0; at < to_.size(); ++at) {
      int64_t rest = at, index = 0;
      for (size_t i = dims.size(); i-- > 0; rest /= dims[i]) index += rest % dims[i] * strides[i];
      to_[at] = static_cast<int32_t>(index);
    }
  }

  void forward(int images) override {
    for (int image = 0; image < images; ++image) {
      const float* x = work.numbers(input(0), image);
      apply(x, x, out(image));
    }
  }

  void tangent(const Tangent& t) override {
    for (int image = 0; image < t.images; ++image) apply(work.numbers(input(0), image), moved(t, 0, image), moving(t, image));
  }

  void backward(Backward& b) override {
    const int64_t n = tensor(output).floats();
    for (int r = 0; r < b.dy.count(); ++r) {
      const float *dy = b.dy.list[r].data, *x = work.numbers(input(0), b.unit.imageOf(r));
      deliver(b, 0, r, [&](float* dx) {
        if (!maximum_) {
          for (size_t i = 0; i < to_.size(); ++i) dx[i] = dy[to_[i]] * static_cast<float>(factor_);
          return;
        }
        std::fill_n(dx, to_.size(), 0.f);
        const auto top = tops(x, n);
        for (int64_t i = 0; i < n; ++i) dx[top[i]] = dy[i];
      });
    }
  }

 private:
  bool maximum_;
  double factor_;
  std::vector<int32_t> to_;  // by input position: the result it goes to

  // Reduces `from`; the maxima are those of x.
  void apply(const float* x, const float* from, float* to) const {
    const int64_t n = tensor(output).floats();
    if (maximum_) {
      const auto top = tops(x, n);
      for (int64_t i = 0; i < n; ++i) to[i] = from[top[i]];
      return;
    }
    std::vector<double> sums(n, 0.);
    for (size_t i = 0; i < to_.size(); ++i) sums[to_[i]] += from[i];
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(sums[i] * factor_);
  }

  // The first position of each maximum.
  std::vector<int32_t> tops(const float* x, int64_t n) const {
    std::vector<int32_t> top(n, -1);
    for (size_t i = 0; i < to_.size(); ++i)
      if (top[to_[i]] < 0 || x[i] > x[top[to_[i]]]) top[to_[i]] = static_cast<int32_t>(i);
    return top;
  }
};

// c[m, n] (+)= op(a) · op(b), row-major
void product(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c, bool add) {
  dnnl_sgemm(transposeA ? 'T' : 'N', transposeB ? 'T' : 'N', m, n, k, 1.f, a, transposeA ? m : k, b, transposeB ? k : n, add ? 1.f : 0.f, c,
             n);
}

class MatMul final : public Operator {
 public:
  MatMul(Workspace& w, const Operation& o)
      : Operator(w, o),
        left_(batchDims(w.dims(o.output)), batchDims(w.dims(o.inputs[0]))),
        right_(batchDims(w.dims(o.output)), batchDims(w.dims(o.inputs[1]))) {
    const auto &a = w.dims(o.inputs[0]), &b = w.dims(o.inputs[1]);
    m_ = a[a.size() - 2], k_ = a.back(), n_ = b.back();
  }

  void forward(int images) override {
    for (int image = 0; image < images; ++image) {
      const float *a = work.numbers(input(0), image), *b = work.numbers(input(1), image);
      products(a, b, out(image), false);
    }
  }

  void tangent(const Tangent& t) override {
    for (int image = 0; image < t.images; ++image) {
      const float *da = moved(t, 0, image), *db = moved(t, 1, image);
      if (da) products(da, work.numbers(input(1), image), moving(t, image), false);
      if (db) products(work.numbers(input(0), image), db, moving(t, image), da != nullptr);
    }
  }

  void backward(Backward& b) override {
    for (int r = 0; r < b.dy.count(); ++r) {
      const int image = b.unit.imageOf(r);
      const float *left = work.numbers(input(0), image), *right = work.numbers(input(1), image), *dy = b.dy.list[r].data;
      deliver(b, 0, r, [&](float* to) {
        std::fill_n(to, count(work.dims(input(0))), 0.f);
        each([&](int64_t at, int64_t i, int64_t j) {
          product(false, true, m_, k_, n_, dy + at * m_ * n_, right + j * k_ * n_, to + i * m_ * k_, true);
        });
      });
      deliver(b, 1, r, [&](float* to) {
        std::fill_n(to, count(work.dims(input(1))), 0.f);
        each([&](int64_t at, int64_t i, int64_t j) {
          product(true, false, k_, n_, m_, left + i * m_ * k_, dy + at * m_ * n_, to + j * k_ * n_, true);
        });
      });
    }
  }

 private:
  Broadcast left_, right_;  // over the batch axes, counted in whole matrices
  int64_t m_, k_, n_;

  void products(const float* a, const float* b, float* y, bool add) const {
    each([&](int64_t at, int64_t i, int64_t j) {
      product(false, false, m_, n_, k_, a + i * m_ * k_, b + j * k_ * n_, y + at * m_ * n_, add);
    });
  }

  static std::vector<int64_t> batchDims(const std::vector<int64_t>& dims) { return {dims.begin(), dims.end() - 2}; }

  // visit(matrix of the result, of a, of b)
  template <class Visit>
  void each(Visit visit) const {
    for (int64_t line = 0; line < left_.lines(); ++line)
      for (int64_t x = 0; x < left_.length(); ++x)
        visit(line * left_.length() + x, left_.start(line) + x * left_.step(), right_.start(line) + x * right_.step());
  }
};

class Compare final : public Operator {
 public:
  Compare(Workspace& w, const Operation& o)
      : Operator(w, o), left_(w.dims(o.output), w.dims(o.inputs[0])), right_(w.dims(o.output), w.dims(o.inputs[1])) {
    const std::string& name = o.word("relation");
    if (name == "less")
      holds_ = [](float a, float b) { return a < b; };
    else if (name == "less-or-equal")
      holds_ = [](float a, float b) { return a <= b; };
    else if (name == "greater")
      holds_ = [](float a, float b) { return a > b; };
    else if (name == "greater-or-equal")
      holds_ = [](float a, float b) { return a >= b; };
    else if (name == "equal")
      holds_ = [](float a, float b) { return a == b; };
    else
      throw EngineError("the cpu engine has no relation " + name + " (node " + o.name + ")");
  }

  void forward(int images) override {
    for (int image = 0; image < images; ++image) {
      const float *a = work.numbers(input(0), image), *b = work.numbers(input(1), image);
      float* y = out(image);
      for (int64_t line = 0; line < left_.lines(); ++line)
        for (int64_t x = 0; x < left_.length(); ++x)
          *y++ = holds_(a[left_.start(line) + x * left_.step()], b[right_.start(line) + x * right_.step()]) ? 1.f : 0.f;
    }
  }

  // A step has no slope.
  void tangent(const Tangent& t) override { std::fill_n(t.output, t.images * tensor(output).floats(), 0.f); }
  void backward(Backward& b) override {
    for (int r = 0; r < b.dy.count(); ++r)
      for (int side = 0; side < 2; ++side) deliver(b, side, r, [&](float* to) { std::fill_n(to, count(work.dims(input(side))), 0.f); });
  }

 private:
  Broadcast left_, right_;
  bool (*holds_)(float, float);
};

class Where final : public Operator {
 public:
  Where(Workspace& w, const Operation& o) : Operator(w, o) {
    for (int i = 0; i < 3; ++i) sides_.emplace_back(w.dims(o.output), w.dims(o.inputs[i]));
  }

  void forward(int images) override {
    for (int image = 0; image < images; ++image) {
      const float *c = work.numbers(input(0), image), *a = work.numbers(input(1), image), *b = work.numbers(input(2), image);
      float* y = out(image);
      each([&](int64_t at, const int64_t* i) { y[at] = c[i[0]] != 0.f ? a[i[1]] : b[i[2]]; });
    }
  }

  void backward(Backward& b) override {
    for (int r = 0; r < b.dy.count(); ++r) {
      const float *c = work.numbers(input(0), b.unit.imageOf(r)), *dy = b.dy.list[r].data;
      for (int side = 0; side < 3; ++side)
        deliver(b, side, r, [&](float* to) {
          std::fill_n(to, count(work.dims(input(side))), 0.f);
          if (side > 0)
            each([&](int64_t at, const int64_t* i) {
              if ((c[i[0]] != 0.f) == (side == 1)) to[i[side]] += dy[at];
            });
        });
    }
  }

  void tangent(const Tangent& t) override {
    for (int image = 0; image < t.images; ++image) {
      const float *c = work.numbers(input(0), image), *ways[] = {moved(t, 2, image), moved(t, 1, image)};
      float* dy = moving(t, image);
      each([&](int64_t at, const int64_t* i) {
        const bool chosen = c[i[0]] != 0.f;
        dy[at] = ways[chosen] ? ways[chosen][i[chosen ? 1 : 2]] : 0.f;
      });
    }
  }

 private:
  std::vector<Broadcast> sides_;

  // visit(index in the result, indices in condition, a, b)
  template <class Visit>
  void each(Visit visit) const {
    for (int64_t line = 0, at = 0; line < sides_[0].lines(); ++line) {
      int64_t i[3];
      for (int s = 0; s < 3; ++s) i[s] = sides_[s].start(line);
      for (int64_t x = 0; x < sides_[0].length(); ++x, ++at) {
        visit(at, i);
        for (int s = 0; s < 3; ++s) i[s] += sides_[s].step();
      }
    }
  }
};

}  // namespace

std::unique_ptr<Operator> rearrange(Workspace& w, const Operation& o) { return std::make_unique<Rearrange>(w, o); }
std::unique_ptr<Operator> reduce(Workspace& w, const Operation& o) { return std::make_unique<Reduce>(w, o); }
std::unique_ptr<Operator> matMul(Workspace& w, const Operation& o) { return std::make_unique<MatMul>(w, o); }
std::unique_ptr<Operator> compare(Workspace& w, const Operation& o) { return std::make_unique<Compare>(w, o); }
std::unique_ptr<Operator> where(Workspace& w, const Operation& o) { return std::make_unique<Where>(w, o); }

}  // namespace tracin::cpu
