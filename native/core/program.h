// What every native engine can do with a network. Arrays are row-major; notation as in lib/engine/engine.ts:
// B slices, M modalities, C = K + 1 classes, P selected parameters, S pixels of a slice.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "network.h"

namespace tracin {

struct Aborted : std::runtime_error {
  Aborted() : std::runtime_error("interrupted") {}
};

// Memory or a device that is not there, an operator an engine lacks: told to the user as it is.
struct EngineError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A checkpoint that cannot be meant: told to the user as it is.
struct CheckpointError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A flag some other thread may raise; polled between operations.
struct Abort {
  const std::atomic<int32_t>* raised = nullptr;
  void poll() const {
    if (raised && raised->load(std::memory_order_relaxed)) throw Aborted();
  }
};

// What the operands of products are rounded to; sums are float32 or wider in all of them.
enum class Precision { f32, tf32, bf16 };

struct CompileOptions {
  int threads;  // of the cpu engine
  int device;   // of the cuda engine: its index
  Precision precision;
};

struct RegionLoss {
  enum class Kind { dice, crossEntropy };
  Kind kind;
  bool sum;  // cross-entropy only: sum over the mask instead of its mean
};

struct RegionBatch {
  int slices;
  const float* images;     // [B, M, S]
  const uint8_t* targets;  // [B, S]
  const uint8_t* masks;    // [B, K, S]
  // Support boxes, one for each slice, class and (operation, input): lo and hi on every spatial axis.
  // [B, K, slots, rank, 2] in the order operations list their inputs; nullptr: every box is the whole map.
  const int32_t* boxes;
  // The images are those of the forward pass just before, of which the program has the maps still; at most `keptSlices`.
  bool forwarded;
  // Where images, targets and masks were staged; −1: nowhere.
  int staged = -1;
};

struct RegionResult {
  std::vector<float> norms, losses;  // [B, K]
};

struct TrainingLoss {
  bool dice, crossEntropy;
  std::vector<double> classWeights;  // [C]
};

struct Optimiser {
  enum class Kind { sgd, adam };
  Kind kind;
  double learningRate, weightDecay;
  double momentum;                     // sgd
  double beta1, beta2, epsilon, step;  // adam, step counted from 1
};

// Names of kernels, by what they compute: of engines that choose between several.
using KernelTable = std::map<std::string, std::string>;

using Arrays = std::map<std::string, std::vector<float>>;
// Arrays of somebody else's.
using Views = std::map<std::string, std::span<const float>>;

// Resident query gradients: K rows for each slice appended.
class Block {
 public:
  virtual ~Block() = default;
  virtual int slices() const = 0;
  virtual void clear() = 0;
};

class Program {
 public:
  virtual ~Program() = default;
  virtual int64_t parameterCount() const = 0;
  // Slices of which a forward pass leaves the maps for the gradients of the same images, and no more than these are computed at once,
  // whatever the batch; 0: of none, and all are.
  virtual int keptSlices() const { return 0; }
  // Bytes held once it has run: whatever the batch, more for each slice of it, and for each resident row.
  virtual int64_t fixedBytes() const = 0;
  virtual int64_t sliceBytes() const = 0;
  virtual int64_t rowBytes() const = 0;
  // What edges of support boxes at the logits are best multiples of: 1 where kernels take sizes as arguments, more where kernels are chosen
  // or compiled for each size, so that few sizes occur.
  virtual int quantum() const = 0;

  // Brings arrays of a call to come to where it computes: the initializers of `load`, or images, targets and masks of a region batch. Of
  // all calls this one alone may come while another runs, from one other thread. The call to come is told the place, 0 or 1, as `staged`; a
  // place is free again when that call has ended. False where nothing is gained, or there is no room.
  virtual bool stage(int /*place*/, const std::vector<std::span<const std::byte>>&) { return false; }

  virtual void load(const Views& initializers, int staged = -1) = 0;
  // Takes the kernels of a table, and the engine's own rule for what it lacks; with `measure`, what it lacks is timed instead.
  // Returns the table in force.
  virtual KernelTable chooseKernels(const KernelTable&, bool /*measure*/) { return {}; }
  // From now on computes in float32; false of an engine that fixes its precision when it compiles.
  virtual bool useFloat32() { return false; }
  // logits [B, C, S]; features [B, F, S'] where wanted
  virtual void forward(int slices, const float* images, float* logits, float* features, const Abort&) = 0;
  // Forward mode: logits and tangents = J·direction, both [B, C, S]. direction [P]: the selected parameters one after another, row-major
  // as the file has them. Running statistics do not move.
  virtual void tangent(int slices, const float* images, const float* direction, float* logits, float* tangents, const Abort&) = 0;
  virtual RegionResult gradients(const RegionBatch&, const RegionLoss&, float* gradients, const Abort&) = 0;
  virtual std::unique_ptr<Block> resident(int capacity) = 0;
  virtual RegionResult append(Block&, const RegionBatch&, const RegionLoss&, const Abort&) = 0;
  // products [R, B, K]; block may be null
  virtual RegionResult contract(const Block*, const RegionBatch&, const RegionLoss&, float* products, const Abort&) = 0;
  virtual double step(int slices, const float* images, const uint8_t* targets, const TrainingLoss&, const Optimiser&, const Abort&) = 0;
  virtual Arrays snapshot() const = 0;
  virtual const Arrays& optimiserState() const = 0;
  virtual void restoreOptimiserState(const Arrays&) = 0;
};

}  // namespace tracin
