// A network as engines execute it: the C++ twin of lib/graph/lowered.ts, shapes known and attributes explicit.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tracin {

struct Value {
  enum class Kind { activation, derived, parameter, statistic, constant };
  Kind kind;
  std::string name;
  std::vector<int64_t> dims;  // activations: of one slice
  std::vector<float> data;    // constants only
  bool decays = false;        // parameters: kernels and matrices, whatever their axes
};

// One axis of a Resize as a sparse linear map (see lowered.ts).
struct AxisTaps {
  int inputSize, outputSize, taps;
  std::vector<int32_t> index;
  std::vector<float> weight;
};

struct Operation {
  std::string type, name;
  std::vector<int> inputs;  // -1: an optional input that is absent
  int output;
  std::map<std::string, std::vector<double>> attributes;
  std::map<std::string, std::string> words;
  std::vector<int32_t> index;  // Rearrange; empty: the same numbers under other dims
  std::vector<AxisTaps> axes;

  const std::string& word(const std::string& key) const { return words.at(key); }
  double number(const std::string& key) const { return attributes.at(key).at(0); }
  std::vector<int> integers(const std::string& key) const {
    const auto& list = attributes.at(key);
    return {list.begin(), list.end()};
  }
};

struct Network {
  std::vector<Value> values;
  std::vector<Operation> operations;
  int input, logits, head;
  std::vector<int> selected;  // values of the parameters to differentiate, in gradient order

  int classes() const { return static_cast<int>(values[logits].dims[0]); }
  int foreground() const { return classes() - 1; }
};

inline int64_t count(const std::vector<int64_t>& dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

}  // namespace tracin
