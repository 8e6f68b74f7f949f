// Convolutions by Winograd's transforms: float32, 3 × 3, stride 1.
#pragma once
#include "convolutions.h"

namespace tracin::cuda {

// Whether `winogradConvolution` is for it: forward and data passes of plain 3 × 3 correlations of maps of more than a few channels.
bool isWinograd(const Device&, Pass, const Correlation&);

// As Convolutions::run does.
void winogradConvolution(Device&, Pass, const Correlation&, float* input, float* kernel, float* output, const Finish&);

}  // namespace tracin::cuda
