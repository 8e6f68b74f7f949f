// Concat along the channels or along a spatial axis.
#include "../lines.h"
#include "operators.h"

namespace tracin::cpu {

namespace {

class MapConcat final : public Operator {
 public:
  // Parts that fill whole blocks of channels are computed where they belong, unless another concatenation has them.
  MapConcat(Workspace& w, const Operation& o) : Operator(w, o) {
    const int axis = static_cast<int>(o.number("axis"));
    axis_ = axis == 0 ? kChannels : axis - 1 + kAxes - shape(output).rank;
    int start = 0;
    for (int i = 0; i < parts(); ++i) {
      starts_.push_back(start);
      start += axis_ == kChannels ? shape(input(i)).channels : shape(input(i)).extent[axis_];
      Tensor& part = w.tensors[input(i)];
      if (fillsBlocks(i) && part.joined < 0) part.joined = output, part.offset = offset(i);
    }
  }

  void forward(int images) override {
    for (int image = 0; image < images; ++image)
      for (int i = 0; i < parts(); ++i)
        if (!isThere(i)) join(i, in(i, image), out(image), tensor(output).wanted);
  }

  void tangent(const Tangent& t) override {
    std::fill_n(t.output, t.images * shape(output).floats(), 0.f);
    for (int image = 0; image < t.images; ++image)
      for (int i = 0; i < parts(); ++i)
        if (t.inputs[i]) join(i, moved(t, i, image), moving(t, image), Box::whole(shape(output).extent));
  }

  void backward(Backward& b) override {
    const Shape& s = shape(output);
    for (int r = 0; r < b.dy.count(); ++r) {
      const Row& dy = b.dy.list[r];
      for (int i = 0; i < parts(); ++i) {
        if (!b.dx[i]) continue;
        Row& dx = b.dx[i]->list[r];
        if (axis_ == kChannels) {
          channels(dy.data, starts_[i], dx.data, 0, shape(input(i)).channels, volume(dy.box.size()), i + 1 == parts(), true);
          continue;
        }
        // what of dx's box lies in dy's, in dy's coordinates
        Box inDy = dx.box;
        inDy.lo[axis_] += starts_[i], inDy.hi[axis_] += starts_[i];
        for (int a = 0; a < kAxes; ++a) inDy.lo[a] = std::max(inDy.lo[a], dy.box.lo[a]), inDy.hi[a] = std::min(inDy.hi[a], dy.box.hi[a]);
        std::fill_n(dx.data, s.blocks() * volume(dx.box.size()) * kLanes, 0.f);
        if (inDy.empty()) continue;
        Box local = inDy, home = inDy;
        for (int a = 0; a < kAxes; ++a) local.lo[a] -= dy.box.lo[a], local.hi[a] -= dy.box.lo[a];
        home.lo[axis_] -= starts_[i], home.hi[axis_] -= starts_[i];
        Pool::Piece room = work.pool.take(s.floats(inDy.size()));
        crop(dy.data, dy.box.size(), local, s.blocks(), room.data());
        addInto(dx.data, dx.box, room.data(), home, s.blocks());
      }
    }
  }

 private:
  static constexpr int kChannels = -1;
  int axis_;
  std::vector<int> starts_;

  int parts() const { return static_cast<int>(operation.inputs.size()); }
  bool fillsBlocks(int i) const {
    return axis_ == kChannels && starts_[i] % kLanes == 0 && (shape(input(i)).channels % kLanes == 0 || i + 1 == parts());
  }
  // Floats to a part that fills blocks.
  int64_t offset(int i) const { return starts_[i] * volume(shape(output).extent); }

  bool isThere(int i) const { return tensor(input(i)).joined == output && tensor(input(i)).offset == offset(i); }

  // Into the whole map: inside `where` at least.
  void join(int i, const float* part, float* whole, const Box& where) const {
    const Shape &s = shape(output), &own = shape(input(i));
    if (fillsBlocks(i)) {
      float* first = whole + offset(i);
      forLines(own.blocks(), where.size(), [&](int b, int z, int y) {
        const int64_t line = lineStart(s.extent, where, b, z, y);
        std::copy_n(part + line, where.size()[2] * kLanes, first + line);
      });
      return;
    }
    if (axis_ == kChannels) return channels(part, 0, whole, starts_[i], own.channels, volume(s.extent), true, i + 1 == parts());
    Box box = Box::whole(s.extent);
    box.lo[axis_] = starts_[i], box.hi[axis_] = starts_[i] + own.extent[axis_];
    place(part, box, whole, s);
  }

  // Copies `count` channels over all positions; whole blocks where both ends are aligned. `fromEnds`, `toEnds`: these are the last
  // channels there, so the rest of the final block is (or must become) zero.
  static void channels(const float* from, int fromChannel, float* to, int toChannel, int count, int64_t positions, bool fromEnds,
                       bool toEnds) {
    if (fromChannel % kLanes == 0 && toChannel % kLanes == 0 && (count % kLanes == 0 || (fromEnds && toEnds))) {
#pragma omp parallel for schedule(static) if (count * positions > kWorthSharing)
      for (int b = 0; b < blocksOf(count); ++b)
        std::copy_n(from + (fromChannel / kLanes + b) * positions * kLanes, positions * kLanes,
                    to + (toChannel / kLanes + b) * positions * kLanes);
      return;
    }
    const int end = toEnds ? blocksOf(toChannel + count) * kLanes : toChannel + count;
#pragma omp parallel for schedule(static) if (count * positions > kWorthSharing)
    for (int64_t p = 0; p < positions; ++p)
      for (int t = toChannel; t < end; ++t) {
        const int f = fromChannel + t - toChannel;
        to[(t / kLanes * positions + p) * kLanes + t % kLanes] =
            t < toChannel + count ? from[(f / kLanes * positions + p) * kLanes + f % kLanes] : 0.f;
      }
  }

  static void place(const float* dense, const Box& box, float* map, const Shape& s) {
    const Extent n = box.size();
    forLines(s.blocks(), n, [&](int b, int z, int y) {
      std::copy_n(dense + lineStart(n, b, z, y), n[2] * kLanes, map + lineStart(s.extent, box, b, z, y));
    });
  }
};

class FlatConcat final : public Operator {
 public:
  FlatConcat(Workspace& w, const Operation& o) : Operator(w, o) {
    const auto& dims = w.dims(o.output);
    const int axis = static_cast<int>(o.number("axis"));
    outer_ = count({dims.begin(), dims.begin() + axis});
    for (int v : o.inputs) lengths_.push_back(count({w.dims(v).begin() + axis, w.dims(v).end()}));
    for (int64_t n : lengths_) total_ += n;
  }

  void forward(int images) override {
    for (int image = 0; image < images; ++image) join([&](int i) { return work.numbers(input(i), image); }, out(image));
  }

  void tangent(const Tangent& t) override {
    for (int image = 0; image < t.images; ++image) join([&](int i) { return moved(t, i, image); }, moving(t, image));
  }

  void backward(Backward& b) override {
    for (int r = 0; r < b.dy.count(); ++r) {
      int64_t start = 0;
      for (size_t i = 0; i < lengths_.size(); start += lengths_[i], ++i)
        deliver(b, static_cast<int>(i), r, [&](float* to) {
          for (int64_t o = 0; o < outer_; ++o) std::copy_n(b.dy.list[r].data + o * total_ + start, lengths_[i], to + o * lengths_[i]);
        });
    }
  }

 private:
  int64_t outer_, total_ = 0;
  std::vector<int64_t> lengths_;  // numbers of each part in one run along the axis

  // partOf(i): the numbers of input i, null for zeros
  template <class PartOf>
  void join(PartOf partOf, float* whole) const {
    int64_t start = 0;
    for (size_t i = 0; i < lengths_.size(); start += lengths_[i], ++i) {
      const float* part = partOf(static_cast<int>(i));
      for (int64_t o = 0; o < outer_; ++o) {
        float* to = whole + o * total_ + start;
        if (part)
          std::copy_n(part + o * lengths_[i], lengths_[i], to);
        else
          std::fill_n(to, lengths_[i], 0.f);
      }
    }
  }
};

}  // namespace

std::unique_ptr<Operator> concat(Workspace& w, const Operation& o) {
  if (w.tensors[o.output].flat) return std::make_unique<FlatConcat>(w, o);
  return std::make_unique<MapConcat>(w, o);
}

}  // namespace tracin::cpu
