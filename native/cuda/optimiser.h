// Parameter updates on the device, as native/core/optimiser.h has them.
#pragma once
#include <array>

#include "device.h"

namespace tracin::cuda {

// Of one parameter, whose slots are slots.h's.
void update(const Device&, const Optimiser&, const Value&, const float* gradient, float* parameter, std::array<float*, 2> slots);

}  // namespace tracin::cuda
