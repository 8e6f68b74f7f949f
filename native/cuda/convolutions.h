// cuDNN's convolutions through its graph interface: plans made once for a shape, the fastest of those it proposes.
#pragma once
#include <algorithm>
#include <compare>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "../core/geometry.h"
#include "device.h"

namespace tracin::cuda {

// A correlation: output o reads input o·stride − before + k·dilation. Sizes are of the windows it runs on.
struct Correlation {
  int rows, in, out, groups, rank;
  Extent input, output, kernel, strides, dilations, before;
  auto operator<=>(const Correlation&) const = default;
  // Padding alike on both sides gives this output: kernels of cuDNN that take other paddings were seen to give wrong gradients.
  bool symmetric() const {
    for (int a = 0; a < kAxes; ++a)
      if ((input[a] + 2 * before[a] - (kernel[a] - 1) * dilations[a] - 1) / strides[a] + 1 != output[a]) return false;
    return true;
  }
  bool isPlain3x3() const {
    return rank == 2 && groups == 1 && kernel == Extent{1, 3, 3} && volume(strides) == 1 && volume(dilations) == 1;
  }
  int64_t kernelFloats() const { return int64_t(out) * (in / groups) * volume(kernel); }
  int64_t inputFloats() const { return in * volume(input); }  // of a row
  int64_t outputFloats() const { return out * volume(output); }
  // How many rows have no array of more than so many numbers, and end where 16 bytes do, as cuDNN is told of every array; all where none
  // do.
  int together(int64_t numbers) const {
    int64_t n = numbers / std::max(inputFloats(), outputFloats());
    if (inputFloats() % 4 || outputFloats() % 4) n -= n % 4;
    return n > 0 && n < rows ? static_cast<int>(n) : rows;
  }
};

enum class Pass { forward, data, weights };

// What is to become of the numbers that a pass yields: leaky(y + its channel's bias).
struct Finish {
  const float* bias = nullptr;
  float slope = 1.f;
};

class Convolutions {
 public:
  explicit Convolutions(Device& device);
  ~Convolutions();

  // forward: output = kernel ⋆ input. data: input = its transpose of output. weights: kernel = Σ rows output ⋆ input.
  // The written one is the array that the pass yields; arrays are [rows, channels, positions] and [out, in/groups, taps].
  // Along with it, where that costs nothing, what is to follow; false: that is still to be done.
  bool run(Pass, Precision, const Correlation&, float* input, float* kernel, float* output, const Finish& = {});

  // What cuDNN has for it by itself, on arrays as it takes them fastest: float32 as they are, else channels last in the operands' type.
  void library(Pass, Precision, const Correlation&, void* input, void* kernel, void* output);

  using Key = std::tuple<Pass, Precision, Correlation>;

  // Of an array, in one go: places are counted in 31 bits by Winograd's kernels, and by some of the library's
  // (github.com/pytorch/pytorch/issues/152816), which may refuse more or go wrong. Fewer in tests.
  int64_t mostNumbers = INT32_MAX;

 private:
  struct Plan;
  Device& device_;
  std::map<Key, std::unique_ptr<Plan>> plans_;

  bool runInParts(int together, Pass, Precision, const Correlation&, float* input, float* kernel, float* output, const Finish&);
  void runPadded(Pass, Precision, const Correlation&, float* input, float* kernel, float* output);
  void runChannelsLast(Pass, Precision, const Correlation&, float* input, float* kernel, float* output);
  Plan& plan(const Key&, void* input, void* kernel, void* output);
};

}  // namespace tracin::cuda
