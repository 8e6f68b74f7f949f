// Walks the network's steps: forward for a batch, backward from cotangents at the logits into a sink of parameter gradients.
#pragma once
#include <list>
#include <map>

#include "../core/program.h"
#include "sinks.h"
#include "steps.h"

namespace tracin::cpu {

// Which slice and class a gradient row belongs to.
struct RowOwner {
  int slice, label;  // label 0..K−1
};

struct Cotangent {
  Rows rows;
  Pool::Piece room;
  bool started = false;
  std::list<Cotangent> parts;  // what readers sent back, still to be added
};

// By unit and tensor.
using Cotangents = std::vector<std::vector<Cotangent>>;

class Runner {
 public:
  // A selected parameter as operators use it.
  struct Use {
    int64_t floats = 0;  // in one gradient row
    int count = 0;       // operators
  };

  explicit Runner(Workspace&);

  // Tensor that holds the logits as blocked maps.
  int logits() const { return steps_.logits; }
  const std::vector<Use>& uses() const { return uses_; }

  // Activations where `wanted` reads them for the batch's regions of slices [first, first + slices), or everywhere (null).
  void forward(int slices, const float* images, const RegionBatch* batch, int first, const Abort&);
  // Row-major tangents [slices, C, S] of the logits of the last forward along a direction: the selected parameters one after another.
  void tangent(int slices, const float* direction, float* tangents, const Abort&);
  // Layers from the last to the first selected one. `batch`: where support boxes come from (null: whole maps); `owners`: by row.
  // gradientRows: rows of every parameter gradient, one for each owner, or a single sum.
  void backward(const std::vector<Unit>&, Cotangents&, const RegionBatch* batch, const std::vector<RowOwner>& owners, int gradientRows,
                Sink&, const Abort&);

  // Room for cotangents over these boxes, one row each.
  void open(Cotangent&, const std::vector<Box>&, const Tensor&);
  // Where the cotangent of a region lies at the logits.
  Box logitsBox(const RegionBatch& batch, const RowOwner& owner) const {
    return batch.boxes && steps_.boxed ? boxAt(batch, owner, steps_.slots) : work_.tensors[steps_.logits].whole();
  }
  // Row-major numbers of a value, [slices, dims].
  void copyOut(int value, int slices, float* to) const {
    copyOut(value, slices, work_.tensors[value].of(0), work_.tensors[value].step, to);
  }

 private:
  Workspace& work_;
  const Network& network_;
  Steps steps_;
  std::vector<std::unique_ptr<Operator>> operators_;
  std::vector<int> firstSlot_;        // by operator: where its inputs' boxes start; −1: whole maps
  std::vector<bool> needs_;           // by tensor: a selected parameter lies upstream
  std::map<int, int> selectedIndex_;  // value → index into Network::selected
  std::vector<Use> uses_;             // by selected parameter
  uint64_t derivedVersion_ = 0;       // of the parameters that derived values were computed from

  void makeOperators();
  void want(const RegionBatch*, int first, int slices);
  void findNeeds();
  void copyOut(int value, int slices, const float* from, int64_t step, float* to) const;
  void makeRoom(int slices);
  Box boxAt(const RegionBatch&, const RowOwner&, int slot) const;
  void addParts(Cotangent&, const Tensor&);
  bool passesGradient(int tensor) const;

  // visit(input, selected index)
  template <class Visit>
  void forEachParameter(Operator& op, Visit visit) {
    for (size_t i = 0; i < op.op().inputs.size(); ++i) {
      const auto it = selectedIndex_.find(op.op().inputs[i]);
      if (it != selectedIndex_.end()) visit(static_cast<int>(i), it->second);
    }
  }

  // For each row, the box that holds everything a tensor's readers send back to it.
  template <class Region>
  std::vector<Box> unions(int value, int rows, int firstRow, Region region) const {
    std::vector<Box> boxes(rows);
    for (size_t o = 0; o < operators_.size(); ++o) {
      if (!needs_[operators_[o]->outputValue()]) continue;
      const auto& inputs = operators_[o]->op().inputs;
      for (size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i] == value)
          for (int r = 0; r < rows; ++r) boxes[r] = boxes[r].joined(region(firstRow + r, o, i, value));
    }
    return boxes;
  }
};

}  // namespace tracin::cpu
