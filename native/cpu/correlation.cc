#include "correlation.h"

#include <omp.h>

#include <algorithm>

#include "processor.h"

namespace tracin::cpu {

Box covered(const Geometry& g, const Box& out, const Box& bounds) {
  Box in;
  for (int a = 0; a < kAxes; ++a) {
    const int first = out.lo[a] * g.strides[a] - g.before[a], last = (out.hi[a] - 1) * g.strides[a] - g.before[a];
    in.lo[a] = std::max(bounds.lo[a], first);
    in.hi[a] = std::min(bounds.hi[a], last + (g.kernel[a] - 1) * g.dilations[a] + 1);
  }
  return in;
}

Box meeting(const Geometry& g, const Box& in, const Box& bounds) {
  const auto floorDiv = [](int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); };
  Box out;
  for (int a = 0; a < kAxes; ++a) {
    const int span = (g.kernel[a] - 1) * g.dilations[a];
    out.lo[a] = std::max(bounds.lo[a], -floorDiv(-(in.lo[a] + g.before[a] - span), g.strides[a]));
    out.hi[a] = std::min(bounds.hi[a], floorDiv(in.hi[a] - 1 + g.before[a], g.strides[a]) + 1);
  }
  return out;
}

Correlation::Correlation(Workspace& work, const Geometry& shape, int kernel)
    : work_(work),
      shape_(shape),
      kernel_(kernel),
      minimal_(shape.rank == 2 && shape.groups == 1 && shape.in >= kLanes && shape.kernel == Extent{1, 3, 3} &&
               shape.strides == Extent{1, 1, 1} && shape.dilations == Extent{1, 1, 1}),
      ofImage_(shape.rank == 2 && shape.groups == 1 && shape.in < kLanes && shape.kernel[2] == image_correlation::kColumns &&
               shape.strides == Extent{1, 1, 1} && shape.dilations == Extent{1, 1, 1}),
      mostScratch_(omp_get_max_threads() * kScratchBytes) {
  if (minimal_ || volume(shape.kernel) == 1) return;
  const auto [x, y] = sample();
  const int out = stacks() ? paddedOut() * work.network.foreground() : shape.out;
  const auto few = dnn::backwardWeights(work.engine, convolution(1, out, x, y));
  if (!dnn::writesWindows(few)) return;
  // of few positions the scratch is for the sums, which many need, too
  mostScratch_ = std::max<int64_t>(mostScratch_, few.scratchpad_desc().get_size());
  work.scratchBytes = std::max(work.scratchBytes, mostScratch_);
}

Correlation::Pair Correlation::sample() const {
  constexpr int kFew = 16;  // along each axis
  Box out = Box::whole({1, 1, 1}), in = out;
  for (int a = kAxes - shape_.rank; a < kAxes; ++a) {
    out.hi[a] = kFew, in.lo[a] = -shape_.before[a];
    in.hi[a] = in.lo[a] + (kFew - 1) * shape_.strides[a] + (shape_.kernel[a] - 1) * shape_.dilations[a] + 1;
  }
  return {{in, nullptr, shape_.in < kLanes}, {out, nullptr}};
}

void Correlation::count(int rows, const Part& y) {
  work_.profile.count(2 * rows * volume(y.box.size()) * volume(shape_.kernel) * shape_.out * (shape_.in / shape_.groups));
}

Method Correlation::method(Pass pass, const Part& x, const Part& y) const {
  if (!minimal_ || x.plain || y.plain) return Method::direct;
  return work_.choice.of(pass, shape_.in, shape_.out, volume(y.box.size()), work_.precision);
}

template <class Item, class Run>
void Correlation::byMethod(Pass pass, const std::vector<Item>& items, Run run) {
  for (Method m : kMethods) {
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
  if (!minimal_ || x.plain || y.plain) x.box = x.frame, y.box = y.frame;  // whoever wants less gets more
  gatherDirectly(rows, x, y, bias, slope);
}

std::vector<Correlation::Pair> Correlation::batch(int rows, const Part& x, const Part& y) const {
  std::vector<Pair> pairs(rows, {x, y});
  for (int r = 1; r < rows; ++r) pairs[r].x.data += r * step(shape_.in, x), pairs[r].y.data += r * step(shape_.out, y);
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
