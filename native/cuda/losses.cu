#include "losses.h"

#include "kernels.cuh"

namespace tracin::cuda {

namespace {

constexpr double kSmall = 1e-7;  // in the denominator of Dice
constexpr int kLossThreads = 512;

// Softmax of one pixel: the largest logit and log Σ exp(f − largest); p_c = exp(f_c − top − log).
struct Pixel {
  const float* logits;
  int64_t step;  // between classes
  int classes;
  double top, log;
  __device__ Pixel(const float* f, int64_t s, int c) : logits(f), step(s), classes(c) {
    top = f[0];
    for (int i = 1; i < c; ++i) top = fmax(top, double(f[i * s]));
    double sum = 0;
    for (int i = 0; i < c; ++i) sum += exp(double(f[i * s]) - top);
    log = ::log(sum);
  }
  __device__ double p(int c) const { return exp(double(logits[c * step]) - top - log); }
  __device__ double crossEntropy(int label) const { return top + log - double(logits[label * step]); }
};

// One block a row. D = 1 − 2A / B with A = Σ y p, B = Σ (y² + p²) + 1e-7; dD/dp = −2 (y B − 2 A p) / B²; dp/df_j = p (δ − p_j)
__global__ void regionKernel(bool dice, bool sum, const float* logits, int classes, MapSize map, const uint8_t* targets,
                             const uint8_t* masks, const int* images, const int* labels, WindowView window, float* cotangents,
                             double* losses) {
  __shared__ double shared[32];
  const int row = blockIdx.x, image = images[row], foreground = classes - 1, n = window.volume();
  const int label = labels[row] + 1;
  const int64_t pixels = map.volume();
  const float* f = logits + image * classes * pixels;
  const uint8_t* target = targets + image * pixels;
  const uint8_t* mask = masks + (int64_t(image) * foreground + max(label - 1, 0)) * pixels;
  float* to = cotangents + int64_t(row) * classes * n;
  const auto pixelAt = [&](int i) {
    int at[3];
    window.locate(i, at);
    const int z = at[0] + window.corner(row, 0), y = at[1] + window.corner(row, 1), x = at[2] + window.corner(row, 2);
    return (int64_t(z) * map.size[1] + y) * map.size[2] + x;
  };

  double first = 0, second = 0;  // dice: A and B; cross-entropy: its sum and the pixels
  if (label > 0)
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
      const int64_t at = pixelAt(i);
      if (!mask[at]) continue;
      const Pixel pixel(f + at, pixels, classes);
      if (dice) {
        const double y = target[at] == label, p = pixel.p(label);
        first += y * p, second += y + p * p;
      } else {
        first += pixel.crossEntropy(target[at]), second += 1;
      }
    }
  const double a = blockSum(first, shared), total = blockSum(second, shared), b = total + kSmall;
  const double weight = sum || total == 0 ? 1. : 1. / total;
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    const int64_t at = label > 0 ? pixelAt(i) : 0;
    if (label <= 0 || !mask[at]) {
      for (int c = 0; c < classes; ++c) to[c * n + i] = 0.f;
      continue;
    }
    const Pixel pixel(f + at, pixels, classes);
    if (dice) {
      const double y = target[at] == label, q = pixel.p(label), slope = -2 * (y * b - 2 * a * q) / (b * b);
      for (int c = 0; c < classes; ++c) to[c * n + i] = static_cast<float>(slope * q * ((c == label) - pixel.p(c)));
    } else {
      for (int c = 0; c < classes; ++c) to[c * n + i] = static_cast<float>(weight * (pixel.p(c) - (c == target[at])));
    }
  }
  if (threadIdx.x == 0) losses[row] = label <= 0 ? 0. : dice ? 1 - 2 * a / b : weight * a;
}

// Block c > 0: Σ y p and Σ (y + p²) of class c over the batch. Block 0: Σ w (−log p_y) and Σ w.
__global__ void trainingSumsKernel(const float* logits, int slices, int classes, int64_t pixels, const uint8_t* targets,
                                   const double* weights, double* sums) {
  __shared__ double shared[32];
  const int c = blockIdx.x;
  double first = 0, second = 0;
  for (int64_t i = threadIdx.x; i < slices * pixels; i += blockDim.x) {
    const Pixel pixel(logits + i / pixels * classes * pixels + i % pixels, pixels, classes);
    const int label = targets[i];
    if (c == 0) {
      const double w = weights ? weights[label] : 1.;
      first += w * pixel.crossEntropy(label), second += w;
    } else {
      const double y = label == c, p = pixel.p(c);
      first += y * p, second += y + p * p;
    }
  }
  first = blockSum(first, shared);
  second = blockSum(second, shared);
  if (threadIdx.x == 0) sums[2 * c] = first, sums[2 * c + 1] = second;
}

__global__ void trainingGradientKernel(bool dice, bool crossEntropy, const float* logits, int slices, int classes, int64_t pixels,
                                       const uint8_t* targets, const double* weights, const double* sums, float* to) {
  TRACIN_EACH(i, slices * pixels) {
    const int64_t start = i / pixels * classes * pixels + i % pixels;
    const Pixel pixel(logits + start, pixels, classes);
    const int label = targets[i];
    const double w = crossEntropy && sums[1] > 0 ? (weights ? weights[label] : 1.) / sums[1] : 0.;
    // Σ_c slope_c (δ_cj − p_j) splits into slope_j − p_j Σ slope
    double slopes = 0;
    const auto slope = [&](int c) {
      if (!dice || c == 0) return 0.;
      const double a = sums[2 * c], b = sums[2 * c + 1] + kSmall, y = label == c, q = pixel.p(c);
      return -2 * (y * b - 2 * a * q) / (b * b) / (classes - 1) * q;
    };
    for (int c = 1; c < classes; ++c) slopes += slope(c);
    for (int c = 0; c < classes; ++c) {
      const double p = pixel.p(c);
      to[start + c * pixels] = static_cast<float>(slope(c) - p * slopes + w * (p - (c == label)));
    }
  }
}

}  // namespace

void regionLosses(const Device& device, const RegionLoss& loss, const Tensor& logits, const Labels& batch, const int* images,
                  const int* labels, int rows, const Window& window, float* cotangents, double* losses) {
  regionKernel<<<rows, kLossThreads, 0, device.stream>>>(loss.kind == RegionLoss::Kind::dice, loss.sum, logits.data.floats(),
                                                         logits.channels(), MapSize(logits.extent()), batch.targets, batch.masks, images,
                                                         labels, window, cotangents, losses);
  launched();
}

double trainingLoss(Device& device, const TrainingLoss& loss, int slices, const Tensor& logits, const uint8_t* targets, float* cotangents) {
  const int classes = logits.channels();
  const int64_t pixels = volume(logits.extent());
  Pool::Piece weights;
  if (!loss.classWeights.empty()) weights = device.pool.upload(loss.classWeights, device.stream);
  const double* w = weights ? weights.as<double>() : nullptr;
  Pool::Piece sums = device.pool.take(2 * classes * sizeof(double));
  trainingSumsKernel<<<classes, 1024, 0, device.stream>>>(logits.data.floats(), slices, classes, pixels, targets, w, sums.as<double>());
  launched();
  trainingGradientKernel<<<blocksFor(slices * pixels), kThreads, 0, device.stream>>>(
      loss.dice, loss.crossEntropy, logits.data.floats(), slices, classes, pixels, targets, w, sums.as<double>(), cotangents);
  launched();
  std::vector<double> host(2 * classes);
  device.download(host.data(), sums.as<double>(), host.size() * sizeof(double));
  device.synchronize();
  double total = 0;
  if (loss.crossEntropy && host[1] > 0) total += host[0] / host[1];
  if (loss.dice) {
    total += 1;
    for (int c = 1; c < classes; ++c) total -= 2 * host[2 * c] / (host[2 * c + 1] + kSmall) / (classes - 1);
  }
  return total;
}

}  // namespace tracin::cuda
