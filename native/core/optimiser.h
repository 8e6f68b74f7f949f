// Parameter updates as lib/engine/engine.ts documents them.
#pragma once
#include <cmath>
#include <string>

#include "program.h"

namespace tracin {

// Weight decay acts on kernels and matrices: parameters of two or more axes.
inline bool decays(const Value& v) { return v.dims.size() >= 2; }

// Updates one parameter in place; `slots` is the optimiser's memory, made on the first step.
inline void update(const Optimiser& o, const Value& value, const std::vector<float>& gradient, std::vector<float>& parameter,
                   Arrays& slots) {
  const auto slot = [&](const char* kind) -> std::vector<float>& {
    auto& s = slots[std::string(kind) + "/" + value.name];
    if (s.empty()) s.assign(parameter.size(), 0.f);
    return s;
  };
  const double decay = decays(value) ? o.weightDecay : 0.;
  if (o.kind == Optimiser::Kind::sgd) {
    auto& v = slot("velocity");
    for (size_t i = 0; i < parameter.size(); ++i) {
      v[i] = static_cast<float>(o.momentum * v[i] + (gradient[i] + decay * parameter[i]));
      parameter[i] -= static_cast<float>(o.learningRate * v[i]);
    }
    return;
  }
  // Kingma & Ba 2015, algorithm 1
  auto &m = slot("m"), &v = slot("v");
  const double unbias1 = 1 - std::pow(o.beta1, o.step), unbias2 = 1 - std::pow(o.beta2, o.step);
  for (size_t i = 0; i < parameter.size(); ++i) {
    const double g = gradient[i] + decay * parameter[i];
    m[i] = static_cast<float>(o.beta1 * m[i] + (1 - o.beta1) * g);
    v[i] = static_cast<float>(o.beta2 * v[i] + (1 - o.beta2) * g * g);
    parameter[i] -= static_cast<float>(o.learningRate * (m[i] / unbias1) / (std::sqrt(v[i] / unbias2) + o.epsilon));
  }
}

}  // namespace tracin
