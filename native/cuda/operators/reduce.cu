// Reduce: sums, means and largest numbers over any axes. GlobalAveragePool is the mean over the axes after the first.
#include "../fold.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

struct Number {
  Operand x;
  __device__ float operator()(int image, const Place& p) const { return slice(x, image)[p.dy]; }
};

struct Spreading {
  const float* dy;
  float* dx;
  int64_t dyRow, dxRow;
  float factor;
  __device__ void operator()(int row, unsigned i, const int (&at)[1]) const { dx[row * dxRow + i] = dy[row * dyRow + at[0]] * factor; }
};

// For each result of each row its first largest number: a warp looks for it. Then visit(row, result, place of that number).
template <class Visit>
__global__ void largestKernel(const __grid_constant__ Plan plan, Operand x, const int* images, int rows, Visit visit) {
  const int lane = threadIdx.x % 32;
  for (int row = blockIdx.y; row < rows; row += gridDim.y) {
    const float* from = slice(x, sliceOf(images, row));
    for (unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) / 32; i < static_cast<unsigned>(plan.numbers);
         i += gridDim.x * blockDim.x / 32) {
      const Place place = plan.at(row, i);
      int best = INT32_MAX;
      float top = -INFINITY;
      for (int t = lane; t < plan.terms; t += 32) {
        const float v = from[plan.term(place, row, t).dy];
        if (best == INT32_MAX || v > top) top = v, best = t;
      }
      for (int step = 16; step > 0; step /= 2) {
        const float v = __shfl_xor_sync(0xffffffffu, top, step);
        const int t = __shfl_xor_sync(0xffffffffu, best, step);
        if (v > top || (v == top && t < best)) top = v, best = t;
      }
      if (lane == 0) visit(row, i, plan.term(place, row, best == INT32_MAX ? 0 : best).dy);
    }
  }
}

// The number there, of the maps themselves or of their tangents.
struct Take {
  Operand from;
  float* to;
  int64_t n;
  __device__ void operator()(int row, unsigned i, int place) const { to[row * n + i] = slice(from, row)[place]; }
};

struct Send {
  const float* dy;
  float* dx;
  int64_t dyRow, dxRow;
  __device__ void operator()(int row, unsigned i, int place) const { dx[row * dxRow + place] = dy[row * dyRow + i]; }
};

class Reduce final : public Operator {
 public:
  Reduce(Workspace& w, const Operation& o, const std::string& kind, const std::vector<int>& axes)
      : Operator(w, o),
        maximum_(kind == "max"),
        kept_(kept(w.dims(o.inputs[0]), axes)),
        spread_(w.dims(o.inputs[0]), {kept_}),
        plan_(planOf(w.dims(o.inputs[0]), Window{}, kept_, Window{}, {}, {})),
        factor_(kind == "mean" ? 1. / plan_.terms : 1.) {}

  void forward(int images) override { up(in(0), out(), repeats(images)); }

  void backward(Backward& b) override {
    Pool::Piece room;
    const int64_t n = outFloats(), m = work.floats(input(0));
    deliverWhole(b, 0, [&](float* to) {
      const float* dy = wholeDy(b, room);
      if (!maximum_) return spreadOver<1>(device(), spread_, b.rows, Spreading{dy, to, n, m, static_cast<float>(factor_)});
      device().zero(to, b.rows * m * int64_t(sizeof(float)));
      largest(b.images, b.rows, Send{dy, to, n, m});
    });
  }

  void tangent(int images) override { up(tangents(0), outTangent(), repeats(images)); }

 private:
  bool maximum_;
  std::vector<int64_t> kept_;  // the input's dims, 1 where reduced
  Spread spread_;
  Plan plan_;
  double factor_;

  static std::vector<int64_t> kept(std::vector<int64_t> dims, const std::vector<int>& axes) {
    for (int a : axes) dims[a] = 1;
    return dims;
  }

  void up(const Operand& from, float* to, int slices) {
    if (maximum_)
      largest(nullptr, slices, Take{from, to, outFloats()});
    else
      fold(device(), plan_, slices, Number{from}, to, factor_);
  }

  template <class Visit>
  void largest(const int* images, int rows, Visit visit) {
    const dim3 grid(blocksFor(int64_t(plan_.numbers) * 32), static_cast<unsigned>(std::min(rows, 65535)));
    largestKernel<<<grid, kThreads, 0, stream()>>>(plan_, in(0), images, rows, visit);
    launched();
  }
};

}  // namespace

std::unique_ptr<Operator> reduce(Workspace& w, const Operation& o) {
  if (o.type == "Reduce") return std::make_unique<Reduce>(w, o, o.word("kind"), o.integers("axes"));
  std::vector<int> axes;
  for (size_t a = 1; a < w.dims(o.inputs[0]).size(); ++a) axes.push_back(static_cast<int>(a));
  return std::make_unique<Reduce>(w, o, "mean", axes);
}

}  // namespace tracin::cuda
