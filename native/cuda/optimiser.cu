#include "optimiser.h"

#include "../core/optimiser.h"
#include "kernels.cuh"

namespace tracin::cuda {

namespace {

__global__ void sgdKernel(double rate, double momentum, double decay, int64_t n, const float* gradient, float* parameter, float* velocity) {
  TRACIN_EACH(i, n) {
    velocity[i] = static_cast<float>(momentum * velocity[i] + (gradient[i] + decay * parameter[i]));
    parameter[i] -= static_cast<float>(rate * velocity[i]);
  }
}

// Kingma & Ba 2015, algorithm 1
__global__ void adamKernel(double rate, double beta1, double beta2, double unbias1, double unbias2, double epsilon, double decay, int64_t n,
                           const float* gradient, float* parameter, float* m, float* v) {
  TRACIN_EACH(i, n) {
    const double g = gradient[i] + decay * parameter[i];
    m[i] = static_cast<float>(beta1 * m[i] + (1 - beta1) * g);
    v[i] = static_cast<float>(beta2 * v[i] + (1 - beta2) * g * g);
    parameter[i] -= static_cast<float>(rate * (m[i] / unbias1) / (sqrt(v[i] / unbias2) + epsilon));
  }
}

}  // namespace

void update(const Device& device, const Optimiser& o, const Value& value, const float* gradient, float* parameter,
            std::array<float*, 2> slots) {
  const int64_t n = count(value.dims);
  const double decay = value.decays ? o.weightDecay : 0.;
  if (o.kind == Optimiser::Kind::sgd)
    sgdKernel<<<blocksFor(n), kThreads, 0, device.stream>>>(o.learningRate, o.momentum, decay, n, gradient, parameter, slots[0]);
  else
    adamKernel<<<blocksFor(n), kThreads, 0, device.stream>>>(o.learningRate, o.beta1, o.beta2, 1 - std::pow(o.beta1, o.step),
                                                             1 - std::pow(o.beta2, o.step), o.epsilon, decay, n, gradient, parameter,
                                                             slots[0], slots[1]);
  launched();
}

}  // namespace tracin::cuda
