// The same numbers in the other form: blocked map to flat, flat to blocked map.
#include "operators.h"

namespace tracin::cpu {

namespace {

class Repack final : public Operator {
 public:
  using Operator::Operator;

  void forward(int images) override {
    for (int image = 0; image < images; ++image) convert(in(0, image), out(image), flat());
  }

  void tangent(const Tangent& t) override {
    linear(t, [&](const float* from, float* to) { convert(from, to, flat()); });
  }

  void backward(Backward& b) override {
    if (!b.dx[0]) return;
    for (int r = 0; r < b.dy.count(); ++r) convert(b.dy.list[r].data, b.dx[0]->list[r].data, !flat());
  }

 private:
  void convert(const float* from, float* to, bool toFlat) {
    const Shape& s = shape(output);
    (toFlat ? unpack : pack)(from, s.channels, volume(s.extent), to);
  }
};

}  // namespace

std::unique_ptr<Operator> repack(Workspace& w, const Operation& o) { return std::make_unique<Repack>(w, o); }

}  // namespace tracin::cpu
