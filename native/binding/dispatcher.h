// The threads that run the core's work. One for the cpu engine, for the whole process: always the same one, because OpenMP keeps a team
// of threads for each thread that calls it: from libuv's pool there would be four teams on the same cores, none of which may then wait
// actively. One for each GPU, so that several work at once, and another beside it.
#pragma once
#include <functional>

namespace tracin::binding {

// The lane of what is brought to a GPU while it computes.
constexpr int besides(int lane) { return -lane; }

// lane 0: cpu; 1 + i: GPU i
void dispatch(int lane, std::function<void()> work);

}  // namespace tracin::binding
