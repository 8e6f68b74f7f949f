// Concat along any axis.
#include "../fold.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

// Part [outer, length] into [outer, total], from `start` on.
__global__ void placeKernel(Operand part, Divider length, int64_t total, int64_t start, int numbers, float* to, int64_t slice, int images) {
  TRACIN_EACH_OF_ROWS(image, i, images, numbers) {
    const unsigned run = length.quotient(i);
    to[image * slice + run * total + start + (i - run * length.divisor)] = part.data ? part.data[image * part.stride + i] : 0.f;
  }
}

struct Copied {
  const float* dy;
  int64_t dyRow;
  __device__ float operator()(int row, const Place& p) const { return dy[row * dyRow + p.dy]; }
};

class Concat final : public Operator {
 public:
  Concat(Workspace& w, const Operation& o) : Operator(w, o), axis_(static_cast<size_t>(o.number("axis"))) {
    for (size_t i = 0; i < o.inputs.size(); ++i) {
      starts_.push_back(start_);
      start_ += w.dims(o.inputs[i])[axis_];
    }
  }

  void forward(int images) override {
    place(images, out(), [&](int i) { return in(i); });
  }

  void backward(Backward& b) override {
    const auto& dims = work.dims(output);
    const auto strides = rowStrides(dims, *b.dy.window);
    for (int i = 0; i < parts(); ++i)
      deliver(b, i, [&](Rows to) {
        const auto& part = work.dims(input(i));
        if (axis_ == 0 && part.size() <= kAxes + 1) return channels(b, i, to);
        Plan plan;
        plan.dyCorners = b.dy.window->onDevice, plan.dxCorners = to.window->onDevice;
        for (size_t a = 0; a < dims.size(); ++a) {
          const Span dy = spanOf(dims, *b.dy.window, a), dx = spanOf(part, *to.window, a);
          Axis x;
          x.dim = within(part[a]), x.dySize = dy.size, x.dyCorner = dy.corner, x.dxSize = dx.size, x.dxCorner = dx.corner;
          x.dyStride = within(strides[a]), x.shift = a == axis_ ? within(starts_[i]) : 0;
          plan.keep(x);
        }
        fold(device(), plan, b.rows, Copied{b.dy.data, rowNumbers(dims, *b.dy.window)}, to.data);
      });
  }

  void tangent(int images) override {
    place(images, outTangent(), [&](int i) { return tangents(i); });
  }

 private:
  size_t axis_;
  int64_t start_ = 0;
  std::vector<int64_t> starts_;  // of the parts along the axis

  // A part that is some of the maps of each row.
  void channels(const Backward& b, int i, const Rows& to) {
    const auto& dims = work.dims(output);
    const Extent map = lastAxes(dims, dims.size() - 1);
    const auto sized = [&](Window w) {  // parameters' windows are whole whatever they are of
      if (w.whole) w.size = map;
      return w;
    };
    const Window dy = sized(*b.dy.window), dx = sized(*to.window);
    const int64_t plane = volume(dy.size);
    rewindow(device(), b.dy.data + starts_[i] * plane, dy, to.data, dx, b.rows, within(work.dims(input(i))[0]), map, dims[0] * plane);
  }

  int parts() const { return static_cast<int>(operation.inputs.size()); }

  template <class Numbers>
  void place(int images, float* to, Numbers numbers) {
    const int slices = repeats(images);
    const int64_t inner = count({work.dims(output).begin() + axis_ + 1, work.dims(output).end()});
    for (int i = 0; i < parts(); ++i) {
      const int n = within(work.floats(input(i)));
      placeKernel<<<gridOf(n, slices), kThreads, 0, stream()>>>(numbers(i), Divider(work.dims(input(i))[axis_] * inner),
                                                                work.dims(output)[axis_] * inner, starts_[i] * inner, n, to, outFloats(),
                                                                slices);
      launched();
    }
  }
};

}  // namespace

std::unique_ptr<Operator> concat(Workspace& w, const Operation& o) { return std::make_unique<Concat>(w, o); }

}  // namespace tracin::cuda
