#include "device.h"

#include <new>

namespace tracin::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is told here; the next call starts clean
    throw std::bad_alloc();
  }
  throw EngineError(std::string("cuda: ") + what + " failed: " + cudaGetErrorString(status));
}

void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw EngineError(std::string("cuda: cuDNN's ") + what + " failed: " + cudnnGetErrorString(status));
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
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

Device::Device(int i) : index(i) {
  use();
  check(cudaDeviceGetAttribute(&sharedBytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, index), "asking the device");
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  check(cublasCreate(&blas), "cublasCreate");
  check(cublasSetStream(blas, stream), "cublasSetStream");
  check(cudnnCreate(&dnn), "cudnnCreate");
  check(cudnnSetStream(dnn, stream), "cudnnSetStream");
}

Device::~Device() {
  cudaSetDevice(index);
  if (dnn) cudnnDestroy(dnn);
  if (blas) cublasDestroy(blas);
  if (stream) cudaStreamDestroy(stream);
}

}  // namespace tracin::cuda
