// What a program takes from a checkpoint.
#pragma once
#include "program.h"
#include "soundness.h"

namespace tracin {

// The numbers of a parameter or statistic. Throws CheckpointError where they are missing, of another size, or not finite.
inline std::span<const float> initializerOf(const Views& initializers, const Value& value) {
  const auto it = initializers.find(value.name);
  if (it == initializers.end() || int64_t(it->second.size()) != count(value.dims))
    throw CheckpointError("initializer " + value.name + " does not fit the network: use a checkpoint of this network");
  if (!allFinite(it->second))
    throw CheckpointError("initializer " + value.name + " holds a number that is not finite: use a checkpoint before it diverged");
  return it->second;
}

}  // namespace tracin
