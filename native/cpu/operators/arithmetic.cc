// Functions of two numbers with numpy broadcasting: arithmetic and PRelu. Operands are activations, constants, parameters or derived.
#include <cmath>

#include "../../core/program.h"
#include "../broadcast.h"
#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

// value(a, b) and its two derivatives
struct Add {
  static float value(float a, float b) { return a + b; }
  static float left(float, float) { return 1.f; }
  static float right(float, float) { return 1.f; }
};
struct Sub {
  static float value(float a, float b) { return a - b; }
  static float left(float, float) { return 1.f; }
  static float right(float, float) { return -1.f; }
};
struct Mul {
  static float value(float a, float b) { return a * b; }
  static float left(float, float b) { return b; }
  static float right(float a, float) { return a; }
};
struct Div {
  static float value(float a, float b) { return a / b; }
  static float left(float, float b) { return 1.f / b; }
  static float right(float a, float b) { return -a / (b * b); }
};
struct Pow {
  static float value(float a, float b) { return b == 2.f ? a * a : std::pow(a, b); }
  static float left(float a, float b) { return b == 0.f ? 0.f : b * std::pow(a, b - 1.f); }
  static float right(float a, float b) { return a > 0.f ? std::pow(a, b) * std::log(a) : 0.f; }
};
struct Min {
  static float value(float a, float b) { return a <= b ? a : b; }
  static float left(float a, float b) { return a <= b ? 1.f : 0.f; }
  static float right(float a, float b) { return a <= b ? 0.f : 1.f; }
};
struct Max {
  static float value(float a, float b) { return a >= b ? a : b; }
  static float left(float a, float b) { return a >= b ? 1.f : 0.f; }
  static float right(float a, float b) { return a >= b ? 0.f : 1.f; }
};
struct Slope {  // PRelu
  static float value(float x, float s) { return x > 0.f ? x : s * x; }
  static float left(float x, float s) { return x > 0.f ? 1.f : s; }
  static float right(float x, float) { return x > 0.f ? 0.f : x; }
};

template <class F>
class FlatBinary final : public Operator {
 public:
  FlatBinary(Workspace& w, const Operation& o)
      : Operator(w, o), sides_{Broadcast(w.dims(o.output), w.dims(o.inputs[0])), Broadcast(w.dims(o.output), w.dims(o.inputs[1]))} {}

  void forward(int images) override {
    for (int image = 0; image < images; ++image) {
      const float *a = work.numbers(input(0), image), *b = work.numbers(input(1), image);
      float* y = out(image);
      each([&](int64_t at, int64_t i, int64_t j) { y[at] = F::value(a[i], b[j]); });
    }
  }

  void backward(Backward& b) override {
    for (int r = 0; r < b.dy.count(); ++r) {
      const int image = b.unit.imageOf(r);
      const float *left = work.numbers(input(0), image), *right = work.numbers(input(1), image), *dy = b.dy.list[r].data;
      for (int side = 0; side < 2; ++side)
        deliver(b, side, r, [&](float* to) {
          const auto term = [&](int64_t at, int64_t i, int64_t j) {
            return through(dy[at], side ? F::right(left[i], right[j]) : F::left(left[i], right[j]));
          };
          if (!sides_[side].repeats()) {
            each([&](int64_t at, int64_t i, int64_t j) { to[side ? j : i] = term(at, i, j); });
            return;
          }
          std::vector<double> sums(count(work.dims(input(side))), 0.);
          for (int64_t line = 0; line < sides_[0].lines(); ++line)
            inLine(line, [&](int64_t at, int64_t i, int64_t j) { sums[side ? j : i] += term(at, i, j); });
          for (size_t n = 0; n < sums.size(); ++n) to[n] = static_cast<float>(sums[n]);
        });
    }
  }

  void tangent(const Tangent& t) override {
    for (int image = 0; image < t.images; ++image) {
      const float *a = work.numbers(input(0), image), *b = work.numbers(input(1), image);
      const float *da = moved(t, 0, image), *db = moved(t, 1, image);
      float* dy = moving(t, image);
      each([&](int64_t at, int64_t i, int64_t j) {
        const float left = da ? along(da[i], F::left(a[i], b[j])) : 0.f;
        dy[at] = left + (db ? along(db[j], F::right(a[i], b[j])) : 0.f);
      });
    }
  }

 private:
  Broadcast sides_[2];

  // visit(index in the result, in a, in b)
  template <class Visit>
  void inLine(int64_t line, Visit visit) const {
    const int64_t n = sides_[0].length(), a = sides_[0].step(), b = sides_[1].step();
    int64_t i = sides_[0].start(line), j = sides_[1].start(line);
    for (int64_t x = 0; x < n; ++x, i += a, j += b) visit(line * n + x, i, j);
  }
  template <class Visit>
  void each(Visit visit) const {
#pragma omp parallel for schedule(static) if (sides_[0].total() > kWorthSharing)
    for (int64_t line = 0; line < sides_[0].lines(); ++line) inLine(line, visit);
  }
};

// On blocked maps; an operand that is no activation is packed into one.
template <class F>
class MapBinary final : public Operator {
 public:
  MapBinary(Workspace& w, const Operation& o) : Operator(w, o) {
    for (int i = 0; i < 2; ++i) describe(i);
  }

  void forward(int images) override {
    refresh();
    const Shape& s = shape(output);
    for (int image = 0; image < images; ++image) {
      float* y = out(image);
      const float *a = data(0, image), *b = data(1, image);
      each(Box::whole(s.extent), [&](int64_t to, int block, int z, int row, int x) {
        float left[kLanes], right[kLanes];
        fetch(operands_[0], a, block, z, row, x, left);
        fetch(operands_[1], b, block, z, row, x, right);
        for (int l = 0; l < kLanes; ++l) y[to + l] = F::value(left[l], right[l]);
        for (int l = s.channels - block * kLanes; l < kLanes; ++l) y[to + l] = 0.f;
      });
    }
  }

  void backward(Backward& b) override {
    for (int side = 0; side < 2; ++side)
      for (int r = 0; r < b.dy.count(); ++r) {
        if (!operands_[side].packed.size()) {
          if (b.dx[side]) toOperand(b, side, r, b.dx[side]->list[r].data, b.dx[side]->list[r].box.size());
        } else if (b.dx[side] || b.gradients[side]) {
          const Shape& s = operands_[side].shape;
          Pool::Piece room = work.pool.take(s.floats());
          toOperand(b, side, r, room.data(), s.extent);
          deliver(b, side, r, [&](float* to) { unpack(room.data(), s.channels, volume(s.extent), to); });
        }
      }
  }

  void tangent(const Tangent& t) override {
    const Shape& s = shape(output);
    Pool::Piece rooms[2];
    for (int side = 0; side < 2; ++side) {
      const Operand& o = operands_[side];
      if (!o.packed.size() || !t.inputs[side]) continue;
      rooms[side] = work.pool.take(o.shape.floats());
      pack(t.inputs[side], o.shape.channels, volume(o.shape.extent), rooms[side].data());
    }
    for (int image = 0; image < t.images; ++image) {
      const float* data_[2] = {data(0, image), data(1, image)};
      const float* ways[2];
      for (int side = 0; side < 2; ++side) ways[side] = rooms[side] ? rooms[side].data() : moved(t, side, image);
      float* dy = moving(t, image);
      each(Box::whole(s.extent), [&](int64_t to, int block, int z, int row, int x) {
        float at[2][kLanes], way[2][kLanes];
        for (int side = 0; side < 2; ++side) {
          fetch(operands_[side], data_[side], block, z, row, x, at[side]);
          if (ways[side])
            fetch(operands_[side], ways[side], block, z, row, x, way[side]);
          else
            std::fill_n(way[side], kLanes, 0.f);
        }
        const int used = std::min(kLanes, s.channels - block * kLanes);
        for (int l = 0; l < used; ++l)
          dy[to + l] = along(way[0][l], F::left(at[0][l], at[1][l])) + along(way[1][l], F::right(at[0][l], at[1][l]));
        for (int l = used; l < kLanes; ++l) dy[to + l] = 0.f;
      });
    }
  }

 private:
  struct Operand {
    Shape shape;
    Buffer packed;         // of what is no activation
    uint64_t version = 0;  // of the numbers packed
    bool one[kAxes + 1];   // broadcast along channels, z, y, x
  };
  Operand operands_[2];

  void describe(int i) {
    const Shape& s = shape(output);
    Operand& o = operands_[i];
    if (work.network.values.size() <= size_t(input(i)) || work.network.values[input(i)].kind == Value::Kind::activation) {
      o.shape = shape(input(i));
    } else {
      // right-aligned to [C, …]: missing leading axes are 1, and so is a batch axis it may have
      std::vector<int64_t> dims = work.dims(input(i));
      const size_t rank = s.rank + 1;
      while (dims.size() < rank) dims.insert(dims.begin(), 1);
      if (dims.size() > rank) dims.erase(dims.begin(), dims.end() - rank);
      o.shape.channels = static_cast<int>(dims[0]);
      o.shape.rank = s.rank;
      o.shape.extent = widen({dims.begin() + 1, dims.end()}, 1);
      o.packed = Buffer(o.shape.floats());
    }
    o.one[0] = o.shape.channels == 1 && s.channels > 1;
    for (int a = 0; a < kAxes; ++a) o.one[a + 1] = o.shape.extent[a] == 1 && s.extent[a] > 1;
  }

  void refresh() {
    for (int i = 0; i < 2; ++i) {
      Operand& o = operands_[i];
      if (!o.packed.size() || o.version == work.version) continue;
      pack(work.numbers(input(i)), o.shape.channels, volume(o.shape.extent), o.packed.data());
      o.version = work.version;
    }
  }

  const float* data(int i, int image) { return operands_[i].packed.size() ? operands_[i].packed.data() : in(i, image); }

  static int64_t position(const Operand& o, int block, int z, int y, int x) {
    const Extent& e = o.shape.extent;
    return (((int64_t(o.one[0] ? 0 : block) * e[0] + (o.one[1] ? 0 : z)) * e[1] + (o.one[2] ? 0 : y)) * e[2] + (o.one[3] ? 0 : x)) * kLanes;
  }

  static void fetch(const Operand& o, const float* data, int block, int z, int y, int x, float* lanes) {
    const float* from = data + position(o, block, z, y, x);
    for (int l = 0; l < kLanes; ++l) lanes[l] = from[o.one[0] ? 0 : l];
  }

  // visit(index in the box's dense array, block, z, y, x); lines shared among threads
  template <class Visit>
  void each(const Box& box, Visit visit) {
    const Extent n = box.size();
    forLines(shape(output).blocks(), n, [&](int block, int z, int y) {
      int64_t at = lineStart(n, block, z, y);
      for (int x = 0; x < n[2]; ++x, at += kLanes) visit(at, block, z + box.lo[0], y + box.lo[1], x + box.lo[2]);
    });
  }

  // Gradient of one operand, [blocks][extent m][16]: dy times the derivative, summed over what was broadcast.
  void toOperand(Backward& b, int side, int r, float* to, const Extent& m) {
    const Operand& o = operands_[side];
    const Row& dy = b.dy.list[r];
    const int image = b.unit.imageOf(r), channels = shape(output).channels;
    const float *left = data(0, image), *right = data(1, image);
    const auto term = [&](int64_t at, int block, int z, int y, int x, float* g) {
      float u[kLanes], v[kLanes];
      fetch(operands_[0], left, block, z, y, x, u);
      fetch(operands_[1], right, block, z, y, x, v);
      const int used = std::min(kLanes, channels - block * kLanes);
      for (int l = 0; l < used; ++l) g[l] = through(dy.data[at + l], side ? F::right(u[l], v[l]) : F::left(u[l], v[l]));
      for (int l = used; l < kLanes; ++l) g[l] = 0.f;
    };
    if (!o.one[0] && !o.one[1] && !o.one[2] && !o.one[3] && dy.box.size() == m) {
      each(dy.box, [&](int64_t at, int block, int z, int y, int x) { term(at, block, z, y, x, to + at); });
      return;
    }
    // sums in double: an attention gate adds thousands of positions and all channels into one number
    const bool packed = o.packed.size() > 0;  // its map has no box: positions count from its own corner
    std::vector<double> sums(o.shape.floats(m), 0.);
    const Extent n = dy.box.size();
    int64_t at = 0;
    for (int block = 0; block < shape(output).blocks(); ++block)
      for (int z = 0; z < n[0]; ++z)
        for (int y = 0; y < n[1]; ++y)
          for (int x = 0; x < n[2]; ++x, at += kLanes) {
            float g[kLanes];
            const int p[kAxes] = {z + dy.box.lo[0], y + dy.box.lo[1], x + dy.box.lo[2]}, q[kAxes] = {z, y, x};
            term(at, block, p[0], p[1], p[2], g);
            int64_t index = o.one[0] ? 0 : block;
            for (int a = 0; a < kAxes; ++a) index = index * m[a] + (o.one[a + 1] ? 0 : packed ? p[a] : q[a]);
            for (int l = 0; l < kLanes; ++l) sums[index * kLanes + (o.one[0] ? 0 : l)] += g[l];
          }
    for (size_t i = 0; i < sums.size(); ++i) to[i] = static_cast<float>(sums[i]);
  }
};

template <class F>
std::unique_ptr<Operator> binary(Workspace& w, const Operation& o) {
  if (w.tensors[o.output].flat) return std::make_unique<FlatBinary<F>>(w, o);
  return std::make_unique<MapBinary<F>>(w, o);
}

}  // namespace

std::unique_ptr<Operator> arithmetic(Workspace& w, const Operation& o) {
  if (o.type == "Add") return binary<Add>(w, o);
  if (o.type == "Sub") return binary<Sub>(w, o);
  if (o.type == "Mul") return binary<Mul>(w, o);
  if (o.type == "Div") return binary<Div>(w, o);
  if (o.type == "Pow") return binary<Pow>(w, o);
  if (o.type == "Min") return binary<Min>(w, o);
  if (o.type == "Max") return binary<Max>(w, o);
  return binary<Slope>(w, o);  // PRelu
}

}  // namespace tracin::cpu
