// The one thread that runs the core's work for the whole process. Always the same one, because OpenMP keeps a team of threads for each
// thread that calls it: from libuv's pool there would be four teams on the same cores, none of which may then wait actively.
#pragma once
#include <functional>

namespace tracin::binding {

void dispatch(std::function<void()> work);

}  // namespace tracin::binding
