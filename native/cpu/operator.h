// What an operator of the cpu engine does: forward for a batch, backward for one unit of cotangents, both in blocked layout.
// Adding an operator: one file in operators/, one line in operators/table.cc.
#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "../core/program.h"
#include "buffer.h"
#include "choice.h"
#include "layout.h"
#include "lines.h"
#include "onednn.h"
#include "profile.h"

namespace tracin::cpu {

// A cotangent: dense array over `box` of its value's map; zero outside.
struct Row {
  Box box;
  float* data;
};

// Cotangents of one value for one unit. `stacked`: all on one box, one after another in memory.
struct Rows {
  std::vector<Row> list;
  bool stacked = false;
  int count() const { return static_cast<int>(list.size()); }
};

// Rows that run backward together. Shared: each row is another class of slice `image`, with a parameter gradient of its own.
// Otherwise (training) row r belongs to slice image + r and parameter gradients are summed over rows.
struct Unit {
  int image, rows;
  bool shared;
  int imageOf(int row) const { return shared ? image : image + row; }
};

// Numbers of a value as the engine holds them: blocked feature maps, or flat (row-major) where a value is no feature map or its
// operators work on flat numbers. A flat value's cotangents have no boxes: one unit box stands for all of it.
struct Tensor {
  std::vector<int64_t> dims;
  Shape shape;  // of feature maps, and of the image, which comes flat
  bool used = false, flat = false, batched = true, trainingOnly = false;
  Box wanted;  // where the next forward pass must compute a map; operators may compute more
  // The concatenation that these channels are part of, and floats to them from its first: they are computed where it has them. −1: none
  int joined = -1;
  int64_t offset = 0;
  Buffer data;  // empty where they are joined
  float* first = nullptr;
  int64_t step = 0;  // floats from one slice to the next; 0: the same for all
  int64_t floats() const { return flat ? count(dims) : shape.floats(); }
  int64_t floats(const Box& box) const { return flat ? count(dims) : shape.floats(box.size()); }
  Box whole() const { return flat ? Box{{0, 0, 0}, {1, 1, 1}} : Box::whole(shape.extent); }
  float* of(int image) const { return first + image * step; }
};

// What operators share: activations, parameters as the checkpoint has them, memory, oneDNN's handles.
struct Workspace {
  const Network& network;
  std::vector<Tensor> tensors;             // by value; activations and derived values, then their copies in the other form
  std::vector<std::vector<float>> stored;  // by value; parameters and statistics, row-major
  uint64_t version = 0;                    // counts changes of `stored`
  bool training = false;                   // BatchNormalization by batch statistics
  bool anySize = true;                     // whether all windows of several positions have kernels that take sizes as arguments
  Precision precision = Precision::f32;    // of what kernels may round their operands to
  Choice choice;
  Pool pool;
  int64_t scratchBytes = 0;  // that kernels of the library may ask for at a time
  Profile profile;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};

  explicit Workspace(const Network& n) : network(n), tensors(n.values.size()), stored(n.values.size()) {}

  // Row-major numbers of anything but a blocked feature map.
  const float* numbers(int value, int image = 0) const {
    if (tensors[value].used) return tensors[value].of(image);
    const Value& v = network.values[value];
    return v.kind == Value::Kind::constant ? v.data.data() : stored[value].data();
  }
  const std::vector<int64_t>& dims(int value) const { return tensors[value].used ? tensors[value].dims : network.values[value].dims; }
};

// One operator's share of a backward pass.
struct Backward {
  const Unit& unit;
  Rows& dy;                       // may be changed in place: nobody needs it afterwards
  std::vector<Rows*> dx;          // by input: regions to fill completely; null where no gradient is wanted
  std::vector<float*> gradients;  // by input: first row of the parameter's gradient, rows one after another; null likewise
};

// One operator's share of a tangent pass: how its output moves when its inputs do. Tangents are laid out as their values are, slices one
// after another; those of parameters and derived values, the same for every slice, come once.
struct Tangent {
  int images;
  std::vector<const float*> inputs;  // null: does not move
  float* output;                     // to fill completely
};

class Operator {
 public:
  Operator(Workspace& w, const Operation& o) : work(w), operation(o), output(o.output) {}
  virtual ~Operator() = default;
  virtual void forward(int images) = 0;
  virtual void backward(Backward&) = 0;
  // Of several units; operators whose kernels take many rows at once override it.
  virtual void backwardTogether(std::vector<Backward>& units) {
    for (Backward& b : units) backward(b);
  }
  // After a forward of the same images, by running statistics.
  virtual void tangent(const Tangent&) = 0;

  // Floats in one gradient row of parameter input i, in the operator's own order, and that row in the file's order.
  virtual int64_t gradientFloats(int i) { return count(work.network.values[operation.inputs[i]].dims); }
  virtual void unpackGradient(int i, const float* row, float* plain) { std::copy_n(row, gradientFloats(i), plain); }
  // fill(to) writes the gradient of operand i for row r, whole and row-major: of a flat or derived value, or of a parameter, whose
  // gradients are summed over rows in training.
  template <class Fill>
  void deliver(Backward& b, int i, int r, Fill fill) {
    if (b.dx[i]) return fill(b.dx[i]->list[r].data);
    if (!b.gradients[i]) return;
    const int64_t n = gradientFloats(i);
    if (b.unit.shared || r == 0) return fill(b.gradients[i] + r * n);
    Pool::Piece room = work.pool.take(n);
    fill(room.data());
    add(room.data(), n, b.gradients[i]);
  }

  // A parameter used by several operators must have one order for all: the file's.
  virtual void keepPlainGradient(int) {}

  // Takes over the following Relu or LeakyRelu: false where it cannot.
  virtual bool fuse(float /*slope*/, int /*output*/) { return false; }

  const Operation& op() const { return operation; }
  int outputValue() const { return output; }

 protected:
  Workspace& work;
  const Operation& operation;
  int output;  // differs from operation.output once a Relu was taken over

  const Tensor& tensor(int value) const { return work.tensors[value]; }
  const Shape& shape(int value) const { return work.tensors[value].shape; }
  bool flat() const { return work.tensors[output].flat; }
  int input(int i) const { return i < static_cast<int>(operation.inputs.size()) ? operation.inputs[i] : -1; }
  float* in(int i, int image) const { return work.tensors[operation.inputs[i]].of(image); }
  float* out(int image) const { return work.tensors[output].of(image); }
  // A slice's part of the tangents; null where the input does not move.
  const float* moved(const Tangent& t, int i, int image) const {
    const Tensor& x = work.tensors[operation.inputs[i]];
    return t.inputs[i] && x.used && x.batched ? t.inputs[i] + image * x.floats() : t.inputs[i];
  }
  float* moving(const Tangent& t, int image) const { return t.output + (tensor(output).batched ? image * tensor(output).floats() : 0); }
  // What is linear in its only input does to the input's tangent what it does to the input: apply(from, to).
  template <class Apply>
  void linear(const Tangent& t, Apply apply) const {
    for (int image = 0; image < t.images; ++image) apply(moved(t, 0, image), moving(t, image));
  }
};

std::unique_ptr<Operator> makeOperator(Workspace&, const Operation&);

// dy ← dy · (y > 0 ? 1 : slope) over the rows of a unit: the backward of a fused Relu, from its output y.
void maskByOutput(const Workspace&, int value, float slope, const Unit&, Rows& dy);
// The same over whole maps, one for each slice: its tangent.
void maskByOutput(const Workspace&, int value, float slope, const Tangent&);

// Both at once, for one row of slice `image`.
void maskAndSum(const Workspace&, int value, float slope, int image, const Row&, int channels, float* sums);

// Σ over the row's positions, for each channel: the gradient of an added bias.
void sumPositions(const Row&, int channels, float* sums);

}  // namespace tracin::cpu
