// What this processor has beyond what everything here is compiled for.
#pragma once

namespace tracin::cpu {

#if defined(__x86_64__)
constexpr bool kX86 = true;
#else
constexpr bool kX86 = false;
#endif

inline bool hasAvx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f");
#else
  return false;
#endif
}

// AMX with bfloat16, and the system's leave to use it in this process, asked for here.
bool hasAmx();

}  // namespace tracin::cpu
