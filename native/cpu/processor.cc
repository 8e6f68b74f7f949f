#include "processor.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tracin::cpu {

bool hasAmx() {
#if defined(__x86_64__) && defined(__linux__)
  static const bool has = [] {
    unsigned a, b, c, d, more;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !__get_cpuid_count(7, 1, &more, &b, &c, &b)) return false;
    constexpr unsigned tile = 1u << 24, tileBf16 = 1u << 22, vectorBf16 = 1u << 5;
    if (!(d & tile) || !(d & tileBf16) || !(more & vectorBf16) || !hasAvx512()) return false;
    constexpr long request = 0x1023, tileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA of the Linux kernel
    return syscall(SYS_arch_prctl, request, tileData) == 0;
  }();
  return has;
#else
  return false;
#endif
}

}  // namespace tracin::cpu
