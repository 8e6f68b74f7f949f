// BatchNormalization: by its running statistics (influence, prediction) or by the batch's own (training, ONNX semantics:
// population variance, running ← momentum · running + (1 − momentum) · batch).
#include "../kernels.cuh"
#include "operators.h"

namespace tracin::cuda {

namespace {

enum Input { kX, kScale, kShift, kMean, kVariance };

// What a channel is normalised by: mean and 1/σ.
struct Moments {
  const float *mean, *inverse;
};

__global__ void inverseKernel(const float* variance, float epsilon, int channels, float* inverse) {
  TRACIN_EACH(c, channels) inverse[c] = 1.f / sqrtf(variance[c] + epsilon);
}

// (x − mean) · scale/σ + shift, d being x − mean: rounded alike wherever its sign is asked for.
__device__ inline float normalised(float d, float factor, float offset) { return __fmaf_rn(d, factor, offset); }

// y = leaky(normalised x), planes [images][channels]
__global__ void forwardKernel(const float* x, Moments m, const float* scale, const float* shift, int channels, int64_t positions,
                              float slope, float* y) {
  const int c = blockIdx.x % channels;
  const float mean = m.mean[c], factor = scale[c] * m.inverse[c], offset = shift[c];
  const int64_t start = blockIdx.x * positions;
  eachReadOfPlane(
      positions, [&](unsigned i) { return x[start + i]; },
      [&](unsigned i, float at) {
        const float v = normalised(at - mean, factor, offset);
        y[start + i] = v > 0.f ? v : v * slope;
      });
}

// ẏ = (y > 0 ? 1 : slope) · (ẋ · scale/σ + x̂ · scalė + shifṫ)
__global__ void tangentKernel(const float* x, const float* xDot, Moments m, const float* scale, const float* scaleDot,
                              const float* shiftDot, const float* y, int channels, int64_t positions, float slope, float* to) {
  const int c = blockIdx.x % channels;
  const float mean = m.mean[c], inverse = m.inverse[c], factor = scale[c] * inverse;
  const int64_t start = blockIdx.x * positions;
  TRACIN_EACH_OF_PLANE(i, positions) {
    float v = xDot ? xDot[start + i] * factor : 0.f;
    if (scaleDot) v += (x[start + i] - mean) * inverse * scaleDot[c];
    if (shiftDot) v += shiftDot[c];
    to[start + i] = y[start + i] > 0.f ? v : v * slope;
  }
}

// One block a (row, channel): g = dy through the Relu; sums of g and g·x̂; and, with running statistics, dx = scale/σ · g.
// Positions are those of `window`; dy is zero outside its own. `masked`: where g goes when dx has to wait for the sums.
__global__ void backwardKernel(const float* dy, WindowView source, WindowView window, const float* x, const int* images, MapSize map,
                               Moments m, const float* scale, const float* shift, int channels, float slope, float* scaleSums,
                               float* shiftSums, float* dx, float* masked) {
  __shared__ double shared[32];
  struct Pair {
    float g, d;  // dy and x − mean
  };
  const int row = blockIdx.x / channels, c = blockIdx.x % channels;
  const float mean = m.mean[c], inverse = m.inverse[c], factor = scale[c] * inverse, offset = shift[c];
  const float *g = dy + int64_t(blockIdx.x) * source.volume(), *on = x + (int64_t(images[row]) * channels + c) * map.volume();
  const int n = window.volume();
  const int64_t start = int64_t(blockIdx.x) * n;
  const bool whole = !source.corners && !window.corners;
  int corner[3], apart[3];
  for (int a = 0; a < 3; ++a) corner[a] = window.corner(row, a), apart[a] = corner[a] - source.corner(row, a);
  double sum = 0, weighted = 0;
  const auto read = [&](unsigned i) {
    if (whole) return Pair{g[i], on[i] - mean};
    int p[3];
    window.locate(i, p);
    const int z = p[0] + apart[0], y = p[1] + apart[1], x = p[2] + apart[2];
    if (x < 0 || x >= source.size[2] || y < 0 || y >= source.size[1] || z < 0 || z >= source.size[0]) return Pair{0.f, 0.f};
    return Pair{g[(z * source.size[1] + y) * source.size[2] + x],
                on[((p[0] + corner[0]) * map.size[1] + p[1] + corner[1]) * map.size[2] + p[2] + corner[2]] - mean};
  };
  eachRead(threadIdx.x, n, blockDim.x, read, [&](unsigned i, Pair at) {
    const float v = slope != 1.f && normalised(at.d, factor, offset) <= 0.f ? at.g * slope : at.g;
    sum += v;
    weighted += v * at.d;
    if (dx) dx[start + i] = factor * v;
    if (masked) masked[start + i] = v;
  });
  sum = blockSum(sum, shared);
  weighted = blockSum(weighted, shared);
  if (threadIdx.x > 0) return;
  shiftSums[blockIdx.x] = static_cast<float>(sum);
  scaleSums[blockIdx.x] = static_cast<float>(weighted * inverse);
}

// Batch statistics of a channel over all images, two passes in double; the running ones follow.
__global__ void statisticsKernel(const float* x, int images, int channels, int64_t positions, double epsilon, double momentum, float* mean,
                                 float* inverse, float* runningMean, float* runningVariance) {
  __shared__ double shared[32];
  const int c = blockIdx.x;
  const double n = double(images) * positions;
  const auto total = [&](auto term) {
    double sum = 0;
    for (int image = 0; image < images; ++image) {
      const float* plane = x + (int64_t(image) * channels + c) * positions;
      for (int64_t i = threadIdx.x; i < positions; i += blockDim.x) sum += term(plane[i]);
    }
    return blockSum(sum, shared);
  };
  const double average = total([](float v) { return double(v); }) / n;
  const double variance = total([&](float v) { return (v - average) * (v - average); }) / n;
  if (threadIdx.x > 0) return;
  mean[c] = static_cast<float>(average);
  inverse[c] = static_cast<float>(1. / sqrt(variance + epsilon));
  runningMean[c] = static_cast<float>(momentum * runningMean[c] + (1 - momentum) * average);
  runningVariance[c] = static_cast<float>(momentum * runningVariance[c] + (1 - momentum) * variance);
}

// Through the batch's statistics: dx = γ/σ · (g − mean(g) − x̂ · mean(g·x̂)), sums over all rows given.
__global__ void throughStatisticsKernel(const float* g, const float* x, Moments m, const float* scale, const float* scaleSum,
                                        const float* shiftSum, int channels, int64_t positions, double n, float* dx) {
  const int c = blockIdx.x % channels;
  const float mean = m.mean[c], inverse = m.inverse[c], factor = scale[c] * inverse;
  const float offset = static_cast<float>(shiftSum[c] / n), tilt = static_cast<float>(scaleSum[c] / n);
  const int64_t start = blockIdx.x * positions;
  TRACIN_EACH_OF_PLANE(i, positions)
  dx[start + i] = factor * (g[start + i] - offset - (x[start + i] - mean) * inverse * tilt);
}

class BatchNormalization final : public Operator {
 public:
  BatchNormalization(Workspace& w, const Operation& o)
      : Operator(w, o),
        epsilon_(o.number("epsilon")),
        momentum_(o.number("momentum")),
        channels_(static_cast<int>(w.dims(o.output)[0])),
        mean_(channels_ * sizeof(float)),
        inverse_(channels_ * sizeof(float)) {}

  bool fuse(float slope, int value) override {
    if (slope < 0.f) return false;
    slope_ = slope, output = value;
    return true;
  }

  void forward(int images) override {
    if (work.training) {
      statisticsKernel<<<channels_, 512, 0, stream()>>>(in(kX).data, images, channels_, positions(), epsilon_, momentum_, mean_.floats(),
                                                        inverse_.floats(), work.stored[input(kMean)].floats(),
                                                        work.stored[input(kVariance)].floats());
      launched();
    } else {
      inverseKernel<<<blocksFor(channels_), kThreads, 0, stream()>>>(work.stored[input(kVariance)].floats(), static_cast<float>(epsilon_),
                                                                     channels_, inverse_.floats());
      launched();
    }
    forwardKernel<<<planes(images), kThreads, 0, stream()>>>(in(kX).data, moments(), in(kScale).data, in(kShift).data, channels_,
                                                             positions(), slope_, out());
    launched();
  }

  void tangent(int images) override {
    tangentKernel<<<planes(images), kThreads, 0, stream()>>>(in(kX).data, tangents(kX).data, moments(), in(kScale).data,
                                                             tangents(kScale).data, tangents(kShift).data, out(), channels_, positions(),
                                                             slope_, outTangent());
    launched();
  }

  void backward(Backward& b) override {
    const bool through = work.training && b.dx[kX];
    const Window& window = b.dx[kX] ? *b.dx[kX].window : *b.dy.window;
    const int64_t n = int64_t(b.rows) * channels_;
    Pool::Piece scaleSums = device().pool.takeFloats(n), shiftSums = device().pool.takeFloats(n);
    Pool::Piece masked;
    if (through) masked = device().pool.takeFloats(n * positions());
    backwardKernel<<<n, threadsFor(volume(window.size)), 0, stream()>>>(
        b.dy.data, *b.dy.window, window, in(kX).data, b.images, MapSize(tensor(output).extent()), moments(), in(kScale).data,
        in(kShift).data, channels_, slope_, scaleSums.floats(), shiftSums.floats(), through ? nullptr : b.dx[kX].data, masked.floats());
    launched();
    const auto give = [&](int i, const Pool::Piece& sums) {
      if (!b.gradient[i]) return;
      if (b.summed)
        sumRows(device(), sums.floats(), b.rows, channels_, b.gradient[i]);
      else
        check(cudaMemcpyAsync(b.gradient[i], sums.floats(), n * sizeof(float), cudaMemcpyDeviceToDevice, stream()), "copy of sums");
    };
    give(kScale, scaleSums);
    give(kShift, shiftSums);
    if (!through) return;
    Pool::Piece scaleSum = device().pool.takeFloats(channels_), shiftSum = device().pool.takeFloats(channels_);
    sumRows(device(), scaleSums.floats(), b.rows, channels_, scaleSum.floats());
    sumRows(device(), shiftSums.floats(), b.rows, channels_, shiftSum.floats());
    throughStatisticsKernel<<<planes(b.rows), kThreads, 0, stream()>>>(masked.floats(), in(kX).data, moments(), in(kScale).data,
                                                                       scaleSum.floats(), shiftSum.floats(), channels_, positions(),
                                                                       double(b.rows) * positions(), b.dx[kX].data);
    launched();
  }

 private:
  double epsilon_, momentum_;
  int channels_;
  float slope_ = 1.f;
  Buffer mean_, inverse_;  // the batch's mean (training), 1/σ

  int64_t positions() const { return volume(tensor(output).extent()); }
  Moments moments() const { return {work.training ? mean_.floats() : work.stored[input(kMean)].floats(), inverse_.floats()}; }
  dim3 planes(int images) const {
    return {static_cast<unsigned>(images * channels_), static_cast<unsigned>(std::clamp<int64_t>(positions() / (4 * kThreads), 1, 64))};
  }
};

}  // namespace

std::unique_ptr<Operator> batchNormalization(Workspace& w, const Operation& o) { return std::make_unique<BatchNormalization>(w, o); }

}  // namespace tracin::cuda
