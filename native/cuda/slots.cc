#include "slots.h"

namespace tracin::cuda {

std::array<float*, 2> Slots::of(const Optimiser& optimiser, const Value& parameter) {
  if (optimiser.kind == Optimiser::Kind::sgd) return {at("velocity", parameter), nullptr};
  float* m = at("m", parameter);
  return {m, at("v", parameter)};
}

float* Slots::at(const char* kind, const Value& parameter) {
  const std::string name = std::string(kind) + "/" + parameter.name;
  const auto it = slots_.find(name);
  if (it != slots_.end()) return it->second.floats();
  Buffer buffer(count(parameter.dims) * int64_t(sizeof(float)));
  device_.zero(buffer.floats(), buffer.bytes());
  return (slots_[name] = std::move(buffer)).floats();
}

Arrays Slots::numbers() const {
  Arrays all;
  for (const auto& [name, buffer] : slots_) all[name] = device_.numbers(buffer);
  return all;
}

void Slots::restore(const Arrays& state) {
  std::map<std::string, Buffer> restored;
  for (const auto& [name, data] : state) {
    const int64_t bytes = int64_t(data.size() * sizeof(float));
    Buffer& buffer = restored[name] = Buffer(bytes);
    device_.upload(buffer.floats(), data.data(), bytes);
  }
  device_.synchronize();
  slots_ = std::move(restored);
}

}  // namespace tracin::cuda
