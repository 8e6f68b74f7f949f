// The native engines by name. cpu is part of the addon; cuda is a library of its own, opened when it is first asked for.
#pragma once
#include <memory>
#include <string>

#include "../core/program.h"

namespace tracin::binding {

struct Choice {
  bool cuda;
  CompileOptions options;
};

// Opens libtracin-cuda.so; a second call changes nothing. Throws EngineError in the words of the system's loader.
void openCuda(const std::string& path);
// Throws EngineError where the driver does not answer.
int cudaDevices();

// Why the engine cannot compute here with these options, or ''. Of cpu: asked before anything compiled for a newer processor runs.
std::string missing(const Choice&);
std::string describe(const Choice&);
std::unique_ptr<Program> compile(const Choice&, Network);
// Bytes free where the engine keeps its numbers; -1: in this process's own memory.
int64_t freeBytes(const Choice&);

}  // namespace tracin::binding
