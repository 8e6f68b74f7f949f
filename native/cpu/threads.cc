#include "threads.h"

#include <omp.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace tracin::cpu {

void useThreads(int threads) {
  omp_set_num_threads(threads);
#if defined(__x86_64__)
  constexpr unsigned kDenormalsAreZero = 0x40;
#pragma omp parallel
  _mm_setcsr(_mm_getcsr() | _MM_FLUSH_ZERO_ON | kDenormalsAreZero);
#endif
}

}  // namespace tracin::cpu
