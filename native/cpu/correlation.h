// The convolution arithmetic of oneDNN on (parts of) feature maps. A convolution reads its `in` side through a window and writes its
// `out` side; a transposed convolution is the same relation run the other way, so both operators are built on these three products.
#pragma once
#include <list>
#include <unordered_map>

#include "amx.h"
#include "image_correlation.h"
#include "operator.h"
#include "recent.h"
#include "winograd.h"

namespace tracin::cpu {

struct Geometry {
  int rank, groups, in, out;  // channels of the two sides
  Extent kernel, strides, dilations, before;
};

// Of the `in` positions within bounds, those that windows at `out` positions cover.
Box covered(const Geometry&, const Box& out, const Box& bounds);
// Of the `out` positions within bounds, those whose window meets `in`.
Box meeting(const Geometry&, const Box& in, const Box& bounds);

// Kernels compiled for boxes of different sizes that a layer keeps, and the bytes of one: 30 to 52 KB where it is 1 to 5 positions wide,
// 63 KB at 13, on average over boxes and whatever the pass and the channels (oneDNN 2.6, AVX-512).
constexpr size_t kMostCompiled = 48;
constexpr int64_t kCompiledBytes = 64 << 10;

// Of scratch for a thread, where fewer positions at a time can do with it: as fast as all at once.
constexpr int64_t kScratchBytes = 4 << 20;

class Correlation {
 public:
  // kernel: value of the [out, in/groups, …] parameter
  Correlation(Workspace&, const Geometry&, int kernel);

  // The kernel is these numbers from now on, in the file's order, instead of the stored ones.
  void useKernel(const float* numbers) { given_ = numbers, ++givenVersion_; }

  // A box of one side, in a dense array over `frame`, outside of which all is zero.
  struct Part {
    Box box;
    float* data;
    bool plain = false;  // [channels, positions] instead of blocked
    Box frame = box;
    int64_t step = 0;  // floats from a row's array to the next one's; 0: one begins where the other ends
  };

  // y = kernel ∗ x (+ bias), through a leaky Relu of this slope (1: none). Where the boxes are smaller than their arrays, y's box at least.
  void gather(int rows, Part x, Part y, const float* bias, float slope);
  // Two sides of one row.
  struct Pair {
    Part x, y;
  };
  std::vector<Pair> batch(int rows, const Part& x, const Part& y) const;
  // x = kernelᵀ ∗ y for each
  void scatter(const std::vector<Pair>& pairs);
  // A kernel gradient: summed over `rows` pairs (x, y); or, `stack` of them at once, one gradient for each y with the single x.
  // With dots: for each gradient and channel of the out side, Σ kernel · gradient by the kernel as it is, and then the gradient times the
  // factors of `scaleOut`. All sums of a call have them, or none.
  struct Sum {
    int rows, stack;
    Part x, y;
    float* gradient;
    double* dots = nullptr;
  };
  void correlate(const std::vector<Sum>& sums);
  // Whether there are several kernels for it: see choice.h.
  bool hasChoice() const { return minimal_; }
  // Whether a kernel compiled for other sizes costs next to nothing, or is seldom needed.
  bool anySize() const { return minimal_ || ofImage_ || volume(shape_.kernel) == 1; }
  // More than one gradient a call: not possible between grouped channels.
  bool stacks() const { return shape_.groups == 1; }
  // Takes the kernel times these factors, one for each channel of the out side; call again when they have changed.
  void scaleOut(const float* factors) { factors_ = factors, ++scaling_; }

  int64_t gradientFloats();
  void unpackGradient(const float* row, float* plain);
  void keepPlainGradient() { plainGradient_ = true; }

 private:
  // One compiled for boxes of some size.
  struct Primitive {
    dnnl::primitive run;
    dnn::Desc input, weights, output, scratch;
    bool writesWindows;
  };
  void execute(const Primitive&, std::unordered_map<int, dnnl::memory> arguments);
  bool asksTooMuch(const Primitive&, int rows, const Part&) const;
  std::vector<Pair> smaller(int rows, const Part& x, const Part& y, bool byX) const;
  using Key = std::vector<int>;

  Workspace& work_;
  Geometry shape_;
  int kernel_;
  bool minimal_;  // by Winograd's minimal filtering
  bool ofImage_;  // kernel gradients by image_correlation.h where `in` is plain
  bool plainGradient_ = false;
  int64_t mostScratch_;  // bytes
  const float* factors_ = nullptr;
  uint64_t scaling_ = 0;
  dnn::Desc gradientDesc_;  // one row
  dnn::Tag gradientTag_ = dnn::Tag::undef;
  Recent<Key, Primitive> compiled_{kMostCompiled};
  struct Packed {
    dnn::Desc desc;
    Buffer data;
    bool scaled;
    uint64_t version, scaling;
  };
  std::list<Packed> packed_;
  Buffer bias_, factorBlocks_;
  // The kernel turned round as tiles of bfloat16, and the packed numbers it is from.
  struct Brief {
    Buffer tiles;
    uint64_t version = 0, scaling = 0;
  } brief_;
  const float* given_ = nullptr;  // by useKernel
  uint64_t givenVersion_ = 0;

  uint64_t kernelVersion() const { return given_ ? givenVersion_ : work_.version; }
  void count(int rows, const Part& y);
  Key key(Pass, int rows, int stack, const Part& x, const Part& y, int extra = 0) const;
  dnn::Desc side(int rows, int channels, const Box&, bool plain, bool any = false) const;
  dnn::Dims sideDims(int rows, int channels, const Extent&) const;
  dnn::Desc within(const Part&, int rows, int channels) const;
  dnn::Dims weightDims(int out) const;
  dnn::Desc weightDesc(int out, dnn::Tag) const;
  dnn::Convolution convolution(int rows, int out, const Part& x, const Part& y) const;
  dnnl::memory weights(const dnn::Desc& wanted, bool scaled = true);
  void chooseGradientLayout();
  // Of a few positions, and what their windows read.
  Pair sample() const;
  dnnl::memory bring(int rows, const Part&, int channels, const dnn::Desc& ours, const dnn::Desc& wanted, Pool::Piece& room);
  winograd::Maps maps(int channels, const Part&) const;
  int64_t floats(int channels, const Part&) const;  // of the array it lies in
  int64_t step(int channels, const Part& p) const { return p.step ? p.step : floats(channels, p); }
  // Whether the library can take all rows of both sides as one batch.
  bool dense(int rows, const Part& x, const Part& y) const {
    return rows == 1 || (step(shape_.in, x) == floats(shape_.in, x) && step(shape_.out, y) == floats(shape_.out, y));
  }
  Pool::Piece scratch(const winograd::Kernels&);
  Method method(Pass, const Part& x, const Part& y) const;
  // run(method, those of the items that are its)
  template <class Item, class Run>
  void byMethod(Pass, const std::vector<Item>& items, Run run);
  void convolve(Method, const std::vector<Pair>& rows, bool turned, const float* bias, float slope);
  void gatherDirectly(int rows, Part x, Part y, const float* bias, float slope);
  void scatterDirectly(const std::vector<Pair>& pairs);
  void scatterTogether(int rows, const Part& y, const Part& x);
  void correlateDirectly(int rows, int stack, const Part& x, const Part& y, float* gradient);
  void correlateOneByOne(const std::vector<Pair>& pairs, int stack, float* gradient);
  void correlateInBlocks(Method, const std::vector<Sum>& sums);
  void correlateWithImage(const std::vector<Sum>& sums);
  void scaleGradient(float* gradient, double* sums);
  // Copies of a number for each channel, with zeros up to whole blocks.
  const float* inBlocks(const float* numbers, int channels, Buffer& room) const;
  int paddedOut() const { return shape_.groups == 1 ? blocksOf(shape_.out) * kLanes : shape_.out; }
};

}  // namespace tracin::cpu
