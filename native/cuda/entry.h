// The one door of libtracin-cuda.so, which the addon opens with dlopen when a GPU is asked for. Both are built together from one source:
// TRACIN_ABI, a digest of the headers they share (see CMakeLists.txt), keeps an old library from being taken for this one.
#pragma once
#include "../core/program.h"

namespace tracin::cuda {

// A device is known by its index in the driver's order (CUDA_VISIBLE_DEVICES counts). Every function may throw EngineError.
struct Entry {
  int abi;
  // Devices here, 0 without one. Throws where the driver is missing or too old, saying which.
  int (*deviceCount)();
  // One line: name, compute capability, memory, versions of driver and cuDNN.
  std::string (*describe)(int device);
  // Why this library cannot compute on the device in that precision, or ''.
  std::string (*missing)(int device, Precision);
  // Device memory nobody has taken.
  int64_t (*freeBytes)(int device);
  // Calls of one program come one at a time, from one thread for each device (`stage` from another one); its destructor and those of its
  // blocks from any thread.
  std::unique_ptr<Program> (*compile)(Network, const CompileOptions&);
};

}  // namespace tracin::cuda

// nullptr where the library is of another build.
extern "C" __attribute__((visibility("default"))) const tracin::cuda::Entry* tracin_cuda(int abi);
