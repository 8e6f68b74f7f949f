// What this processor has beyond what everything here is compiled for.
#pragma once

namespace tracin::cpu {

inline bool hasAvx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f");
#else
  return false;
#endif
}

}  // namespace tracin::cpu
