// Losses and their gradients with respect to the logits, in double. Formulas: docs/method.md, "Regions and losses".
#pragma once
#include "operator.h"

namespace tracin::cuda {

// What a batch brings, on the device: targets [B, S], masks [B, K, S].
struct Labels {
  const uint8_t *targets, *masks;
};

// Losses of rows (regions) and their cotangents [rows, C, window]. A row whose label is −1 is room for nothing: loss and cotangent 0.
// labels: class − 1 of each row, on the device, like images.
void regionLosses(const Device&, const RegionLoss&, const Tensor& logits, const Labels&, const int* images, const int* labels, int rows,
                  const Window& window, float* cotangents, double* losses);

// Loss of a batch for training; cotangents [slices, C, S].
double trainingLoss(Device&, const TrainingLoss&, int slices, const Tensor& logits, const uint8_t* targets, float* cotangents);

}  // namespace tracin::cuda
