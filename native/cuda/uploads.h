// What a call to come reads, brought to the device while the call before computes.
#pragma once
#include <map>

#include "device.h"

namespace tracin::cuda {

class Uploads {
 public:
  static constexpr int kPlaces = 2;

  explicit Uploads(const Device& device) : device_(device) {}
  ~Uploads();
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;

  // Copies of the arrays, on the device once it returns; false where there is no memory for them. From any one thread; nothing that is
  // queued may still read the place.
  bool put(int place, const std::vector<std::span<const std::byte>>& arrays);
  // Queues a copy of an array, out of the place where that has one (−1: none has), else from the host.
  void copy(int place, void* to, const void* array, int64_t bytes) const;

 private:
  struct Place {
    Buffer room;
    std::map<std::pair<const void*, int64_t>, const void*> copies;  // of the array there on the host, of so many bytes
  };
  // Memory that the device reads by itself: while it does, the host fills the other half.
  struct Half {
    char* memory = nullptr;
    cudaStream_t stream = nullptr;
  };
  const Device& device_;
  Place places_[kPlaces];
  Half halves_[2];
};

}  // namespace tracin::cuda
