// The cpu engine: a network run by oneDNN and a few loops of our own.
#pragma once
#include "../core/program.h"

namespace tracin::cpu {

std::unique_ptr<Program> compile(Network network, int threads);

// e.g. "oneDNN 2.6.3, avx512_core_amx"
std::string describe();

}  // namespace tracin::cpu
