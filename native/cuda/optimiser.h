// Parameter updates on the device, as native/core/optimiser.h has them.
#pragma once
#include "device.h"

namespace tracin::cuda {

// velocity: its slot. decay: weight decay of this parameter.
void stepSgd(const Device&, const Optimiser&, double decay, int64_t n, const float* gradient, float* parameter, float* velocity);
void stepAdam(const Device&, const Optimiser&, double decay, int64_t n, const float* gradient, float* parameter, float* m, float* v);

}  // namespace tracin::cuda
