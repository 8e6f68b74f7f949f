#include "program.h"

namespace tracin::cuda {

std::unique_ptr<Program> compile(Network network, const CompileOptions&) {
  throw EngineError("cuda: the CUDA engine has no operator " + network.operations.at(0).type + ": use --device cpu");
}

}  // namespace tracin::cuda
