// The optimiser's memory on the device: a velocity for each parameter, or Adam's two moments.
#pragma once
#include <array>
#include <map>

#include "device.h"

namespace tracin::cuda {

class Slots {
 public:
  explicit Slots(const Device& device) : device_(device) {}

  // Of a parameter, zero where nothing was there: the velocity and none, or m and v.
  std::array<float*, 2> of(const Optimiser&, const Value& parameter);

  // By kind and parameter, "velocity/conv1.weight".
  Arrays numbers() const;
  // Takes them all, or none where memory runs out.
  void restore(const Arrays&);

 private:
  const Device& device_;
  std::map<std::string, Buffer> slots_;

  float* at(const char* kind, const Value& parameter);
};

}  // namespace tracin::cuda
