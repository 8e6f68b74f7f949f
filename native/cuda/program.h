// The cuda engine: a network run by cuDNN, cuBLASLt and kernels of our own.
#pragma once
#include "../core/program.h"

namespace tracin::cuda {

std::unique_ptr<Program> compile(Network network, const CompileOptions&);

}  // namespace tracin::cuda
