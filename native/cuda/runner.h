// Walks the network: forward for a batch, forward mode, backward from cotangents at the logits into a sink of parameter gradients.
#pragma once
#include <functional>
#include <map>

#include "windows.h"

namespace tracin::cuda {

// A finished gradient of one selected parameter, on the device: `count` rows of `floats`, row-major as the file has it.
struct Gradient {
  int selected;  // index into Network::selected
  const float* rows;
  int count;
  int64_t floats;
};

using Sink = std::function<void(const Gradient&)>;

class Runner {
 public:
  explicit Runner(Workspace&);

  // Where the images of so many slices go; `forward` then takes them from there.
  float* images(int slices);
  void forward(int slices, const Abort&);
  // After a forward of the same slices: tangents of every activation for the direction in the workspace.
  void tangent(int slices, const Abort&);

  // One group of regions on windows of their own; `batch` brings their support boxes (null: whole maps).
  Windows windows(const std::vector<Region>&, const RegionBatch* batch) const;
  // Backward of `rows` rows from the cotangents at the logits; `summed`: training, one gradient for all rows. `real`: rows handed to the
  // sink.
  void backward(Pool::Piece cotangents, const Windows&, const int* images, int rows, int real, bool summed, const Sink&, const Abort&);

  int64_t activationFloats() const;  // of one slice
  int64_t cotangentFloats() const;   // of one row, the most that live at once (an upper estimate)

 private:
  Workspace& work_;
  const Network& network_;
  std::vector<std::unique_ptr<Operator>> operators_;
  std::vector<int> firstSlot_;        // by operator: of its inputs' support boxes
  int slots_ = 0;                     // inputs of all operations
  std::vector<bool> needs_;           // by value: a selected parameter lies upstream
  std::vector<Extent> alignment_;     // by value
  std::map<int, int> selectedIndex_;  // value → index into Network::selected
  std::vector<int> uses_;             // by selected parameter: operators that use it
  bool boxed_;                        // every activation is a map of the logits' rank: support boxes hold from end to end
  int capacity_ = 0;                  // slices the activations have room for
  uint64_t derivedVersion_ = 0;

  void describe();
  void makeOperators();
  void findNeeds();
  template <class Visit>
  void forEachParameter(const Operator& op, Visit visit) const;
};

}  // namespace tracin::cuda
