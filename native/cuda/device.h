// One CUDA device as the engine uses it: a stream, the libraries' handles on it, memory that is used again.
#pragma once
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cudnn.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "../core/program.h"

namespace tracin::cuda {

// Failures as EngineError naming the call; want of memory as std::bad_alloc.
void check(cudaError_t status, const char* what);
void check(cudnnStatus_t status, const char* what);
void check(cublasStatus_t status, const char* what);

// Device memory, freed by its owner.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t bytes);
  Buffer(Buffer&& o) noexcept : data_(std::exchange(o.data_, nullptr)), bytes_(std::exchange(o.bytes_, 0)) {}
  Buffer& operator=(Buffer&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(bytes_, o.bytes_);
    return *this;
  }
  ~Buffer();
  float* floats() const { return static_cast<float*>(data_); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  int64_t bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

// Scratch memory that its pieces give back. One stream: what a kernel before still uses, a kernel after may have.
class Pool {
 public:
  class Piece {
   public:
    Piece() = default;
    Piece(Pool* pool, Buffer buffer) : pool_(pool), buffer_(std::move(buffer)) {}
    Piece(Piece&& o) noexcept : pool_(std::exchange(o.pool_, nullptr)), buffer_(std::move(o.buffer_)) {}
    Piece& operator=(Piece&& o) noexcept {
      std::swap(pool_, o.pool_);
      std::swap(buffer_, o.buffer_);
      return *this;
    }
    ~Piece() {
      if (pool_) pool_->free_.emplace(buffer_.bytes(), std::move(buffer_));
    }
    float* floats() const { return buffer_.floats(); }
    template <class T>
    T* as() const {
      return buffer_.as<T>();
    }
    explicit operator bool() const { return static_cast<bool>(buffer_); }

   private:
    Pool* pool_ = nullptr;
    Buffer buffer_;
  };

  Piece take(int64_t bytes);
  Piece takeFloats(int64_t n) { return take(n * int64_t(sizeof(float))); }
  template <class T>
  Piece upload(const std::vector<T>& list, cudaStream_t stream) {
    Piece piece = take(list.size() * sizeof(T));
    check(cudaMemcpyAsync(piece.as<T>(), list.data(), list.size() * sizeof(T), cudaMemcpyHostToDevice, stream), "copy to the device");
    return piece;
  }
  void trim() { free_.clear(); }

 private:
  std::multimap<int64_t, Buffer> free_;
};

// Of a call of cuBLAS that multiplies many matrices: with more than 65535 it failed on Turing (github.com/pytorch/pytorch/pull/46001).
constexpr int kMostProducts = 63 * 1024;

// A stream and the libraries' handles on it.
struct Handles {
  cudaStream_t stream = nullptr;
  cublasHandle_t blas = nullptr;
  cudnnHandle_t dnn = nullptr;
};

class Device : public Handles {
 public:
  explicit Device(int index);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // The calling thread works on this device from now on.
  void use() const { check(cudaSetDevice(index), "cudaSetDevice"); }
  void synchronize() const { check(cudaStreamSynchronize(stream), "cudaStreamSynchronize"); }
  void zero(void* data, int64_t bytes) const { check(cudaMemsetAsync(data, 0, bytes, stream), "cudaMemsetAsync"); }
  void download(void* host, const void* device, int64_t bytes) const {
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream), "copy from the device");
  }
  void upload(void* device, const void* host, int64_t bytes) const {
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream), "copy to the device");
  }
  // Of a buffer of floats, once what was queued before has run.
  std::vector<float> numbers(const Buffer& buffer) const {
    std::vector<float> all(buffer.bytes() / sizeof(float));
    download(all.data(), buffer.floats(), buffer.bytes());
    synchronize();
    return all;
  }

  // Whether blocks of a kernel may have so many bytes of shared memory; beyond 48 KiB they are asked for, here.
  bool fits(const void* kernel, int bytes) const;

  const int index;
  std::string kind;  // the name that devices alike have in common
  Pool pool;

 private:
  int sharedBytes_ = 0;  // that a block may ask for
  mutable std::map<const void*, int> asked_;
};

}  // namespace tracin::cuda
