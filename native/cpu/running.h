// Running sums, to share out things of different sizes in one loop. In a nameless namespace for the sake of winograd.h's rule: nothing
// inline is shared with files compiled for other processors.
#pragma once
#include <cstdint>

namespace tracin::cpu {

namespace {

// Sums of what comes before: 0, size(0), size(0) + size(1), …
class Running {
 public:
  template <class Size>
  Running(int count, Size size) : count_(count), sums_(new int64_t[count + 1]) {
    sums_[0] = 0;
    for (int i = 0; i < count; ++i) sums_[i + 1] = sums_[i] + size(i);
  }
  ~Running() { delete[] sums_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  int64_t operator[](int i) const { return sums_[i]; }
  int64_t total() const { return sums_[count_]; }
  // Whose the n-th of all is.
  int ownerOf(int64_t n) const {
    int low = 0, high = count_;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (sums_[middle] <= n ? low : high) = middle;
    }
    return low;
  }

 private:
  int count_;
  int64_t* sums_;
};

}  // namespace

}  // namespace tracin::cpu
