// How kernels run.
#pragma once

namespace tracin::cpu {

// On so many threads, and with numbers too small for float32's full precision counting as zero: cotangents fade into such denormal
// numbers far from their region, and the processor takes a hundred times as long for them.
void useThreads(int threads);

}  // namespace tracin::cpu
