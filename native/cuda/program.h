// The cuda engine: a network run by cuDNN, cuBLAS and kernels of our own.
#pragma once
#include "../core/program.h"

namespace tracin::cuda {

// Throws EngineError where the network has an operator this engine lacks, or the device fails.
std::unique_ptr<Program> compile(Network network, const CompileOptions&);

}  // namespace tracin::cuda
