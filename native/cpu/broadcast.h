// numpy broadcasting of flat arrays: strides of an operand under the result's dims, 0 along what is repeated.
#pragma once
#include <cstdint>
#include <vector>

namespace tracin::cpu {

class Broadcast {
 public:
  Broadcast(const std::vector<int64_t>& result, const std::vector<int64_t>& operand) : dims_(result), strides_(result.size(), 0) {
    int64_t stride = 1;
    for (size_t i = 0; i < operand.size(); ++i) {
      // an operand may have leading axes of 1 that the result lacks (a batch axis)
      if (i >= result.size()) break;
      const size_t from = operand.size() - 1 - i, to = result.size() - 1 - i;
      if (operand[from] != 1) strides_[to] = stride;
      stride *= operand[from];
    }
    int64_t n = 1;
    for (int64_t d : result) n *= d;
    total_ = n;
    lines_ = result.empty() ? 1 : n / (result.back() ? result.back() : 1);
  }

  bool repeats() const {
    for (size_t i = 0; i < dims_.size(); ++i)
      if (dims_[i] > 1 && strides_[i] == 0) return true;
    return false;
  }
  int64_t total() const { return total_; }
  int64_t lines() const { return lines_; }
  int64_t length() const { return dims_.empty() ? 1 : dims_.back(); }
  int64_t step() const { return dims_.empty() ? 0 : strides_.back(); }
  // Where the operand's numbers for a line of the result start.
  int64_t start(int64_t line) const {
    int64_t at = 0;
    for (size_t i = dims_.size(); i-- > 1;) {
      at += line % dims_[i - 1] * strides_[i - 1];
      line /= dims_[i - 1];
    }
    return at;
  }

 private:
  std::vector<int64_t> dims_, strides_;
  int64_t total_, lines_;
};

}  // namespace tracin::cpu
