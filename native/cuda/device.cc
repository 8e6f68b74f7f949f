#include "device.h"

#include <mutex>
#include <new>

namespace tracin::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // it is told here; the next call starts clean
  if (status == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw EngineError(std::string("cuda: ") + what + " failed: " + cudaGetErrorString(status));
}

void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  cudaGetLastError();  // what made the library fail is told here, too
  if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED || status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
    throw std::bad_alloc();
  throw EngineError(std::string("cuda: cuDNN's ") + what + " failed: " + cudnnGetErrorString(status));
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  cudaGetLastError();
  if (status == CUBLAS_STATUS_ALLOC_FAILED) throw std::bad_alloc();
  throw EngineError(std::string("cuda: cuBLAS's ") + what + " failed: " + cublasGetStatusString(status));
}

Buffer::Buffer(int64_t bytes) : bytes_(bytes) {
  if (bytes) check(cudaMalloc(&data_, bytes), "cudaMalloc");
}
Buffer::~Buffer() {
  if (data_) cudaFree(data_);
}

// The smallest free piece that is large enough and wastes at most a quarter; sizes are rounded so that few differ.
Pool::Piece Pool::take(int64_t bytes) {
  int64_t step = 512;
  while (step * 16 < bytes) step *= 2;
  const int64_t rounded = (std::max<int64_t>(bytes, 1) + step - 1) / step * step;
  const auto it = free_.lower_bound(rounded);
  if (it != free_.end() && it->first <= rounded + rounded / 4 + 4096) {
    Buffer b = std::move(it->second);
    free_.erase(it);
    return {this, std::move(b)};
  }
  try {
    return {this, Buffer(rounded)};
  } catch (const std::bad_alloc&) {
    trim();  // what lies idle in other sizes may be enough
    return {this, Buffer(rounded)};
  }
}

namespace {

// Handles of programs that have ended, by device, for those to come. To end them waits for all that runs on the device, whoever's it is,
// and cublasDestroy was seen to crash in the driver (580) beside another thread's calls.
struct Idle {
  std::mutex mutex;
  std::multimap<int, Handles> handles;
};

Idle& idle() {
  static Idle* const all = new Idle;  // never ended: the driver may be gone by then
  return *all;
}

Handles made() {
  Handles h;
  try {
    check(cudaStreamCreateWithFlags(&h.stream, cudaStreamNonBlocking), "cudaStreamCreate");
    check(cublasCreate(&h.blas), "cublasCreate");
    check(cublasSetStream(h.blas, h.stream), "cublasSetStream");
    check(cudnnCreate(&h.dnn), "cudnnCreate");
    check(cudnnSetStream(h.dnn, h.stream), "cudnnSetStream");
  } catch (...) {
    if (h.dnn) cudnnDestroy(h.dnn);
    if (h.blas) cublasDestroy(h.blas);
    if (h.stream) cudaStreamDestroy(h.stream);
    throw;
  }
  return h;
}

Handles claimed(int device) {
  {
    const std::lock_guard lock(idle().mutex);
    if (auto known = idle().handles.extract(device)) return known.mapped();
  }
  return made();
}

}  // namespace

Device::Device(int i) : index(i) {
  use();
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, index), "asking the device");
  kind = properties.name;
  check(cudaDeviceGetAttribute(&sharedBytes_, cudaDevAttrMaxSharedMemoryPerBlockOptin, index), "asking the device");
  static_cast<Handles&>(*this) = claimed(index);
}

bool Device::fits(const void* kernel, int bytes) const {
  if (bytes > sharedBytes_) return false;
  int& asked = asked_[kernel];
  if (bytes > asked) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "cudaFuncSetAttribute");
    asked = bytes;
  }
  return true;
}

Device::~Device() {
  cudaSetDevice(index);
  cudaStreamSynchronize(stream);
  const std::lock_guard lock(idle().mutex);
  idle().handles.emplace(index, *this);
}

}  // namespace tracin::cuda
