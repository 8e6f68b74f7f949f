// The threads that run the core's work. One for the cpu engine, for the whole process: always the same one, because OpenMP keeps a team
// of threads for each thread that calls it: from libuv's pool there would be four teams on the same cores, none of which may then wait
// actively. One for each GPU, so that several work at once, and another beside it.
#pragma once
#include <functional>

namespace tracin::binding {

// The lane of what is made ready while another lane computes.
constexpr int besides(int lane) { return -1 - lane; }

// lane 0: cpu; 1 + i: GPU i; below 0: beside one of those
void dispatch(int lane, std::function<void()> work);

}  // namespace tracin::binding
