// Softmax, or its logarithm, along any axis.
#include "../fold.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

// Along neighbouring numbers a warp takes a run, otherwise a thread: kLanes threads in step.
template <int kLanes>
__device__ double laneSum(double v) {
  for (int step = kLanes / 2; step > 0; step /= 2) v += __shfl_xor_sync(0xffffffffu, v, step);
  return v;
}
template <int kLanes>
__device__ float laneMax(float v) {
  for (int step = kLanes / 2; step > 0; step /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, step));
  return v;
}

// x as [runs / step][n][step]
template <int kLanes>
__global__ void softmaxKernel(const float* x, float* y, int64_t runs, int n, int64_t step, bool logarithm) {
  const int lane = threadIdx.x % kLanes;
  for (int64_t run = (blockIdx.x * int64_t(blockDim.x) + threadIdx.x) / kLanes; run < runs;
       run += int64_t(gridDim.x) * blockDim.x / kLanes) {
    const int64_t start = run / step * n * step + run % step;
    float top = -INFINITY;
    for (int i = lane; i < n; i += kLanes) top = fmaxf(top, x[start + i * step]);
    top = laneMax<kLanes>(top);
    double sum = 0;
    for (int i = lane; i < n; i += kLanes) sum += expf(x[start + i * step] - top);
    const float log = static_cast<float>(::log(laneSum<kLanes>(sum)));
    for (int i = lane; i < n; i += kLanes) {
      const float l = x[start + i * step] - top - log;
      y[start + i * step] = logarithm ? l : expf(l);
    }
  }
}

// The axis as the rows of both sides and the slices of y hold it.
struct Along {
  int dim, dxSize, dySize, dxStride, dyStride, yStride, dxCorner, dyCorner;
};

enum class Form { softmax, logarithm, logarithmTangent };

// Σ and result for each run along the axis:
// softmax y · (g − Σ y·g), both ways; its logarithm downwards g − eʸ · Σ g, upwards g − Σ eʸ·g. g is zero outside its window.
template <int kLanes>
__global__ void runsKernel(const __grid_constant__ Plan plan, Along along, Form form, const float* dy, int64_t dyRow, Operand y,
                           const int* images, float* dx, int64_t dxRow, int rows) {
  const int lane = threadIdx.x % kLanes;
  for (int row = blockIdx.y; row < rows; row += gridDim.y)
    for (unsigned run = (blockIdx.x * blockDim.x + threadIdx.x) / kLanes; run < static_cast<unsigned>(plan.numbers);
         run += gridDim.x * blockDim.x / kLanes) {
      const Place place = plan.at(row, run);
      const float *g = dy + row * dyRow + place.dy, *value = slice(y, sliceOf(images, row)) + place.a;
      float* to = dx + row * dxRow + place.dx;
      const int first = along.dyCorner < 0 ? 0 : plan.dyCorners[row * 3 + along.dyCorner];
      const int corner = along.dxCorner < 0 ? 0 : plan.dxCorners[row * 3 + along.dxCorner];
      double sum = 0;
      if (place.inside)
        for (int l = lane; l < along.dySize; l += kLanes) {
          const int p = l + first;
          if (p < 0 || p >= along.dim) continue;
          const float v = g[int64_t(l) * along.dyStride];
          sum += form == Form::logarithm
                     ? v
                     : v * (form == Form::softmax ? value[int64_t(p) * along.yStride] : expf(value[int64_t(p) * along.yStride]));
        }
      const float total = static_cast<float>(laneSum<kLanes>(sum));
      for (int q = lane; q < along.dxSize; q += kLanes) {
        const int p = q + corner, l = p - first;
        float result = 0.f;
        if (place.inside && p >= 0 && p < along.dim) {
          const float v = l >= 0 && l < along.dySize ? g[int64_t(l) * along.dyStride] : 0.f, at = value[int64_t(p) * along.yStride];
          result = form == Form::softmax ? at * (v - total) : form == Form::logarithm ? v - expf(at) * total : v - total;
        }
        to[int64_t(q) * along.dxStride] = result;
      }
    }
}

class Softmax final : public Operator {
 public:
  Softmax(Workspace& w, const Operation& o)
      : Operator(w, o), logarithm_(o.type == "LogSoftmax"), axis_(static_cast<size_t>(o.number("axis"))) {}

  void forward(int images) override {
    const auto& dims = work.dims(output);
    const int n = within(dims[axis_]);
    const int64_t step = count({dims.begin() + axis_ + 1, dims.end()}), runs = repeats(images) * outFloats() / n;
    if (step == 1)
      softmaxKernel<32><<<blocksFor(runs * 32), kThreads, 0, stream()>>>(in(0).data, out(), runs, n, step, logarithm_);
    else
      softmaxKernel<1><<<blocksFor(runs), kThreads, 0, stream()>>>(in(0).data, out(), runs, n, step, logarithm_);
    launched();
  }

  void backward(Backward& b) override {
    deliver(b, 0, [&](Rows to) { through(b.dy, to, b.images, b.rows, logarithm_ ? Form::logarithm : Form::softmax); });
  }

  void tangent(int images) override {
    const Window whole;
    through({const_cast<float*>(tangents(0).data), &whole}, {outTangent(), &whole}, nullptr, repeats(images),
            logarithm_ ? Form::logarithmTangent : Form::softmax);
  }

 private:
  bool logarithm_;
  size_t axis_;

  void through(const Rows& from, const Rows& to, const int* images, int rows, Form form) {
    const auto& dims = work.dims(output);
    const Window whole;
    const auto dyStrides = rowStrides(dims, *from.window), dxStrides = rowStrides(dims, *to.window), strides = rowStrides(dims, whole);
    Plan plan;
    plan.dyCorners = from.window->onDevice, plan.dxCorners = to.window->onDevice;
    Along along{};
    for (size_t a = 0; a < dims.size(); ++a) {
      const Span dy = spanOf(dims, *from.window, a), dx = spanOf(dims, *to.window, a);
      Axis x;
      x.dim = within(dims[a]), x.dySize = dy.size, x.dyCorner = dy.corner, x.dxSize = dx.size, x.dxCorner = dx.corner;
      x.dyStride = within(dyStrides[a]), x.dxStride = within(dxStrides[a]), x.stride[0] = within(strides[a]);
      if (a == axis_)
        along = {x.dim, x.dxSize, x.dySize, x.dxStride, x.dyStride, x.stride[0], x.dxCorner, x.dyCorner};
      else
        plan.keep(x);
    }
    const auto launch = [&](auto kernel, int lanes) {
      const dim3 grid(blocksFor(int64_t(plan.numbers) * lanes), static_cast<unsigned>(std::min(rows, 65535)));
      kernel<<<grid, kThreads, 0, stream()>>>(plan, along, form, from.data, rowNumbers(dims, *from.window), work.numbers(output), images,
                                              to.data, rowNumbers(dims, *to.window), rows);
      launched();
    };
    if (along.yStride == 1)
      launch(runsKernel<32>, 32);
    else
      launch(runsKernel<1>, 1);
  }
};

}  // namespace

std::unique_ptr<Operator> softmax(Workspace& w, const Operation& o) { return std::make_unique<Softmax>(w, o); }

}  // namespace tracin::cuda
