// Memory, streams and events. Device memory ends at a page that nobody may touch and starts as NaN; the last of what is queued runs when
// somebody waits for it only, so that a result read too early is not there yet.
#include <sys/mman.h>

#include <cstdlib>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "emulated.h"

namespace emulated {

struct Stream {
  std::deque<std::function<void()>> work;
};

}  // namespace emulated

struct emulatedEvent {
  emulated::Stream* stream = nullptr;
  bool recorded = false, reached = false;
};

namespace emulated {

namespace {

constexpr size_t kPage = 4096, kAlignment = 256, kTotal = size_t(16) << 30;

// Of shared memory: what a launch has without asking, and what it may ask for.
constexpr size_t kShared = 48 << 10, kMostShared = 227 << 10;
size_t sharedAllowed = kShared;

// A stream takes so much before the host must wait.
constexpr size_t kDepth = 16;

struct Allocation {
  size_t bytes, used;
  char* mapped;
  size_t length;
};

std::map<const char*, Allocation> memory;
std::map<const char*, size_t> pinned;
size_t taken = 0;
int64_t allocationsLeft = INT64_MAX;
std::string failure;
cudaError_t last = cudaSuccess;

cudaError_t status(cudaError_t found = cudaSuccess) {
  if (!failure.empty()) found = cudaErrorLaunchFailure;
  if (found != cudaSuccess) last = found;
  return found;
}

void drain(Stream* stream, size_t to = 0) {
  while (stream->work.size() > to) {
    const auto next = std::move(stream->work.front());
    stream->work.pop_front();
    if (failure.empty()) next();
  }
}

std::vector<Stream*> streams;

void drainAll() {
  for (Stream* s : streams) drain(s);
}

}  // namespace

std::recursive_mutex& lock() {
  static std::recursive_mutex one;
  return one;
}

unsigned random(unsigned n) {
  static uint64_t state = [] {
    const char* seed = std::getenv("TRACIN_EMULATED_SEED");
    return 0x9e3779b97f4a7c15u * (seed ? std::strtoull(seed, nullptr, 10) + 1 : 1);
  }();
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return static_cast<unsigned>((state >> 32) * n >> 32);
}

void fail(const std::string& why) {
  if (failure.empty()) failure = why;
}

void failAllocationsAfter(int64_t n) {
  const std::lock_guard guard(lock());
  allocationsLeft = n;
}

bool onDevice(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  auto it = memory.upper_bound(at);
  if (it == memory.begin()) return false;
  --it;
  return at + bytes <= it->first + it->second.bytes;
}

static bool isPinned(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  auto it = pinned.upper_bound(at);
  return it != pinned.begin() && at + bytes <= (--it)->first + it->second;
}

void enqueue(Stream* stream, std::function<void()> work) {
  const std::lock_guard guard(lock());
  stream->work.push_back(std::move(work));
  drain(stream, kDepth);
}

void launch(const Shape& shape, std::function<void()> thread) {
  const auto& [grid, block, shared, stream] = shape;
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  // the limits of compute capability 9.0
  if (!stream || shared > sharedAllowed || !threads || threads > 1024 || !grid.x || !grid.y || !grid.z || grid.x > INT32_MAX ||
      grid.y > 65535 || grid.z > 65535) {
    last = cudaErrorInvalidConfiguration;
    return;
  }
  enqueue(stream, [grid = grid, block = block, shared = shared, thread = std::move(thread)] { runGrid(grid, block, shared, thread); });
}

}  // namespace emulated

using namespace emulated;

#define LOCKED const std::lock_guard guard(lock())

cudaError_t cudaGetLastError() {
  LOCKED;
  const cudaError_t found = status(last);
  last = cudaSuccess;
  return found;
}

const char* cudaGetErrorString(cudaError_t e) {
  switch (e) {
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidValue:
      return "invalid argument: memory that is not where it is said to be";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration of a launch";
    case cudaErrorInvalidResourceHandle:
      return "invalid handle";
    default:
      return failure.empty() ? "no error" : failure.c_str();
  }
}

cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 2, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return device == 0 || device == 1 ? cudaSuccess : cudaErrorNoDevice; }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? 9 : attribute == cudaDevAttrComputeCapabilityMinor ? 0 : int(kMostShared);
  return cudaSuccess;
}
// Of any kernel: launches do not know which one theirs is.
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int value) {
  LOCKED;
  if (value < 0 || size_t(value) > kMostShared) return status(cudaErrorInvalidValue);
  sharedAllowed = std::max(sharedAllowed, size_t(value));
  return status();
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  std::strcpy(p->name, "emulated by the host");
  p->totalGlobalMem = kTotal;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  LOCKED;
  return *free = kTotal - taken, *total = kTotal, cudaSuccess;
}

cudaError_t cudaMalloc(void** to, size_t bytes) {
  LOCKED;
  if (bytes > kTotal - taken || allocationsLeft-- <= 0) return status(cudaErrorMemoryAllocation);
  const size_t used = (bytes + kAlignment - 1) / kAlignment * kAlignment, pages = (used + kPage - 1) / kPage * kPage,
               length = pages + kPage;
  void* mapped = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return status(cudaErrorMemoryAllocation);
  char* first = static_cast<char*>(mapped);
  mprotect(first + pages, kPage, PROT_NONE);
  char* data = first + pages - used;
  std::memset(data, 0xff, used);
  memory[data] = {bytes, used, first, length};
  taken += used;
  *to = data;
  return status();
}

cudaError_t cudaFree(void* data) {
  LOCKED;
  drainAll();  // it waits for all that runs
  if (!data) return status();
  const auto it = memory.find(static_cast<char*>(data));
  if (it == memory.end()) return status(cudaErrorInvalidValue);
  taken -= it->second.used;
  munmap(it->second.mapped, it->second.length);
  memory.erase(it);
  return status();
}

cudaError_t cudaMallocHost(void** to, size_t bytes) {
  LOCKED;
  if (allocationsLeft-- <= 0) return status(cudaErrorMemoryAllocation);
  char* data = new char[bytes];
  pinned[data] = bytes;
  *to = data;
  return status();
}

cudaError_t cudaFreeHost(void* data) {
  LOCKED;
  drainAll();
  if (!pinned.erase(static_cast<char*>(data))) return status(cudaErrorInvalidValue);
  delete[] static_cast<char*>(data);
  return status();
}

// What is copied from pageable host memory is staged at once, from pinned memory it is read when its turn comes; a copy to the host is
// waited for.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  LOCKED;
  if (bytes == 0) return status();
  if (!stream) return status(cudaErrorInvalidResourceHandle);
  const bool toDevice = onDevice(to, bytes), fromDevice = onDevice(from, bytes);
  if (toDevice != (kind != cudaMemcpyDeviceToHost) || fromDevice != (kind != cudaMemcpyHostToDevice)) return status(cudaErrorInvalidValue);
  if (kind == cudaMemcpyDeviceToDevice || (kind == cudaMemcpyHostToDevice && isPinned(from, bytes))) {
    enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  } else if (kind == cudaMemcpyHostToDevice) {
    const char* start = static_cast<const char*>(from);
    enqueue(stream, [=, staged = std::vector<char>(start, start + bytes)] { std::memcpy(to, staged.data(), bytes); });
  } else {
    drain(stream);
    if (failure.empty()) std::memcpy(to, from, bytes);
  }
  return status();
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  LOCKED;
  if (bytes == 0) return status();
  if (!stream) return status(cudaErrorInvalidResourceHandle);
  if (!onDevice(data, bytes)) return status(cudaErrorInvalidValue);
  enqueue(stream, [=] { std::memset(data, value, bytes); });
  return status();
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  LOCKED;
  streams.push_back(*stream = new Stream);
  return status();
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  LOCKED;
  drain(stream);
  std::erase(streams, stream);
  delete stream;
  return status();
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  LOCKED;
  if (!stream) return status(cudaErrorInvalidResourceHandle);
  drain(stream);
  return status();
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return *event = new emulatedEvent, cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  LOCKED;
  if (event->recorded && !event->reached) drain(event->stream);
  delete event;
  return status();
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  LOCKED;
  event->stream = stream, event->recorded = true, event->reached = false;
  enqueue(stream, [event] { event->reached = true; });
  return status();
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  LOCKED;
  if (event->recorded && !event->reached) drain(event->stream);
  return status();
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  LOCKED;
  if (!from->reached || !to->reached) return status(cudaErrorInvalidResourceHandle);
  *milliseconds = 1.f + static_cast<float>(random(1000));  // drawn, so that all that is chosen by time is met
  return status();
}
