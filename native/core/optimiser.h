// Parameter updates as lib/engine/engine.ts documents them.
#pragma once
#include <array>
#include <cmath>
#include <string>

#include "program.h"

namespace tracin {

// Below this many numbers, waking threads costs more than they save.
constexpr int64_t kWorthThreads = 1 << 14;

// What the optimiser remembers of a parameter, zero where nothing was there: the velocity and none, or m and v.
inline std::array<float*, 2> slotsOf(const Optimiser& o, const Value& value, Arrays& slots) {
  const auto slot = [&](const char* kind) {
    auto& s = slots[std::string(kind) + "/" + value.name];
    if (s.empty()) s.assign(count(value.dims), 0.f);
    return s.data();
  };
  if (o.kind == Optimiser::Kind::sgd) return {slot("velocity"), nullptr};
  float* m = slot("m");
  return {m, slot("v")};
}

// Updates one parameter in place.
inline void update(const Optimiser& o, const Value& value, const std::vector<float>& gradient, std::vector<float>& parameter,
                   std::array<float*, 2> slots) {
  const double decay = value.decays ? o.weightDecay : 0.;
  const int64_t count = static_cast<int64_t>(parameter.size());
  const float* g = gradient.data();
  float* w = parameter.data();
  if (o.kind == Optimiser::Kind::sgd) {
    float* v = slots[0];
#pragma omp parallel for simd schedule(static) if (parallel : count > kWorthThreads)
    for (int64_t i = 0; i < count; ++i) {
      v[i] = static_cast<float>(o.momentum * v[i] + (g[i] + decay * w[i]));
      w[i] -= static_cast<float>(o.learningRate * v[i]);
    }
    return;
  }
  // Kingma & Ba 2015, algorithm 1
  float *m = slots[0], *v = slots[1];
  const double unbias1 = 1 - std::pow(o.beta1, o.step), unbias2 = 1 - std::pow(o.beta2, o.step);
#pragma omp parallel for simd schedule(static) if (parallel : count > kWorthThreads)
  for (int64_t i = 0; i < count; ++i) {
    const double full = g[i] + decay * w[i];
    m[i] = static_cast<float>(o.beta1 * m[i] + (1 - o.beta1) * full);
    v[i] = static_cast<float>(o.beta2 * v[i] + (1 - o.beta2) * full * full);
    w[i] -= static_cast<float>(o.learningRate * (m[i] / unbias1) / (std::sqrt(v[i] / unbias2) + o.epsilon));
  }
}

}  // namespace tracin
