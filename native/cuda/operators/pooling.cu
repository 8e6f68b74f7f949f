// MaxPool and AveragePool over one to three axes.
#include "../places.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

struct Sliding {
  int kernel[3], strides[3], before[3], dilations[3];
  Divider by[3];  // the strides

  // Windows of neighbours do not overlap and leave no gaps.
  bool tiles() const {
    for (int a = 0; a < 3; ++a)
      if (kernel[a] != strides[a] || (kernel[a] > 1 && dilations[a] != 1)) return false;
    return true;
  }
  // What the loops over a window's lines and columns run to: kSide, where that is known, and then they are unrolled.
  template <int kSide>
  __device__ int side(int axis) const {
    return kSide ? kSide : kernel[axis];
  }

  // visit(index within x's map, which of the window's) for every position of the window of result `at` that lies on the map, in
  // row-major order
  template <int kSide = 0, class Visit>
  __device__ void each(const int (&at)[3], const int (&map)[3], Visit visit) const {
    for (int i = 0; i < kernel[0]; ++i) {
      const int z = at[0] * strides[0] - before[0] + i * dilations[0];
      if (z < 0 || z >= map[0]) continue;
      for (int j = 0; j < side<kSide>(1); ++j) {
        const int y = at[1] * strides[1] - before[1] + j * dilations[1];
        if (y < 0 || y >= map[1]) continue;
        for (int k = 0; k < side<kSide>(2); ++k) {
          const int x = at[2] * strides[2] - before[2] + k * dilations[2];
          const int which = (i * side<kSide>(1) + j) * side<kSide>(2) + k;
          if (x >= 0 && x < map[2] && !visit((z * map[1] + y) * map[2] + x, which)) return;
        }
      }
    }
  }

  // The results whose windows span position p; with dilation not all of them read it.
  struct Span {
    int first, last;
  };
  __device__ Span span(int axis, int p) const {
    const int t = p + before[axis], reach = t - (kernel[axis] - 1) * dilations[axis];
    const auto quotient = [&](int n) { return static_cast<int>(by[axis].quotient(n)); };
    return {reach <= 0 ? 0 : quotient(reach + strides[axis] - 1), quotient(t)};
  }
  __device__ bool reads(int axis, int result, int p) const {
    return dilations[axis] == 1 || (p + before[axis] - result * strides[axis]) % dilations[axis] == 0;
  }

  // visit(place of the result in dy's window, place of the result) for every result in the window that reads position p
  template <class Visit>
  __device__ void readers(const MapView& dy, int row, int channel, const int (&p)[3], Visit visit) const {
    const Span zs = span(0, p[0]), ys = span(1, p[1]), xs = span(2, p[2]);
    for (int z = zs.first; z <= zs.last; ++z) {
      const int lz = dy.local(row, 0, z);
      if (lz < 0 || !reads(0, z, p[0])) continue;
      for (int y = ys.first; y <= ys.last; ++y) {
        const int ly = dy.local(row, 1, y);
        if (ly < 0 || !reads(1, y, p[1])) continue;
        for (int x = xs.first; x <= xs.last; ++x) {
          const int lx = dy.local(row, 2, x);
          if (lx < 0 || !reads(2, x, p[2])) continue;
          const int at[3] = {z, y, x};
          visit(dy.index(channel, lz, ly, lx), at);
        }
      }
    }
  }
};

// A window's first largest number. A NaN stays where it comes first, and is passed over elsewhere.
struct Largest {
  float top = -INFINITY;
  int place = -1, which = -1;  // within the map and within the window; −1: none of it lies on the map

  template <int kSide = 0>
  static __device__ Largest of(const Sliding& s, const int (&at)[3], const int (&extent)[3], const float* map) {
    Largest l;
    s.each<kSide>(at, extent, [&](int index, int which) {
      const float v = map[index];
      if (l.place < 0 || v > l.top) l.top = v, l.place = index, l.which = which;
      return true;
    });
    return l;
  }
};

// Of x the largest number of each window; or, with tangents, what stands in t where x's first largest does.
__global__ void largestKernel(MapView out, MapView in, Sliding s, const float* x, const float* t, float* y, int images) {
  const int n = out.channels * out.extent[0] * out.extent[1] * out.extent[2], m = in.extent[0] * in.extent[1] * in.extent[2];
  TRACIN_EACH_OF_ROWS(image, i, images, n) {
    int channel, at[3];
    out.locate(image, i, channel, at);
    const int64_t map = (int64_t(image) * in.channels + channel) * m;
    const Largest l = Largest::of(s, at, in.extent, x + map);
    y[int64_t(image) * n + i] = t ? (l.place < 0 ? 0.f : t[map + l.place]) : l.top;
  }
}

// A position gets the cotangents of the windows whose first largest number it holds.
__global__ void largestBackward(MapView dyView, MapView dxView, Sliding s, const float* dy, const float* x, const float* y,
                                const int* images, float* dx, int numbers, int dyNumbers, int rows) {
  const int n = dyView.extent[0] * dyView.extent[1] * dyView.extent[2], m = dxView.extent[0] * dxView.extent[1] * dxView.extent[2];
  TRACIN_EACH_OF_ROWS(row, i, rows, numbers) {
    int channel, p[3];
    float sum = 0.f;
    if (dxView.locate(row, i, channel, p)) {
      const int64_t line = int64_t(sliceOf(images, row)) * dxView.channels + channel;
      const float *map = x + line * m, *tops = y + line * n, *g = dy + int64_t(row) * dyNumbers;
      const int here = (p[0] * dxView.extent[1] + p[1]) * dxView.extent[2] + p[2];
      const float v = map[here];
      s.readers(dyView, row, channel, p, [&](int index, const int(&at)[3]) {
        if (v != tops[(at[0] * dyView.extent[1] + at[1]) * dyView.extent[2] + at[2]]) return;
        bool first = true;
        s.each(at, dxView.extent, [&](int other, int) {
          if (other >= here) return false;
          first = map[other] != v;
          return first;
        });
        if (first) sum += g[index];
      });
    }
    dx[int64_t(row) * numbers + i] = sum;
  }
}

// The same where windows tile the map: a thread takes one of them, reads its numbers once and writes all that lie in dx's window.
// tiles: as many windows along each axis as one of dx can touch; count: all of a row's.
template <int kSide>
__global__ void largestBackwardByTiles(MapView dyView, MapView dxView, MapView tiles, Sliding s, const float* __restrict__ dy,
                                       const float* __restrict__ x, const int* images, float* __restrict__ dx, int numbers, int dyNumbers,
                                       int count, int rows) {
  const int m = dxView.extent[0] * dxView.extent[1] * dxView.extent[2];
  TRACIN_EACH_OF_ROWS(row, i, rows, count) {
    int channel, at[3], local[3], from[3];
    tiles.locate(row, i, channel, at);
    for (int a = 0; a < 3; ++a) {
      const int corner = dxView.corner(row, a);
      at[a] += s.by[a].quotient(corner + s.before[a]);
      local[a] = dyView.local(row, a, at[a]);
      from[a] = at[a] * s.strides[a] - s.before[a] - corner;
    }
    float g = 0.f;
    int which = -1;
    if (local[0] >= 0 && local[1] >= 0 && local[2] >= 0) {
      g = dy[int64_t(row) * dyNumbers + dyView.index(channel, local[0], local[1], local[2])];
      const float* map = x + (int64_t(sliceOf(images, row)) * dxView.channels + channel) * m;
      const Largest l = Largest::of<kSide>(s, at, dxView.extent, map);
      if (l.top == l.top) which = l.which;
    }
    const auto size = [&](int axis) { return static_cast<int>(dxView.size[axis].divisor); };
    for (int a = 0; a < s.kernel[0]; ++a) {
      const int z = from[0] + a;
      if (z < 0 || z >= size(0)) continue;
      for (int b = 0; b < s.side<kSide>(1); ++b) {
        const int y = from[1] + b, own = (a * s.side<kSide>(1) + b) * s.side<kSide>(2);
        if (y < 0 || y >= size(1)) continue;
        float* line = dx + int64_t(row) * numbers + dxView.index(channel, z, y, 0);
        if (kSide == 2 && from[2] >= 0 && from[2] + 1 < size(2) && aligned<2>(line + from[2])) {
          *reinterpret_cast<Pack<2>*>(line + from[2]) = {which == own ? g : 0.f, which == own + 1 ? g : 0.f};
          continue;
        }
        for (int c = 0; c < s.side<kSide>(2); ++c)
          if (from[2] + c >= 0 && from[2] + c < size(2)) line[from[2] + c] = which == own + c ? g : 0.f;
      }
    }
  }
}

// Numbers that a result's window counts along each axis.
struct Counts {
  const int* list;
  int starts[3];
  __device__ float weight(const int (&at)[3]) const {
    return 1.f / (list[starts[0] + at[0]] * list[starts[1] + at[1]] * list[starts[2] + at[2]]);
  }
};

__global__ void averageKernel(MapView out, MapView in, Sliding s, Counts counts, const float* x, float* y, int images) {
  const int n = out.channels * out.extent[0] * out.extent[1] * out.extent[2], m = in.extent[0] * in.extent[1] * in.extent[2];
  TRACIN_EACH_OF_ROWS(image, i, images, n) {
    int channel, at[3];
    out.locate(image, i, channel, at);
    const float* map = x + (int64_t(image) * in.channels + channel) * m;
    float sum = 0.f;
    s.each(at, in.extent, [&](int index, int) {
      sum += map[index];
      return true;
    });
    y[int64_t(image) * n + i] = sum * counts.weight(at);
  }
}

__global__ void averageBackward(MapView dyView, MapView dxView, Sliding s, Counts counts, const float* dy, float* dx, int numbers,
                                int dyNumbers, int rows) {
  TRACIN_EACH_OF_ROWS(row, i, rows, numbers) {
    int channel, p[3];
    float sum = 0.f;
    if (dxView.locate(row, i, channel, p))
      s.readers(dyView, row, channel, p,
                [&](int index, const int(&at)[3]) { sum += dy[int64_t(row) * dyNumbers + index] * counts.weight(at); });
    dx[int64_t(row) * numbers + i] = sum;
  }
}

class Pooling : public Operator {
 public:
  Pooling(Workspace& w, const Operation& o) : Operator(w, o) {
    const size_t axes = o.integers("kernel").size();
    from_ = lastAxes(w.dims(o.inputs[0]), axes), to_ = lastAxes(w.dims(o.output), axes);
    channels_ = within(outFloats() / volume(to_));
    const Extent kernel = widen(o.integers("kernel"), 1), strides = widen(o.integers("strides"), 1),
                 before = widen(o.integers("before"), 0), dilations = widen(o.integers("dilations"), 1);
    for (int a = 0; a < kAxes; ++a)
      sliding_.kernel[a] = kernel[a], sliding_.strides[a] = strides[a], sliding_.before[a] = before[a],
      sliding_.dilations[a] = dilations[a], sliding_.by[a] = Divider(strides[a]);
    within(channels_ * volume(from_));
  }

 protected:
  Extent from_, to_;
  int channels_;
  Sliding sliding_;
};

class MaxPool final : public Pooling {
 public:
  using Pooling::Pooling;

  void forward(int images) override { up(nullptr, out(), images); }

  void backward(Backward& b) override {
    deliver(b, 0, [&](Rows to) {
      const MapView dy(channels_, to_, *b.dy.window), dx(channels_, from_, *to.window);
      if (sliding_.tiles()) return byTiles(b, dy, dx, to.data);
      largestBackward<<<gridOf(dx.numbers(), b.rows), kThreads, 0, stream()>>>(dy, dx, sliding_, b.dy.data, in(0).data, out(), b.images,
                                                                               to.data, dx.numbers(), dy.numbers(), b.rows);
      launched();
    });
  }

  void tangent(int images) override { up(tangents(0).data, outTangent(), images); }

 private:
  void byTiles(const Backward& b, const MapView& dy, const MapView& dx, float* to) {
    Extent touched;
    for (int a = 0; a < kAxes; ++a) {
      const int size = dx.size[a].divisor, k = sliding_.kernel[a], before = sliding_.before[a];
      touched[a] = dx.corners ? (size + k - 2) / k + 1 : (size - 1 + before) / k - before / k + 1;
    }
    const MapView tiles(channels_, touched);
    const bool two = sliding_.kernel[1] == 2 && sliding_.kernel[2] == 2;
    const auto kernel = two ? largestBackwardByTiles<2> : largestBackwardByTiles<0>;
    kernel<<<gridOf(tiles.numbers(), b.rows), kThreads, 0, stream()>>>(dy, dx, tiles, sliding_, b.dy.data, in(0).data, b.images, to,
                                                                       dx.numbers(), dy.numbers(), tiles.numbers(), b.rows);
    launched();
  }

  void up(const float* tangents, float* to, int images) {
    largestKernel<<<gridOf(outFloats(), repeats(images)), kThreads, 0, stream()>>>(MapView(channels_, to_), MapView(channels_, from_),
                                                                                   sliding_, in(0).data, tangents, to, repeats(images));
    launched();
  }
};

class AveragePool final : public Pooling {
 public:
  AveragePool(Workspace& w, const Operation& o) : Pooling(w, o) {
    // Padding counts up to the padded map's end, never what a rounded-up size adds beyond it.
    const bool padding = o.number("countIncludePad") != 0;
    const Extent after = widen(o.integers("after"), 0);
    std::vector<int> list;
    for (int a = 0; a < kAxes; ++a) {
      starts_[a] = static_cast<int>(list.size());
      for (int at = 0; at < to_[a]; ++at) {
        int inside = 0;
        for (int k = 0; k < sliding_.kernel[a]; ++k) {
          const int p = at * sliding_.strides[a] - sliding_.before[a] + k * sliding_.dilations[a];
          inside += padding ? p < from_[a] + after[a] : p >= 0 && p < from_[a];
        }
        list.push_back(inside);
      }
    }
    counts_ = resident(device(), list);
  }

  void forward(int images) override { up(in(0).data, out(), images); }

  void backward(Backward& b) override {
    deliver(b, 0, [&](Rows to) {
      const MapView dy(channels_, to_, *b.dy.window), dx(channels_, from_, *to.window);
      averageBackward<<<gridOf(dx.numbers(), b.rows), kThreads, 0, stream()>>>(dy, dx, sliding_, counts(), b.dy.data, to.data, dx.numbers(),
                                                                               dy.numbers(), b.rows);
      launched();
    });
  }

  void tangent(int images) override { up(tangents(0).data, outTangent(), images); }

 private:
  Buffer counts_;
  int starts_[3];

  Counts counts() const { return {counts_.as<int>(), {starts_[0], starts_[1], starts_[2]}}; }

  void up(const float* from, float* to, int images) {
    averageKernel<<<gridOf(outFloats(), repeats(images)), kThreads, 0, stream()>>>(MapView(channels_, to_), MapView(channels_, from_),
                                                                                   sliding_, counts(), from, to, repeats(images));
    launched();
  }
};

}  // namespace

std::unique_ptr<Operator> maxPool(Workspace& w, const Operation& o) { return std::make_unique<MaxPool>(w, o); }
std::unique_ptr<Operator> averagePool(Workspace& w, const Operation& o) { return std::make_unique<AveragePool>(w, o); }

}  // namespace tracin::cuda
