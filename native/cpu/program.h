// The cpu engine: a network run by oneDNN and a few loops of our own.
#pragma once
#include "../core/program.h"

namespace tracin::cpu {

std::unique_ptr<Program> compile(Network network, const CompileOptions&);

// Why this build cannot compute in a precision on this processor, or '' when it can.
std::string missing(Precision);

// e.g. "oneDNN 2.6.3, avx512_core_amx"
std::string describe();

}  // namespace tracin::cpu
