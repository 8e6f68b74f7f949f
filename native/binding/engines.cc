#include "engines.h"

#ifdef __linux__
#include <dlfcn.h>
#endif

#include "../cpu/program.h"
#include "../cuda/entry.h"

namespace tracin::binding {

namespace {

const cuda::Entry* library = nullptr;

const cuda::Entry& entry() {
  if (!library) throw EngineError("cuda: its library is not open");
  return *library;
}

}  // namespace

void openCuda(const std::string& path) {
#ifdef __linux__
  if (library) return;
  // never closed: the driver's threads outlive every call
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) throw EngineError(dlerror());
  auto* open = reinterpret_cast<decltype(&tracin_cuda)>(dlsym(handle, "tracin_cuda"));
  const cuda::Entry* found = open ? open(TRACIN_ABI) : nullptr;
  if (!found) throw EngineError(path + " is of another build than the addon: build both again");
  library = found;
#else
  throw EngineError(path + ": the cuda engine is for Linux");
#endif
}

int cudaDevices() { return entry().deviceCount(); }

std::string missing(const Choice& choice) {
  if (choice.cuda) return entry().missing(choice.options.device, choice.options.precision);
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    return "this processor has no AVX2, which the cpu engine is built for";
#endif
  return cpu::missing(choice.options.precision);
}

std::string describe(const Choice& choice) { return choice.cuda ? entry().describe(choice.options.device) : cpu::describe(); }

std::unique_ptr<Program> compile(const Choice& choice, Network network) {
  return choice.cuda ? entry().compile(std::move(network), choice.options) : cpu::compile(std::move(network), choice.options);
}

int64_t freeBytes(const Choice& choice) { return choice.cuda ? entry().freeBytes(choice.options.device) : -1; }

}  // namespace tracin::binding
