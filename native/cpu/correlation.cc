#include "correlation.h"

#include <algorithm>

#include "processor.h"

namespace tracin::cpu {

Correlation::Correlation(Workspace& work, const Geometry& shape, int kernel)
    : work_(work),
      shape_(shape),
      kernel_(kernel),
      minimal_(hasAvx512() && shape.rank == 2 && shape.groups == 1 && shape.in >= kLanes && shape.kernel == Extent{1, 3, 3} &&
               shape.strides == Extent{1, 1, 1} && shape.dilations == Extent{1, 1, 1}),
      ofImage_(hasAvx512() && shape.rank == 2 && shape.groups == 1 && shape.in < kLanes && shape.kernel[2] == image_correlation::kColumns &&
               shape.strides == Extent{1, 1, 1} && shape.dilations == Extent{1, 1, 1}) {}

void Correlation::count(int rows, const Part& y) {
  work_.profile.count(2 * rows * volume(y.box.size()) * volume(shape_.kernel) * shape_.out * (shape_.in / shape_.groups));
}

Method Correlation::method(Pass pass, const Part& x, const Part& y) const {
  if (!minimal_ || x.plain || y.plain) return Method::direct;
  return work_.choice.of(pass, shape_.in, shape_.out, volume(y.box.size()), work_.precision);
}

template <class Item, class Run>
void Correlation::byMethod(Pass pass, const std::vector<Item>& items, Run run) {
  for (Method m : {Method::direct, Method::winograd, Method::tiles}) {
    std::vector<Item> some;
    for (const Item& item : items)
      if (method(pass, item.x, item.y) == m) some.push_back(item);
    if (!some.empty()) run(m, some);
  }
}

void Correlation::gather(int rows, Part x, Part y, const float* bias, float slope) {
  if (y.box.empty()) return;
  count(rows, y);
  const Method m = method(Pass::forward, x, y);
  if (m != Method::direct) return convolve(m, batch(rows, x, y), false, bias, slope);
  gatherDirectly(rows, x, y, bias, slope);
}

std::vector<Correlation::Pair> Correlation::batch(int rows, const Part& x, const Part& y) const {
  std::vector<Pair> pairs(rows, {x, y});
  for (int r = 1; r < rows; ++r) pairs[r].x.data += r * floats(shape_.in, x), pairs[r].y.data += r * floats(shape_.out, y);
  return pairs;
}

int64_t Correlation::floats(int channels, const Part& p) const {
  return (p.plain ? channels : blocksOf(channels) * kLanes) * volume(p.frame.size());
}

void Correlation::scatter(const std::vector<Pair>& pairs) {
  for (const Pair& p : pairs) count(1, p.y);
  byMethod(Pass::data, pairs, [&](Method m, const std::vector<Pair>& some) {
    m == Method::direct ? scatterDirectly(some) : convolve(m, some, true, nullptr, 1.f);
  });
}

void Correlation::correlate(const std::vector<Sum>& sums) {
  const int64_t n = gradientFloats();
  for (const Sum& s : sums) count(s.rows * s.stack, s.y);
  byMethod(Pass::weights, sums, [&](Method m, const std::vector<Sum>& some) {
    if (m != Method::direct) return correlateInBlocks(m, some);
    if (ofImage_ && some[0].x.plain)
      correlateWithImage(some);
    else
      for (const Sum& s : some) correlateDirectly(s.rows, s.stack, s.x, s.y, s.gradient);
    for (const Sum& s : some)
      for (int g = 0; s.dots && g < s.stack; ++g) scaleGradient(s.gradient + g * n, s.dots + g * shape_.out);
  });
}

}  // namespace tracin::cpu
