// MaxPool, AveragePool and GlobalAveragePool.
#include <limits>

#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

class Pool3 : public Operator {
 public:
  Pool3(Workspace& w, const Operation& o)
      : Operator(w, o),
        kernel_(widen(o.integers("kernel"), 1)),
        strides_(widen(o.integers("strides"), 1)),
        before_(widen(o.integers("before"), 0)),
        after_(widen(o.integers("after"), 0)),
        dilations_(widen(o.integers("dilations"), 1)) {}

 protected:
  Extent kernel_, strides_, before_, after_, dilations_;

  // visit(position in x) for every position of the window of output (z, y, x) that lies on the map
  template <class Visit>
  void window(const Extent& map, int z, int y, int x, Visit visit) const {
    for (int i = 0; i < kernel_[0]; ++i) {
      const int a = z * strides_[0] - before_[0] + i * dilations_[0];
      if (a < 0 || a >= map[0]) continue;
      for (int j = 0; j < kernel_[1]; ++j) {
        const int b = y * strides_[1] - before_[1] + j * dilations_[1];
        if (b < 0 || b >= map[1]) continue;
        for (int k = 0; k < kernel_[2]; ++k) {
          const int c = x * strides_[2] - before_[2] + k * dilations_[2];
          if (c >= 0 && c < map[2]) visit(a, b, c);
        }
      }
    }
  }

  // each(block, z, y, x, index of the position in the row's dense array), lines shared among threads; dx zeroed first
  template <class Each>
  void positions(Backward& b, int r, Each each) {
    const int blocks = shape(output).blocks();
    const Box& box = b.dy.list[r].box;
    const Extent n = box.size();
    Row& dx = b.dx[0]->list[r];
    const Extent m = dx.box.size();
    forLines(blocks, m, [&](int block, int z, int y) { std::fill_n(dx.data + lineStart(m, block, z, y), m[2] * kLanes, 0.f); });
    const auto line = [&](int block, int z, int y) {
      int64_t at = lineStart(n, block, z, y) / kLanes;
      for (int x = 0; x < n[2]; ++x, ++at) each(block, z + box.lo[0], y + box.lo[1], x + box.lo[2], at);
    };
    // windows of different lines that meet would add to the same numbers: then one thread takes a whole block
    bool apart = true;
    for (int a = 0; a < 2; ++a) apart &= n[a] == 1 || strides_[a] > (kernel_[a] - 1) * dilations_[a];
    if (apart) return forLines(blocks, n, line);
#pragma omp parallel for schedule(static) if (blocks * volume(n) * kLanes > kWorthSharing)
    for (int block = 0; block < blocks; ++block)
      for (int z = 0; z < n[0]; ++z)
        for (int y = 0; y < n[1]; ++y) line(block, z, y);
  }

  static int64_t offset(const Box& box, int z, int y, int x) {
    const Extent n = box.size();
    return (int64_t(z - box.lo[0]) * n[1] + y - box.lo[1]) * n[2] + x - box.lo[2];
  }
};

class MaxPool final : public Pool3 {
 public:
  using Pool3::Pool3;

  void forward(int images) override {
    const Shape &s = shape(output), &from = shape(input(0));
    const Box& box = tensor(output).wanted;
    for (int image = 0; image < images; ++image)
      forLines(s.blocks(), box.size(), [&](int b, int row, int line) {
        const float* x = in(0, image) + b * volume(from.extent) * kLanes;
        float* y = out(image) + lineStart(s.extent, box, b, row, line);
        const int i = row + box.lo[0], j = line + box.lo[1];
        for (int k = box.lo[2]; k < box.hi[2]; ++k, y += kLanes) {
          Lanes top = Lanes{} - std::numeric_limits<float>::infinity();
          window(from.extent, i, j, k, [&](int a, int c, int d) {
            const float* v = x + ((int64_t(a) * from.extent[1] + c) * from.extent[2] + d) * kLanes;
            whereAbove(lanes(v), top, lanes(v), top, top);
          });
          lanes(y) = top;
        }
      });
  }

  // The first position that holds the maximum moves the result.
  void tangent(const Tangent& t) override {
    const Shape &s = shape(output), &from = shape(input(0));
    for (int image = 0; image < t.images; ++image)
      forLines(s.blocks(), s.extent, [&](int b, int i, int j) {
        const int64_t start = b * volume(from.extent) * kLanes, line = lineStart(s.extent, b, i, j);
        const float *x = in(0, image) + start, *dx = moved(t, 0, image) + start, *y = out(image) + line;
        float* dy = moving(t, image) + line;
        for (int k = 0; k < s.extent[2]; ++k, y += kLanes, dy += kLanes) {
          bool found[kLanes] = {};
          std::fill_n(dy, kLanes, 0.f);
          window(from.extent, i, j, k, [&](int a, int c, int d) {
            const int64_t at = ((int64_t(a) * from.extent[1] + c) * from.extent[2] + d) * kLanes;
            for (int l = 0; l < kLanes; ++l)
              if (!found[l] && x[at + l] == y[l]) dy[l] = dx[at + l], found[l] = true;
          });
        }
      });
  }

  // The gradient goes to the first position that holds the maximum.
  void backward(Backward& b) override {
    if (!b.dx[0]) return;
    const Shape& from = shape(input(0));
    const int64_t n = volume(shape(output).extent), m = volume(from.extent);
    for (int r = 0; r < b.dy.count(); ++r) {
      const float *x = in(0, b.unit.imageOf(r)), *y = out(b.unit.imageOf(r)), *dy = b.dy.list[r].data;
      Row& dx = b.dx[0]->list[r];
      const int64_t room = volume(dx.box.size());
      if (tiles(b.dy.list[r].box, dx.box)) {
        share(x, y, b.dy.list[r], dx);
        continue;
      }
      positions(b, r, [&](int block, int i, int j, int k, int64_t at) {
        const float* top = y + (block * n + (int64_t(i) * shape(output).extent[1] + j) * shape(output).extent[2] + k) * kLanes;
        Lanes left = lanes(dy + at * kLanes);
        window(from.extent, i, j, k, [&](int a, int c, int d) {
          const float* v = x + (block * m + (int64_t(a) * from.extent[1] + c) * from.extent[2] + d) * kLanes;
          float* to = dx.data + (block * room + offset(dx.box, a, c, d)) * kLanes;
          Lanes g;
          whereEqual(lanes(v), lanes(top), left, Lanes{}, g);
          lanes(to) += g;
          left -= g;
        });
      });
    }
  }

 private:
  // Whether the windows of one box are the other, each position in one window: then each is written once.
  bool tiles(const Box& out, const Box& in) const {
    for (int a = 0; a < kAxes; ++a)
      if (kernel_[a] != strides_[a] || before_[a] || dilations_[a] != 1 || in.lo[a] != out.lo[a] * strides_[a] ||
          in.hi[a] != out.hi[a] * strides_[a])
        return false;
    return true;
  }

  void share(const float* x, const float* y, const Row& dy, const Row& dx) const {
    const Shape &s = shape(output), &from = shape(input(0));
    const Extent n = dy.box.size(), m = dx.box.size();
    forLines(s.blocks(), n, [&](int block, int z, int row) {
      const float *top = y + lineStart(s.extent, dy.box, block, z, row), *g = dy.data + lineStart(n, block, z, row);
      for (int k = 0; k < n[2]; ++k, top += kLanes, g += kLanes) {
        Lanes left = lanes(g);
        for (int i = 0; i < kernel_[0]; ++i)
          for (int j = 0; j < kernel_[1]; ++j) {
            const int a = z * kernel_[0] + i, c = row * kernel_[1] + j;
            const float* v = x + lineStart(from.extent, dx.box, block, a, c) + int64_t(k) * kernel_[2] * kLanes;
            float* to = dx.data + lineStart(m, block, a, c) + int64_t(k) * kernel_[2] * kLanes;
            for (int l = 0; l < kernel_[2] * kLanes; l += kLanes) {
              whereEqual(lanes(v + l), lanes(top), left, Lanes{}, lanes(to + l));
              left -= lanes(to + l);
            }
          }
      }
    });
  }
};

class AveragePool final : public Pool3 {
 public:
  AveragePool(Workspace& w, const Operation& o) : Pool3(w, o), countPadding_(o.number("countIncludePad") != 0) {}

  void forward(int images) override {
    for (int image = 0; image < images; ++image) average(in(0, image), out(image));
  }

  void tangent(const Tangent& t) override {
    linear(t, [&](const float* from, float* to) { average(from, to); });
  }

  void backward(Backward& b) override {
    if (!b.dx[0]) return;
    const Shape& from = shape(input(0));
    for (int r = 0; r < b.dy.count(); ++r) {
      const float* dy = b.dy.list[r].data;
      Row& dx = b.dx[0]->list[r];
      const int64_t room = volume(dx.box.size());
      positions(b, r, [&](int block, int i, int j, int k, int64_t at) {
        const float w = weight(from.extent, i, j, k);
        window(from.extent, i, j, k, [&](int a, int c, int d) {
          float* to = dx.data + (block * room + offset(dx.box, a, c, d)) * kLanes;
          lanes(to) += lanes(dy + at * kLanes) * w;
        });
      });
    }
  }

 private:
  bool countPadding_;

  void average(const float* maps, float* to) const {
    const Shape &s = shape(output), &from = shape(input(0));
    forLines(s.blocks(), s.extent, [&](int b, int i, int j) {
      const float* x = maps + b * volume(from.extent) * kLanes;
      float* y = to + lineStart(s.extent, b, i, j);
      for (int k = 0; k < s.extent[2]; ++k, y += kLanes) {
        Lanes sum{};
        window(from.extent, i, j, k, [&](int a, int c, int d) {
          const float* v = x + ((int64_t(a) * from.extent[1] + c) * from.extent[2] + d) * kLanes;
          sum += lanes(v);
        });
        const float w = weight(from.extent, i, j, k);
        lanes(y) = sum * w;
      }
    });
  }

  // 1 / positions counted. Padding counts up to the padded map's end, never what a rounded-up size adds beyond it.
  float weight(const Extent& map, int z, int y, int x) const {
    const int at[kAxes] = {z, y, x};
    int positions = 1;
    for (int a = 0; a < kAxes; ++a) {
      int inside = 0;
      for (int k = 0; k < kernel_[a]; ++k) {
        const int p = at[a] * strides_[a] - before_[a] + k * dilations_[a];
        inside += countPadding_ ? p < map[a] + after_[a] : p >= 0 && p < map[a];
      }
      positions *= inside;
    }
    return 1.f / positions;
  }
};

class GlobalAveragePool final : public Operator {
 public:
  using Operator::Operator;

  void forward(int images) override {
    for (int image = 0; image < images; ++image) average(in(0, image), out(image));
  }

  void tangent(const Tangent& t) override {
    linear(t, [&](const float* from, float* to) { average(from, to); });
  }

  void backward(Backward& b) override {
    if (!b.dx[0]) return;
    const Shape& from = shape(input(0));
    for (int r = 0; r < b.dy.count(); ++r) {
      Row& dx = b.dx[0]->list[r];
      const int64_t n = volume(dx.box.size());
      for (int block = 0; block < from.blocks(); ++block)
        for (int64_t p = 0; p < n; ++p)
          for (int l = 0; l < kLanes; ++l)
            dx.data[(block * n + p) * kLanes + l] = b.dy.list[r].data[block * kLanes + l] / volume(from.extent);
    }
  }

 private:
  void average(const float* maps, float* to) const {
    const Shape& from = shape(input(0));
    std::vector<float> sums(from.blocks() * kLanes);
    sumPositions({Box::whole(from.extent), const_cast<float*>(maps)}, from.channels, sums.data());
    for (size_t c = 0; c < sums.size(); ++c) to[c] = sums[c] / volume(from.extent);
  }
};

}  // namespace

std::unique_ptr<Operator> maxPool(Workspace& w, const Operation& o) { return std::make_unique<MaxPool>(w, o); }
std::unique_ptr<Operator> averagePool(Workspace& w, const Operation& o) { return std::make_unique<AveragePool>(w, o); }
std::unique_ptr<Operator> globalAveragePool(Workspace& w, const Operation& o) { return std::make_unique<GlobalAveragePool>(w, o); }

}  // namespace tracin::cpu
