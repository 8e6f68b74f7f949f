// What an operator of the cuda engine does: forward and forward mode for a batch, backward for rows of cotangents.
// Adding an operator: one file in operators/, one line in operators/table.cc.
#pragma once
#include <memory>
#include <vector>

#include "../core/geometry.h"
#include "../core/network.h"
#include "device.h"

namespace tracin::cuda {

// Numbers of a value on the device, row-major float32. Activations lie slice after slice.
struct Tensor {
  std::vector<int64_t> dims;  // of one slice
  bool used = false;
  bool batched = true;  // activations; derived values are the same for every slice
  Buffer data;
  Buffer tangent;  // forward mode; empty unless it runs and a selected parameter lies upstream
  int64_t floats() const { return count(dims); }
  // Of feature maps [channels, …].
  int channels() const { return static_cast<int>(dims[0]); }
  Extent extent() const {
    Extent e{1, 1, 1};
    for (size_t a = 1; a < dims.size(); ++a) e[kAxes - dims.size() + a] = static_cast<int>(dims[a]);
    return e;
  }
};

// Where the rows of a backward pass hold a value's cotangents: windows of one size on its map, each row's at its own corner, and zero
// outside. Whole values (and everything that is no feature map) have no corners.
struct Window {
  bool whole = true;
  Extent size{1, 1, 1};           // of maps
  std::vector<Extent> corners;    // by row; empty: whole
  const int* onDevice = nullptr;  // [rows][3]; null: whole
  // Rows of both lie at the same places.
  bool alike(const Window& o) const { return size == o.size && (onDevice == o.onDevice || (!corners.empty() && corners == o.corners)); }
};

// Cotangents of one value: [rows, dims], or [rows, channels, window size].
struct Rows {
  float* data = nullptr;
  const Window* window = nullptr;
  explicit operator bool() const { return data != nullptr; }
};

// One operator's share of a backward pass. Row r belongs to slice images[r].
struct Backward {
  int rows;
  bool summed;                   // training: parameter gradients are summed over the rows
  const int* images;             // on the device
  Rows dy;                       // may be changed in place: nobody needs it afterwards
  std::vector<Rows> dx;          // by input: to be filled completely; null where no gradient is wanted
  std::vector<float*> gradient;  // by input: the parameter's gradient [rows, floats], or [floats] when summed; null likewise
};

// Numbers for a kernel: of slice i at data + i · stride (0: the same for all). null: none (a tangent that is zero).
struct Operand {
  const float* data = nullptr;
  int64_t stride = 0;
  explicit operator bool() const { return data != nullptr; }
};

// What operators share.
struct Workspace {
  Device& device;
  const Network& network;
  Precision precision;            // of products and of convolutions on the way back
  std::vector<Tensor> tensors;    // by value; activations and derived values
  std::vector<Buffer> stored;     // by value; parameters, statistics, constants
  std::vector<Buffer> direction;  // by value; forward mode: the parameters' tangents
  uint64_t version = 0;           // counts changes of `stored`
  bool training = false;          // BatchNormalization by batch statistics

  Workspace(Device& d, const Network& n, Precision p)
      : device(d), network(n), precision(p), tensors(n.values.size()), stored(n.values.size()), direction(n.values.size()) {}

  const std::vector<int64_t>& dims(int value) const { return network.values[value].dims; }
  int64_t floats(int value) const { return count(dims(value)); }
  Operand numbers(int value) const {
    const Tensor& t = tensors[value];
    if (t.used) return {t.data.floats(), t.batched ? t.floats() : 0};
    return {stored[value].floats(), 0};
  }
  Operand tangents(int value) const {
    const Tensor& t = tensors[value];
    if (t.used) return {t.tangent.floats(), t.batched ? t.floats() : 0};
    return {direction[value].floats(), 0};
  }
};

// to[n] = Σ rows[r][n] over the rows, in double
void sumRows(const Device&, const float* rows, int count, int64_t n, float* to);
// to += from
void accumulate(const Device&, float* to, const float* from, int64_t n);
// Cotangents copied from one window to another of the same map, zero where the first does not reach: to[r] over corner `to`.
// Windows may stick out of the map: there is nothing there. fromRow: numbers from one row of `from` to the next, where they hold more
// channels than are copied.
void rewindow(const Device&, const float* from, const Window& fromWindow, float* to, const Window& toWindow, int rows, int channels,
              const Extent& map, int64_t fromRow = 0);

class Operator {
 public:
  Operator(Workspace& w, const Operation& o) : work(w), operation(o), output(o.output) {}
  virtual ~Operator() = default;
  virtual void forward(int images) = 0;
  virtual void backward(Backward&) = 0;
  // The output's tangent from those of the inputs, at least one of which there is; `tangents(i)` is null where it is zero.
  virtual void tangent(int images) = 0;

  // Takes over the following Relu or LeakyRelu: false where it cannot.
  virtual bool fuse(float /*slope*/, int /*output*/) { return false; }
  // Window corners on input i must be multiples of this (a convolution's strides).
  virtual Extent alignment(int /*i*/) const { return {1, 1, 1}; }

  const Operation& op() const { return operation; }
  int outputValue() const { return output; }

 protected:
  Workspace& work;
  const Operation& operation;
  int output;  // differs from operation.output once a Relu was taken over

  Device& device() const { return work.device; }
  cudaStream_t stream() const { return work.device.stream; }
  int input(int i) const { return i < static_cast<int>(operation.inputs.size()) ? operation.inputs[i] : -1; }
  const Tensor& tensor(int value) const { return work.tensors[value]; }
  Operand in(int i) const { return work.numbers(input(i)); }
  Operand tangents(int i) const { return work.tangents(input(i)); }
  float* out() const { return work.tensors[output].data.floats(); }
  float* outTangent() const { return work.tensors[output].tangent.floats(); }
  int64_t outFloats() const { return count(work.dims(output)); }
  // Slices the output has numbers for: one where it is derived.
  int repeats(int images) const { return work.tensors[output].batched ? images : 1; }

  // fill(to) writes the gradient of input i for every row: to.data [rows, …] on to.window (whole for parameters and derived values).
  template <class Fill>
  void deliver(Backward& b, int i, Fill fill) {
    if (b.dx[i]) return fill(b.dx[i]);
    if (!b.gradient[i]) return;
    static const Window whole;
    if (!b.summed || b.rows == 1) return fill(Rows{b.gradient[i], &whole});
    const int64_t n = work.floats(input(i));
    Pool::Piece room = device().pool.takeFloats(b.rows * n);
    fill(Rows{room.floats(), &whole});
    sumRows(device(), room.floats(), b.rows, n, b.gradient[i]);
  }

  // dy over the whole value: operators that know no windows ask for this.
  float* wholeDy(Backward& b, Pool::Piece& room) {
    if (b.dy.window->whole) return b.dy.data;
    const Tensor& t = tensor(output);
    Window all;
    all.size = t.extent();
    room = device().pool.takeFloats(b.rows * t.floats());
    rewindow(device(), b.dy.data, *b.dy.window, room.floats(), all, b.rows, t.channels(), t.extent());
    return room.floats();
  }

  // As deliver, for operators that know no windows: fill(to) writes the gradient [rows, dims] over the whole value.
  template <class Fill>
  void deliverWhole(Backward& b, int i, Fill fill) {
    deliver(b, i, [&](Rows to) {
      if (to.window->whole) return fill(to.data);
      const Tensor& t = tensor(input(i));
      Window all;
      all.size = t.extent();
      Pool::Piece room = device().pool.takeFloats(b.rows * t.floats());
      fill(room.floats());
      rewindow(device(), room.floats(), all, to.data, *to.window, b.rows, t.channels(), t.extent());
    });
  }
};

std::unique_ptr<Operator> makeOperator(Workspace&, const Operation&);

}  // namespace tracin::cuda
