// Resize as a sparse linear map along each axis: nearest, linear and every coordinate rule are data in the taps.
#include "../places.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

// The positions of one axis that are linked with a position of the other side, and the weights.
struct Links {
  Buffer starts, positions, weights;

  Links(const Device& device, const AxisTaps& axis, bool byInput) {
    std::vector<std::vector<std::pair<int, float>>> of(byInput ? axis.inputSize : axis.outputSize);
    for (int o = 0; o < axis.outputSize; ++o)
      for (int t = o * axis.taps; t < (o + 1) * axis.taps; ++t)
        if (axis.weight[t] != 0.f) of[byInput ? axis.index[t] : o].emplace_back(byInput ? o : axis.index[t], axis.weight[t]);
    std::vector<int> first{0}, at;
    std::vector<float> weight;
    for (const auto& links : of) {
      for (const auto& [p, w] : links) at.push_back(p), weight.push_back(w);
      first.push_back(static_cast<int>(at.size()));
    }
    starts = resident(device, first), positions = resident(device, at), weights = resident(device, weight);
  }
};

struct LinksView {
  const int *starts[3], *positions[3];
  const float* weights[3];
};

struct Extents {
  int size[3];
};

// How often the axis repeats each number, or 0 where that is not what it does.
int repetitions(const AxisTaps& axis) {
  const int times = axis.outputSize / axis.inputSize;
  if (times * axis.inputSize != axis.outputSize) return 0;
  for (int o = 0; o < axis.outputSize; ++o) {
    int linked = 0;
    for (int t = o * axis.taps; t < (o + 1) * axis.taps; ++t) {
      if (axis.weight[t] == 0.f) continue;
      if (axis.weight[t] != 1.f || axis.index[t] != o / times || ++linked > 1) return 0;
    }
    if (!linked) return 0;
  }
  return times;
}

// to = map · from, from zero outside its window
__global__ void applyKernel(LinksView map, MapView fromView, MapView toView, const float* from, float* to, int fromNumbers, int numbers,
                            int rows) {
  TRACIN_EACH_OF_ROWS(row, i, rows, numbers) {
    int channel, at[3];
    float sum = 0.f;
    if (toView.locate(row, i, channel, at)) {
      const float* source = from + int64_t(row) * fromNumbers;
      for (int a = map.starts[0][at[0]]; a < map.starts[0][at[0] + 1]; ++a) {
        const int z = fromView.local(row, 0, map.positions[0][a]);
        if (z < 0) continue;
        for (int b = map.starts[1][at[1]]; b < map.starts[1][at[1] + 1]; ++b) {
          const int y = fromView.local(row, 1, map.positions[1][b]);
          if (y < 0) continue;
          const float weight = map.weights[0][a] * map.weights[1][b];
          for (int c = map.starts[2][at[2]]; c < map.starts[2][at[2] + 1]; ++c) {
            const int x = fromView.local(row, 2, map.positions[2][c]);
            if (x >= 0) sum += weight * map.weights[2][c] * source[fromView.index(channel, z, y, x)];
          }
        }
      }
    }
    to[int64_t(row) * numbers + i] = sum;
  }
}

// An upsampling that repeats every number, so and so often along each axis, whole slices at a time: a thread reads kRead neighbours and
// writes what repeats them, line by line. kSide: how often along the last two axes; 0: as `times` says.
template <int kSide, int kRead>
__global__ void repeatKernel(Extents times, Divider height, Divider packs, const float* __restrict__ from, float* __restrict__ to,
                             int reads, int slices) {
  const auto side = [&](int axis) { return kSide ? kSide : times.size[axis]; };
  const unsigned lines = height.divisor * side(1), width = packs.divisor * kRead * side(2);  // of a plane that is written
  TRACIN_EACH_OF_ROWS(slice, i, slices, reads) {
    const unsigned line = packs.quotient(i), plane = height.quotient(line);
    const unsigned x = (i - line * packs.divisor) * kRead * side(2), y = (line - plane * height.divisor) * side(1);
    const Pack<kRead> v = reinterpret_cast<const Pack<kRead>*>(from)[int64_t(slice) * reads + i];
    float* slab = to + int64_t(slice) * reads * kRead * times.size[0] * side(1) * side(2);
    for (int a = 0; a < times.size[0]; ++a)
      for (int b = 0; b < side(1); ++b) {
        float* at = slab + ((plane * times.size[0] + a) * lines + y + b) * width + x;
        if constexpr (kSide > 0) {
          Pack<kRead * kSide> run;
#pragma unroll
          for (int c = 0; c < kRead * kSide; ++c) run.at[c] = v.at[c / kSide];
          *reinterpret_cast<Pack<kRead * kSide>*>(at) = run;
        } else {
          static_assert(kRead == 1);
          for (int c = 0; c < side(2); ++c) at[c] = v.at[0];
        }
      }
  }
}

// Its cotangent is the sum of theirs.
template <int kSide>
__global__ void repeatedBackward(Extents times, MapView dyView, MapView dxView, const float* __restrict__ dy, float* __restrict__ dx,
                                 int dyNumbers, int numbers, int rows) {
  const auto side = [&](int axis) { return kSide ? kSide : times.size[axis]; };
  TRACIN_EACH_OF_ROWS(row, i, rows, numbers) {
    int channel, at[3];
    float sum = 0.f;
    if (dxView.locate(row, i, channel, at)) {
      const float* source = dy + int64_t(row) * dyNumbers;
      for (int a = 0; a < times.size[0]; ++a) {
        const int z = dyView.local(row, 0, at[0] * times.size[0] + a);
        for (int b = 0; b < side(1); ++b) {
          const int y = dyView.local(row, 1, at[1] * side(1) + b);
          for (int c = 0; c < side(2); ++c) {
            const int x = dyView.local(row, 2, at[2] * side(2) + c);
            sum += z >= 0 && y >= 0 && x >= 0 ? source[dyView.index(channel, z, y, x)] : 0.f;
          }
        }
      }
    }
    dx[int64_t(row) * numbers + i] = sum;
  }
}

class Resize final : public Operator {
 public:
  Resize(Workspace& w, const Operation& o)
      : Operator(w, o),
        from_(lastAxes(w.dims(o.inputs[0]), o.axes.size())),
        to_(lastAxes(w.dims(o.output), o.axes.size())),
        channels_(within(outFloats() / volume(to_))) {
    for (int a = 0; a < kAxes; ++a) {
      const int i = a - kAxes + static_cast<int>(o.axes.size());
      const AxisTaps axis = i < 0 ? AxisTaps{1, 1, 1, {0}, {1.f}} : o.axes[i];
      reads_.emplace_back(device(), axis, false);
      feeds_.emplace_back(device(), axis, true);
      times_.size[a] = repetitions(axis);
    }
    repeats_ = times_.size[0] && times_.size[1] && times_.size[2];
    doubles_ = repeats_ && times_.size[1] == 2 && times_.size[2] == 2;
  }

  void forward(int images) override { up(in(0).data, out(), repeats(images)); }

  // The transposed map: every input position gathers from the outputs that read it.
  void backward(Backward& b) override {
    deliver(b, 0, [&](Rows to) {
      const MapView dy(channels_, to_, *b.dy.window), dx(channels_, from_, *to.window);
      if (!repeats_) return apply(feeds_, dy, dx, b.dy.data, to.data, b.rows);
      const auto kernel = doubles_ ? repeatedBackward<2> : repeatedBackward<0>;
      kernel<<<gridOf(dx.numbers(), b.rows), kThreads, 0, stream()>>>(times_, dy, dx, b.dy.data, to.data, dy.numbers(), dx.numbers(),
                                                                      b.rows);
      launched();
    });
  }

  void tangent(int images) override { up(tangents(0).data, outTangent(), repeats(images)); }

 private:
  Extent from_, to_;
  int channels_;
  std::vector<Links> reads_, feeds_;
  Extents times_;           // what it repeats along each axis
  bool repeats_, doubles_;  // that is what it does; twice along both of the last axes

  void up(const float* from, float* to, int slices) {
    if (!repeats_) return apply(reads_, MapView(channels_, from_), MapView(channels_, to_), from, to, slices);
    const auto repeat = [&](auto kernel, int read) {
      const int reads = within(channels_ * volume(from_)) / read;
      kernel<<<gridOf(reads, slices), kThreads, 0, stream()>>>(times_, Divider(from_[1]), Divider(from_[2] / read), from, to, reads,
                                                               slices);
      launched();
    };
    if (!doubles_) return repeat(repeatKernel<0, 1>, 1);
    if (from_[2] % 2 == 0 && aligned<2>(from) && aligned<4>(to)) return repeat(repeatKernel<2, 2>, 2);
    repeat(repeatKernel<2, 1>, 1);
  }

  void apply(const std::vector<Links>& links, const MapView& fromView, const MapView& toView, const float* from, float* to, int rows) {
    LinksView map;
    for (int a = 0; a < kAxes; ++a)
      map.starts[a] = links[a].starts.as<int>(), map.positions[a] = links[a].positions.as<int>(),
      map.weights[a] = links[a].weights.floats();
    applyKernel<<<gridOf(toView.numbers(), rows), kThreads, 0, stream()>>>(map, fromView, toView, from, to, fromView.numbers(),
                                                                           toView.numbers(), rows);
    launched();
  }
};

}  // namespace

std::unique_ptr<Operator> resize(Workspace& w, const Operation& o) { return std::make_unique<Resize>(w, o); }

}  // namespace tracin::cuda
