#pragma once
#include "../core/network.h"
#include "napi_setup.h"

namespace tracin::binding {

// Reads the description lib/engine/native.ts makes of a Lowered.
Network readNetwork(const Napi::Object&);

}  // namespace tracin::binding
