// Losses and their gradients with respect to the logits, in double. Formulas: docs/method.md, "Regions and losses".
#pragma once
#include "../core/program.h"
#include "layout.h"

namespace tracin::cpu {

// Positions a mask marks, as the smallest box; empty for an absent region.
Box boundingBox(const uint8_t* mask, const Extent& extent);

// Loss of class `label` over its mask; cotangent: dense blocked array over `box`, which holds every masked position.
double regionLoss(const RegionLoss&, int label, const float* logits, const Shape&, const uint8_t* targets, const uint8_t* mask,
                  const Box& box, float* cotangent);

// Loss of a batch for training; cotangents [slices] whole maps, one after another.
double trainingLoss(const TrainingLoss&, int slices, const float* logits, const Shape&, const uint8_t* targets, float* cotangents);

}  // namespace tracin::cpu
