// How long work on a device takes.
#pragma once
#include <algorithm>
#include <cmath>

#include "device.h"

namespace tracin::cuda {

class Event {
 public:
  Event() { check(cudaEventCreate(&raw_), "cudaEventCreate"); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(raw_); }
  void record(const Device& device) const { check(cudaEventRecord(raw_, device.stream), "cudaEventRecord"); }
  double millisecondsSince(const Event& before) const {
    check(cudaEventSynchronize(raw_), "cudaEventSynchronize");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, before.raw_, raw_), "cudaEventElapsedTime");
    return ms;
  }

 private:
  cudaEvent_t raw_ = nullptr;
};

// Of the fastest of so many runs, after one that loads code.
template <class Run>
double milliseconds(const Device& device, int times, Run run) {
  const Event from, to;
  double best = INFINITY;
  for (int i = 0; i <= times; ++i) {
    from.record(device);
    run();
    to.record(device);
    const double ms = to.millisecondsSince(from);
    if (i) best = std::min(best, ms);
  }
  return best;
}

}  // namespace tracin::cuda
