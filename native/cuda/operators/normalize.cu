// Normalize: rows of numbers made (x − mean) / √(variance + ε). Instance, group and layer normalisation without their scale and shift.
#include "../places.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

// A block takes a group; x as [groups, n]
__global__ void normalizeKernel(const float* x, float* y, float* inverses, int64_t groups, int64_t n, double epsilon) {
  __shared__ double shared[32];
  for (int64_t g = blockIdx.x; g < groups; g += gridDim.x) {
    const float* from = x + g * n;
    double sum = 0, square = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += from[i];
    const double mean = blockSum(sum, shared) / n;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) square += (from[i] - mean) * (from[i] - mean);
    const double inverse = 1. / sqrt(blockSum(square, shared) / n + epsilon);
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) y[g * n + i] = static_cast<float>((from[i] - mean) * inverse);
    if (threadIdx.x == 0) inverses[g] = static_cast<float>(inverse);
  }
}

// to = (g − mean(g) − y · mean(g·y)) / σ, which is its own transpose: downwards and forwards
__global__ void slopeKernel(const float* g, Operand y, Operand inverses, const int* images, float* to, int64_t rows, int64_t groups,
                            int64_t n) {
  __shared__ double shared[32];
  for (int64_t at = blockIdx.x; at < rows * groups; at += gridDim.x) {
    const int image = sliceOf(images, static_cast<int>(at / groups));
    const int64_t group = at % groups;
    const float *from = g + at * n, *normal = slice(y, image) + group * n;
    double sum = 0, weighted = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += from[i], weighted += double(from[i]) * normal[i];
    const float mean = static_cast<float>(blockSum(sum, shared) / n), slope = static_cast<float>(blockSum(weighted, shared) / n);
    const float inverse = slice(inverses, image)[group];
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) to[at * n + i] = (from[i] - mean - normal[i] * slope) * inverse;
  }
}

class Normalize final : public Operator {
 public:
  Normalize(Workspace& w, const Operation& o)
      : Operator(w, o), groups_(static_cast<int64_t>(o.number("groups"))), n_(outFloats() / groups_), epsilon_(o.number("epsilon")) {
    while (threads_ < 1024 && threads_ * 4 < n_) threads_ *= 2;
  }

  void forward(int images) override {
    const int64_t groups = repeats(images) * groups_, bytes = groups * int64_t(sizeof(float));
    if (inverses_.bytes() < bytes) inverses_ = Buffer(bytes);
    normalizeKernel<<<blocks(groups), threads_, 0, stream()>>>(in(0).data, out(), inverses_.floats(), groups, n_, epsilon_);
    launched();
  }

  void backward(Backward& b) override {
    Pool::Piece room;
    deliverWhole(b, 0, [&](float* to) { slope(wholeDy(b, room), b.images, to, b.rows); });
  }

  void tangent(int images) override { slope(tangents(0).data, nullptr, outTangent(), repeats(images)); }

 private:
  int64_t groups_, n_;
  double epsilon_;
  int threads_ = 32;
  Buffer inverses_;  // 1/σ by slice and group, of the last forward

  static unsigned blocks(int64_t groups) { return static_cast<unsigned>(std::min<int64_t>(groups, 1 << 20)); }

  void slope(const float* g, const int* images, float* to, int rows) {
    const Operand inverses{inverses_.floats(), tensor(output).batched ? groups_ : 0};
    slopeKernel<<<blocks(rows * groups_), threads_, 0, stream()>>>(g, work.numbers(output), inverses, images, to, rows, groups_, n_);
    launched();
  }
};

}  // namespace

std::unique_ptr<Operator> normalize(Workspace& w, const Operation& o) { return std::make_unique<Normalize>(w, o); }

}  // namespace tracin::cuda
