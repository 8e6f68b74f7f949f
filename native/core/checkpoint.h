// What a program takes from a checkpoint.
#pragma once
#include "program.h"
#include "soundness.h"

namespace tracin {

// Throws CheckpointError naming an initializer that is not all finite. To be asked before any is taken: what is refused changes nothing.
inline void requireFinite(const Views& initializers) {
  for (const auto& [name, numbers] : initializers)
    if (!allFinite(numbers))
      throw CheckpointError("initializer " + name + " holds a number that is not finite: use a checkpoint before it diverged");
}

// The numbers of a parameter or statistic. Throws CheckpointError where they are missing or of another size.
inline std::span<const float> initializerOf(const Views& initializers, const Value& value) {
  const auto it = initializers.find(value.name);
  if (it == initializers.end() || int64_t(it->second.size()) != count(value.dims))
    throw CheckpointError("initializer " + value.name + " does not fit the network: use a checkpoint of this network");
  return it->second;
}

}  // namespace tracin
