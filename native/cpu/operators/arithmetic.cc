// Add, Sub, Mul with numpy broadcasting over channels and positions; an operand may be a constant.
#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

struct Operand {
  Shape shape;
  Buffer constant;      // packed, when it is one
  bool one[kAxes + 1];  // broadcast along channels, z, y, x
};

class Arithmetic final : public Operator {
 public:
  Arithmetic(Workspace& w, const Operation& o) : Operator(w, o), multiply_(o.type == "Mul"), sign_(o.type == "Sub" ? -1.f : 1.f) {
    for (int i = 0; i < 2; ++i) operands_[i] = operand(o.inputs[i]);
  }

  void forward(int images) override {
    const Shape& s = shape(output);
    for (int image = 0; image < images; ++image) {
      float* y = out(image);
      const float *a = data(0, image), *b = data(1, image);
      each(Box::whole(s.extent), [&](int64_t to, int block, int z, int row, int x) {
        float left[kLanes], right[kLanes];
        fetch(operands_[0], a, block, z, row, x, left);
        fetch(operands_[1], b, block, z, row, x, right);
        for (int l = 0; l < kLanes; ++l) y[to + l] = multiply_ ? left[l] * right[l] : left[l] + sign_ * right[l];
        const int used = s.channels - block * kLanes;  // a broadcast channel or a constant may have filled unused lanes
        for (int l = used; l < kLanes; ++l) y[to + l] = 0.f;
      });
    }
  }

  void backward(Backward& b) override {
    for (int side = 0; side < 2; ++side)
      if (b.dx[side])
        for (int r = 0; r < b.dy.count(); ++r) toOperand(b, side, r);
  }

 private:
  bool multiply_;
  float sign_;
  Operand operands_[2];

  Operand operand(int value) {
    const Value& v = work.network.values[value];
    const Shape& s = shape(output);
    Operand o;
    if (v.kind == Value::Kind::activation) {
      o.shape = shape(value);
    } else {
      // right-aligned to [N, C, …]: missing leading axes are 1, and the batch axis of a constant is 1
      std::vector<int64_t> dims = v.dims;
      const size_t rank = s.rank + 1;
      while (dims.size() < rank) dims.insert(dims.begin(), 1);
      if (dims.size() > rank) dims.erase(dims.begin(), dims.end() - rank);
      o.shape.channels = static_cast<int>(dims[0]);
      o.shape.rank = s.rank;
      o.shape.extent = widen({dims.begin() + 1, dims.end()}, 1);
      o.constant = Buffer(o.shape.floats());
      pack(v.data.data(), o.shape.channels, volume(o.shape.extent), o.constant.data());
    }
    o.one[0] = o.shape.channels == 1 && s.channels > 1;
    for (int a = 0; a < kAxes; ++a) o.one[a + 1] = o.shape.extent[a] == 1 && s.extent[a] > 1;
    return o;
  }

  const float* data(int i, int image) { return operands_[i].constant.size() ? operands_[i].constant.data() : in(i, image); }

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

  // dx of one operand: dy (times the other operand), summed over what was broadcast.
  void toOperand(Backward& b, int side, int r) {
    const Operand &o = operands_[side], &other = operands_[1 - side];
    const Row& dy = b.dy.list[r];
    Row& dx = b.dx[side]->list[r];
    const float* factor = multiply_ ? data(1 - side, b.unit.imageOf(r)) : nullptr;
    const float sign = side == 1 ? sign_ : 1.f;
    const bool reduces = o.one[0] || o.one[1] || o.one[2] || o.one[3];
    const auto term = [&](int64_t at, int block, int z, int y, int x, float* g) {
      float f[kLanes];
      if (factor) fetch(other, factor, block, z, y, x, f);
      for (int l = 0; l < kLanes; ++l) g[l] = dy.data[at + l] * (factor ? f[l] : sign);
    };
    if (!reduces) {
      each(dy.box, [&](int64_t at, int block, int z, int y, int x) { term(at, block, z, y, x, dx.data + at); });
      return;
    }
    // sums in double: an attention gate adds thousands of positions and all channels into one number
    const Extent m = dx.box.size();
    std::vector<double> sums(o.shape.floats(m), 0.);
    const Extent n = dy.box.size();
    int64_t at = 0;
    for (int block = 0; block < shape(output).blocks(); ++block)
      for (int z = 0; z < n[0]; ++z)
        for (int y = 0; y < n[1]; ++y)
          for (int x = 0; x < n[2]; ++x, at += kLanes) {
            float g[kLanes];
            term(at, block, z + dy.box.lo[0], y + dy.box.lo[1], x + dy.box.lo[2], g);
            const int64_t to =
                (((int64_t(o.one[0] ? 0 : block) * m[0] + (o.one[1] ? 0 : z)) * m[1] + (o.one[2] ? 0 : y)) * m[2] + (o.one[3] ? 0 : x)) *
                kLanes;
            for (int l = 0; l < kLanes; ++l) sums[to + (o.one[0] ? 0 : l)] += g[l];
          }
    for (size_t i = 0; i < sums.size(); ++i) dx.data[i] = static_cast<float>(sums[i]);
  }
};

}  // namespace

std::unique_ptr<Operator> arithmetic(Workspace& w, const Operation& o) { return std::make_unique<Arithmetic>(w, o); }

}  // namespace tracin::cpu
