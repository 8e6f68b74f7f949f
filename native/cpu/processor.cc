#include "processor.h"

#include <oneapi/dnnl/dnnl.h>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tracin::cpu {

namespace {

// Sets of instructions are masks: a set has the bits of those that it includes.
bool has(dnnl_cpu_isa_t set) {
  static const unsigned all = dnnl_get_effective_cpu_isa();
  return (all & set) == set;
}

}  // namespace

bool hasAvx512() { return kX86 && has(dnnl_cpu_isa_avx512_core); }

bool hasBf16() { return kX86 && has(dnnl_cpu_isa_avx512_core_bf16); }

bool hasAmx() {
#if defined(__x86_64__) && defined(__linux__)
  static const bool granted = [] {
    unsigned a, b, c, d, more;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !__get_cpuid_count(7, 1, &more, &b, &c, &b)) return false;
    constexpr unsigned tile = 1u << 24, tileBf16 = 1u << 22, vectorBf16 = 1u << 5;
    if (!(d & tile) || !(d & tileBf16) || !(more & vectorBf16) || !has(dnnl_cpu_isa_avx512_core_amx)) return false;
    constexpr long request = 0x1023, tileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA of the Linux kernel
    return syscall(SYS_arch_prctl, request, tileData) == 0;
  }();
  return granted;
#else
  return false;
#endif
}

const char* instructions() {
  constexpr struct {
    dnnl_cpu_isa_t set;
    const char* name;
  } kSets[] = {{dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
               {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
               {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
               {dnnl_cpu_isa_avx512_core, "avx512_core"},
               {dnnl_cpu_isa_avx2, "avx2"},
               {dnnl_cpu_isa_avx, "avx"},
               {dnnl_cpu_isa_sse41, "sse41"}};
  for (const auto& [set, name] : kSets)
    if (kX86 && has(set)) return name;
  return "generic";
}

}  // namespace tracin::cpu
