// What JavaScript passes, as the core takes it. Arrays stay where they are, kept alive by the task.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "../core/optimiser.h"
#include "../core/program.h"
#include "engines.h"
#include "napi_setup.h"
#include "task.h"

namespace tracin::binding {

// { engine, threads, device, precision }
Choice choiceOf(const Napi::Value&);

// { what: kernels }
KernelTable tableOf(const Napi::Value&);

template <class T>
std::span<const T> spanOf(Task& task, const Napi::Value& array) {
  return {task.array<T>(array), array.As<Napi::TypedArray>().ByteLength() / sizeof(T)};
}

// { name: Float32Array } seen from the other thread
struct Named {
  std::string name;
  float* data;
  size_t size;
};
std::vector<Named> named(Task&, const Napi::Value&);
Arrays copied(const std::vector<Named>& sources);
void fill(const std::vector<Named>& targets, const Arrays&);

struct Regions {
  RegionBatch batch;
  RegionLoss loss;
  float *norms, *losses;

  // { slices, images, targets, masks, boxes?, forwarded, staged, dice, sum, norms, losses }
  Regions(Task&, const Napi::Object&);
  void give(const RegionResult&) const;
};

struct Training {
  int slices;
  const float* images;
  const uint8_t* targets;
  TrainingLoss loss;

  // { slices, images, targets, dice, crossEntropy, classWeights }
  Training(Task&, const Napi::Object&);
};

// { kind, learningRate, … }: what its kind has of them
Optimiser optimiserOf(const Napi::Object&);

}  // namespace tracin::binding
