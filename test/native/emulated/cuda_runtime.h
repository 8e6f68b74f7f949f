// CUDA computed by the host, as far as the cuda engine uses it: its kernels run here thread by thread, so that a machine without a GPU can
// test what they compute. See README.md in this folder.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>

// --- the language

#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static  // blocks run one after another
#define __CUDA_ARCH__ 900

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(16) float4 {  // as CUDA has it
  float x, y, z, w;
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

template <class T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t(a) * b >> 32); }

// --- threads of a block and of a warp, waiting for each other

namespace emulated {

void waitForBlock(int line);
// Shared memory that a launch asks for beside what its kernel declares; NaN when a block begins, and a page that nobody may touch behind
// it.
void* dynamicShared();
// What every lane of the warp brought, by lane.
constexpr size_t kExchanged = 32;
const char (*exchange(const void* own, size_t bytes, unsigned mask, int line))[kExchanged];
unsigned lane();

// From now on so many allocations succeed, and then none.
void failAllocationsAfter(int64_t n);

struct Stream;

// What stands between <<< and >>>.
struct Shape {
  dim3 grid, block;
  size_t shared;
  Stream* stream;
  Shape(dim3 g, dim3 b, size_t s, Stream* on) : grid(g), block(b), shared(s), stream(on) {}
};

// Queued; `thread` runs one thread of the kernel.
void launch(const Shape& shape, std::function<void()> thread);

// start(kernel, shape)(arguments): they are copied now, as a launch does.
template <class Kernel>
auto start(Kernel kernel, const Shape& shape) {
  return [=](const auto&... arguments) {
    launch(shape, [kernel, all = std::tuple<std::decay_t<decltype(arguments)>...>(arguments...)] { std::apply(kernel, all); });
  };
}

}  // namespace emulated

inline void __syncthreads(int line = __builtin_LINE()) { emulated::waitForBlock(line); }
inline void __syncwarp(int line = __builtin_LINE()) { emulated::exchange("", 1, 0xffffffffu, line); }

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int step, int line = __builtin_LINE()) {
  static_assert(sizeof(T) <= emulated::kExchanged);
  const auto all = emulated::exchange(&value, sizeof(T), mask, line);
  std::memcpy(&value, all[emulated::lane() ^ step], sizeof(T));
  return value;
}

// --- the runtime

enum cudaError_t {
  cudaSuccess,
  cudaErrorInvalidValue,
  cudaErrorMemoryAllocation,
  cudaErrorNoDevice,
  cudaErrorInsufficientDriver,
  cudaErrorInvalidResourceHandle,
  cudaErrorLaunchFailure,
  cudaErrorInvalidConfiguration
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor, cudaDevAttrMaxSharedMemoryPerBlockOptin };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum cudaDataType_t { CUDA_R_32F, CUDA_R_16BF };
constexpr unsigned cudaStreamNonBlocking = 1;
#define CUDART_VERSION 13000

using cudaStream_t = emulated::Stream*;
using cudaEvent_t = struct emulatedEvent*;
struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
};

cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaDriverGetVersion(int*);
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaDeviceGetAttribute(int*, cudaDeviceAttr, int device);
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value);
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int device);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMalloc(void**, size_t);
cudaError_t cudaFree(void*);
cudaError_t cudaMallocHost(void**, size_t);
cudaError_t cudaFreeHost(void*);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void*, int value, size_t, cudaStream_t);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaEventCreate(cudaEvent_t*);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to);
