// What the parts of the emulated device share.
#pragma once
#include <mutex>

#include "cuda_runtime.h"

namespace emulated {

// One call at a time: blocks share the names of their threads and their shared memory.
std::recursive_mutex& lock();

// Work for a stream, done when somebody waits for it.
void enqueue(Stream* stream, std::function<void()> work);
// All blocks of a grid; fails where threads wait for each other in vain.
void runGrid(dim3 grid, dim3 block, size_t shared, const std::function<void()>& call);
// A number in [0, n), the same sequence for the same TRACIN_EMULATED_SEED.
unsigned random(unsigned n);

// From now on every call fails, in these words, as after a failed kernel.
void fail(const std::string& why);
// Whether so many bytes from there on are device memory that was given out.
bool onDevice(const void* data, size_t bytes);

}  // namespace emulated
