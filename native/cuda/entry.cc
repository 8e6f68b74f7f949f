#include "entry.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "program.h"

namespace tracin::cuda {

namespace {

// Turing: the oldest that CUDA 13 compiles for.
constexpr int kOldest = 75;

std::string version(int number, int major, int minor) {
  return std::to_string(number / major) + "." + std::to_string(number % major / minor);
}
// 13000 is CUDA 13.0
std::string cudaVersion(int number) { return version(number, 1000, 10); }

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw EngineError(std::string("cuda: ") + what + " failed: " + cudaGetErrorString(status));
}

int capability(int device) {
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "asking the device");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "asking the device");
  return major * 10 + minor;
}

int deviceCount() {
  int driver = 0, devices = 0;
  check(cudaDriverGetVersion(&driver), "asking the driver");
  if (driver == 0) throw EngineError("the NVIDIA driver is missing (libcuda.so.1): install it from your distribution, or use cpu");
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status == cudaErrorNoDevice) return 0;
  if (status == cudaErrorInsufficientDriver)
    throw EngineError("the NVIDIA driver is too old: it knows CUDA " + cudaVersion(driver) + ", this library needs " +
                      cudaVersion(CUDART_VERSION) + ": install a newer driver");
  check(status, "starting the driver");
  return devices;
}

std::string describe(int device) {
  cudaDeviceProp properties;
  int driver = 0;
  check(cudaGetDeviceProperties(&properties, device), "asking the device");
  check(cudaDriverGetVersion(&driver), "asking the driver");
  return std::string(properties.name) + ", compute capability " + version(capability(device), 10, 1) + ", " +
         std::to_string(properties.totalGlobalMem >> 30) + " GiB, driver for CUDA " + cudaVersion(driver) + ", cuDNN " +
         version(static_cast<int>(cudnnGetVersion()), 10000, 100) + ", cuBLASLt " +
         version(static_cast<int>(cublasLtGetVersion()), 10000, 100);
}

std::string missing(int device, Precision precision) {
  const int has = capability(device);
  const std::string named = "compute capability " + version(has, 10, 1);
  if (has < kOldest) return named + " is too old, it takes " + version(kOldest, 10, 1) + " (Turing) or newer";
  if (has < 80 && precision != Precision::f32) return named + " has no tf32 and bf16, they need 8.0 (Ampere): use f32";
  return "";
}

int64_t freeBytes(int device) {
  size_t free = 0, total = 0;
  check(cudaSetDevice(device), "choosing the device");
  check(cudaMemGetInfo(&free, &total), "asking for free memory");
  return static_cast<int64_t>(free);
}

}  // namespace

}  // namespace tracin::cuda

extern "C" const tracin::cuda::Entry* tracin_cuda(int abi) {
  using namespace tracin::cuda;
  static constexpr Entry entry{TRACIN_ABI, deviceCount, describe, missing, freeBytes, compile};
  return abi == TRACIN_ABI ? &entry : nullptr;
}
