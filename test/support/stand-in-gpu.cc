// Stands in for libtracin-cuda.so where there is no GPU: two devices that the cpu engine computes for, so that everything around the
// CUDA engine runs as it does with one.
#include <string>

#include "../../native/cpu/program.h"
#include "../../native/cuda/entry.h"

namespace tracin::cuda {

namespace {

int deviceCount() { return 2; }

std::string describe(int device) { return "stand-in " + std::to_string(device); }

// the second one is of an older kind
std::string missing(int device, Precision precision) {
  return device == 1 && precision != Precision::f32 ? "compute capability 7.5 has no tf32 and bf16" : "";
}

int64_t freeBytes(int) { return int64_t(1) << 30; }

std::unique_ptr<Program> compile(Network network, const CompileOptions& options) {
  if (options.precision != Precision::f32) throw EngineError("cuda: the stand-in has no operator Conv in this precision");
  return cpu::compile(std::move(network), {1, 0, Precision::f32});
}

}  // namespace

}  // namespace tracin::cuda

extern "C" const tracin::cuda::Entry* tracin_cuda(int abi) {
  using namespace tracin::cuda;
  static const Entry entry{abi, deviceCount, describe, missing, freeBytes, compile};
  return &entry;
}
