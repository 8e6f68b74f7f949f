// What this processor has beyond what everything here is compiled for. The library's ONEDNN_MAX_CPU_ISA limits it, too.
#pragma once

namespace tracin::cpu {

#if defined(__x86_64__)
constexpr bool kX86 = true;
#else
constexpr bool kX86 = false;
#endif

bool hasAvx512();

// AVX-512's products of bfloat16.
bool hasBf16();

// AMX with bfloat16, and the system's leave to use it in this process, asked for here.
bool hasAmx();

// The largest set of instructions that the library uses, e.g. "avx512_core_bf16".
const char* instructions();

}  // namespace tracin::cpu
