// Resize as a sparse linear map along each axis: nearest, linear and every coordinate rule are data in the taps.
#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

// The positions of one axis that are linked with a position of the other side, and the weights.
struct Links {
  std::vector<std::vector<std::pair<int, float>>> of;

  Links(const AxisTaps& axis, bool byInput) : of(byInput ? axis.inputSize : axis.outputSize) {
    for (int o = 0; o < axis.outputSize; ++o)
      for (int t = o * axis.taps; t < (o + 1) * axis.taps; ++t)
        if (axis.weight[t] != 0.f) {
          if (byInput)
            of[axis.index[t]].emplace_back(o, axis.weight[t]);
          else
            of[o].emplace_back(axis.index[t], axis.weight[t]);
        }
  }
};

class Resize final : public Operator {
 public:
  Resize(Workspace& w, const Operation& o) : Operator(w, o) {
    for (int a = 0; a < kAxes; ++a) {
      const int i = a - kAxes + static_cast<int>(o.axes.size());
      const AxisTaps axis = i < 0 ? AxisTaps{1, 1, 1, {0}, {1.f}} : o.axes[i];
      reads_.emplace_back(axis, false);
      feeds_.emplace_back(axis, true);
    }
  }

  void forward(int images) override {
    for (int image = 0; image < images; ++image) resize(in(0, image), out(image), tensor(output).wanted);
  }

  void tangent(const Tangent& t) override {
    linear(t, [&](const float* from, float* to) { resize(from, to, Box::whole(shape(output).extent)); });
  }

  // The transposed map: every input position gathers from the outputs that read it.
  void backward(Backward& b) override {
    if (!b.dx[0]) return;
    for (int r = 0; r < b.dy.count(); ++r) {
      const Row &dy = b.dy.list[r], &dx = b.dx[0]->list[r];
      apply(feeds_, shape(output).blocks(), dy.data, dy.box, dx.data, dx.box, dx.box.size());
    }
  }

 private:
  std::vector<Links> reads_, feeds_;

  void resize(const float* from, float* to, const Box& where) const {
    const Shape &s = shape(output), &small = shape(input(0));
    apply(reads_, s.blocks(), from, Box::whole(small.extent), to, where, s.extent);
  }

  // to = map · from inside toBox, from zero outside its box; `to` is an array of extent `frame`, whole map or that box alone
  static void apply(const std::vector<Links>& map, int blocks, const float* from, const Box& fromBox, float* to, const Box& toBox,
                    const Extent& frame) {
    const Extent n = toBox.size(), m = fromBox.size();
    const Box place = frame == n ? Box::whole(n) : toBox;
    forLines(blocks, n, [&](int block, int z, int y) {
      float* line = to + lineStart(frame, place, block, z, y);
      std::fill_n(line, n[2] * kLanes, 0.f);
      for (const auto& [a, wa] : map[0].of[z + toBox.lo[0]]) {
        if (a < fromBox.lo[0] || a >= fromBox.hi[0]) continue;
        for (const auto& [b, wb] : map[1].of[y + toBox.lo[1]]) {
          if (b < fromBox.lo[1] || b >= fromBox.hi[1]) continue;
          const float* source = from + lineStart(m, block, a - fromBox.lo[0], b - fromBox.lo[1]);
          float* target = line;
          for (int x = toBox.lo[2]; x < toBox.hi[2]; ++x, target += kLanes)
            for (const auto& [c, wc] : map[2].of[x]) {
              if (c < fromBox.lo[2] || c >= fromBox.hi[2]) continue;
              const float* v = source + (c - fromBox.lo[2]) * kLanes;
              lanes(target) += (wa * wb * wc) * lanes(v);
            }
        }
      }
    });
  }
};

}  // namespace

std::unique_ptr<Operator> resize(Workspace& w, const Operation& o) { return std::make_unique<Resize>(w, o); }

}  // namespace tracin::cpu
