#include "uploads.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace tracin::cuda {

namespace {

// Of a half: large enough that a copy takes longer than to ask for one.
constexpr size_t kHalf = size_t(4) << 20;
constexpr size_t kAlignment = 256;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

Uploads::~Uploads() {
  cudaSetDevice(device_.index);
  for (const Half& half : halves_) {
    if (half.stream) cudaStreamDestroy(half.stream);
    if (half.memory) cudaFreeHost(half.memory);
  }
}

bool Uploads::put(int place, const std::vector<std::span<const std::byte>>& arrays) {
  device_.use();
  auto& [room, copies] = places_[place];
  copies.clear();
  size_t total = 0;
  for (const auto& array : arrays) total += aligned(array.size());
  try {
    if (room.bytes() < int64_t(total)) {
      room = Buffer();  // before a new one comes
      room = Buffer(total);
    }
    for (Half& half : halves_) {
      if (!half.memory) check(cudaMallocHost(reinterpret_cast<void**>(&half.memory), kHalf), "cudaMallocHost");
      // not that of the calls: what it copies does not wait for what they compute
      if (!half.stream) check(cudaStreamCreateWithFlags(&half.stream, cudaStreamNonBlocking), "cudaStreamCreate");
    }
  } catch (const std::bad_alloc&) {
    return false;
  }

  size_t gathered = 0, sent = 0;
  Half* half = &halves_[0];
  const auto send = [&] {
    check(cudaMemcpyAsync(room.as<char>() + sent, half->memory, gathered - sent, cudaMemcpyHostToDevice, half->stream),
          "copy to the device");
    sent = gathered;
    half = &halves_[half == &halves_[0]];
    check(cudaStreamSynchronize(half->stream), "cudaStreamSynchronize");
  };
  for (const auto& array : arrays) {
    copies[{array.data(), array.size()}] = room.as<char>() + gathered;
    for (size_t done = 0; done < array.size();) {
      const size_t n = std::min(array.size() - done, kHalf - (gathered - sent));
      std::memcpy(half->memory + (gathered - sent), array.data() + done, n);
      gathered += n, done += n;
      if (gathered - sent == kHalf) send();
    }
    gathered = aligned(gathered);
  }
  send();
  for (const Half& h : halves_) check(cudaStreamSynchronize(h.stream), "cudaStreamSynchronize");
  return true;
}

void Uploads::copy(int place, void* to, const void* array, int64_t bytes) const {
  if (place >= 0) {
    const auto& copies = places_[place].copies;
    const auto it = copies.find({array, bytes});
    if (it != copies.end()) {
      check(cudaMemcpyAsync(to, it->second, bytes, cudaMemcpyDeviceToDevice, device_.stream), "copy on the device");
      return;
    }
  }
  device_.upload(to, array, bytes);
}

}  // namespace tracin::cuda
