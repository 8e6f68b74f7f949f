// Threads of a block, each on a stack of its own. A warp runs until it can go no further before another has its turn, its lanes one after
// another. Which block, warp and lane is the first, and which way they go, is drawn anew each time, so that what depends on an order shows.
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cuda_pipeline.h"
#include "emulated.h"

namespace emulated {

namespace {

constexpr size_t kStack = 128 << 10;
// Stacks start at different places of their pages: the caches keep what lies in the same place of too few.
constexpr size_t kSkew = 832, kSkews = 64;
constexpr unsigned kLanes = 32;

enum class State { ready, block, warp, done };

// Registers are left to the compiler, which makes a switch cheaper than setjmp's.
struct Jump {
  void* at[5];
};
#define SAVED_HERE(jump) (__builtin_setjmp((jump).at) == 0)
[[noreturn]] __attribute__((noinline)) void go(Jump& jump) { __builtin_longjmp(jump.at, 1); }

struct Fiber {
  std::unique_ptr<char[]> stack{new char[kStack]};
  Jump at;
  bool started = false;
};

struct Thread {
  State state = State::ready;
  int line = 0;
  Fiber* fiber = nullptr;
  unsigned exchanges = 0;
  std::vector<Copy> copies;
};

std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Fiber*> idle;

std::vector<Thread> threads;
std::vector<unsigned> order;  // in which lanes of the running warp are looked at
size_t turn = 0;              // in `order`
unsigned current = 0;
dim3 shape;
const std::function<void()>* kernel = nullptr;
char brought[2][1024][kExchanged];
char* dynamic = nullptr;
Jump scheduler;
ucontext_t creator;

void become(unsigned t) {
  current = t;
  threadIdx = {t % shape.x, t / shape.x % shape.y, t / shape.x / shape.y};
}

// The next of those that are ready, or none.
Thread* next() {
  while (turn < order.size() && threads[order[turn]].state != State::ready) ++turn;
  if (turn == order.size()) return nullptr;
  become(order[turn++]);
  return &threads[current];
}

// The next thread runs, where it has begun; otherwise the scheduler.
[[noreturn]] void leave() {
  if (turn < order.size() && threads[order[turn]].fiber) go(next()->fiber->at);
  go(scheduler);
}

// A fiber takes one thread after another that has not begun.
void work() {
  for (;;) {
    (*kernel)();
    Thread& own = threads[current];
    Fiber* fiber = own.fiber;
    own.state = State::done, own.fiber = nullptr;
    if (turn < order.size() && !threads[order[turn]].fiber) {
      next()->fiber = fiber;
      continue;
    }
    idle.push_back(fiber);
    if (SAVED_HERE(fiber->at)) leave();
  }
}

void run(Thread& thread) {
  if (!thread.fiber) {
    if (idle.empty()) {
      fibers.push_back(std::make_unique<Fiber>());
      idle.push_back(fibers.back().get());
    }
    thread.fiber = idle.back();
    idle.pop_back();
  }
  Fiber& fiber = *thread.fiber;
  if (!SAVED_HERE(scheduler)) return;
  if (fiber.started) go(fiber.at);
  fiber.started = true;
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = fiber.stack.get();
  context.uc_stack.ss_size = kStack - fibers.size() % kSkews * kSkew;
  context.uc_link = nullptr;
  makecontext(&context, work, 0);
  swapcontext(&creator, &context);
}

void wait(State for_, int line) {
  Thread& own = threads[current];
  own.state = for_, own.line = line;
  if (SAVED_HERE(own.fiber->at)) leave();
}

// Whether every thread from first to end that is not done (all: none may be) waits at one place; then they go on.
bool release(unsigned first, unsigned end, State for_, bool all) {
  int line = 0;
  for (unsigned t = first; t < end; ++t) {
    if (threads[t].state == State::done && !all) continue;
    if (threads[t].state != for_ || (line && threads[t].line != line)) return false;
    line = threads[t].line;
  }
  if (!line) return false;
  for (unsigned t = first; t < end; ++t)
    if (threads[t].state == for_) threads[t].state = State::ready;
  return true;
}

// visit(i) for all numbers below n, from somewhere, one way or the other.
template <class Visit>
void inDrawnOrder(uint64_t n, Visit visit) {
  const uint64_t first = random(static_cast<unsigned>(std::min<uint64_t>(n, 1u << 30)));
  const bool backwards = random(2);
  for (uint64_t i = 0; i < n; ++i) {
    const uint64_t at = (first + i) % n;
    visit(backwards ? n - 1 - at : at);
  }
}

void claimShared(size_t bytes) {
  constexpr size_t kMost = 256 << 10, kPage = 4096;
  static char* const end = [] {
    void* mapped = mmap(nullptr, kMost + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    mprotect(static_cast<char*>(mapped) + kMost, kPage, PROT_NONE);
    return static_cast<char*>(mapped) + kMost;
  }();
  dynamic = end - (bytes + 15) / 16 * 16;
  std::memset(dynamic, 0xff, bytes);
}

void runWarp(unsigned first, unsigned end) {
  order.clear();
  inDrawnOrder(end - first, [&](uint64_t lane) { order.push_back(first + static_cast<unsigned>(lane)); });
  do {
    turn = 0;
    while (Thread* thread = next()) run(*thread);
  } while (release(first, end, State::warp, true));
}

void runBlock(unsigned n) {
  threads.assign(n, {});
  do {
    inDrawnOrder((n + kLanes - 1) / kLanes, [&](uint64_t warp) {
      const auto first = static_cast<unsigned>(warp * kLanes);
      runWarp(first, std::min(n, first + kLanes));
    });
  } while (release(0, n, State::block, false));
  for (const Thread& t : threads) {
    if (t.state == State::done) continue;
    fail("threads of a block wait for others that never come, line " + std::to_string(t.line));
    fibers.clear(), idle.clear();
    return;
  }
}

}  // namespace

unsigned lane() { return current % kLanes; }

void waitForBlock(int line) { wait(State::block, line); }

const char (*exchange(const void* own, size_t bytes, unsigned mask, int line))[kExchanged] {
  if (mask != 0xffffffffu) fail("a shuffle of a part of the warp");
  // lanes are at most one exchange apart
  char(*all)[kExchanged] = brought[threads[current].exchanges++ % 2];
  std::memcpy(all[current], own, bytes);
  const unsigned warp = current / kLanes * kLanes;
  wait(State::warp, line);
  return all + warp;
}

std::vector<Copy>& copies() { return threads[current].copies; }

void* dynamicShared() { return dynamic; }

void runGrid(dim3 grid, dim3 block, size_t shared, const std::function<void()>& call) {
  gridDim = grid, blockDim = shape = block;
  kernel = &call;
  inDrawnOrder(uint64_t(grid.x) * grid.y * grid.z, [&](uint64_t b) {
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y), static_cast<unsigned>(b / grid.x / grid.y)};
    claimShared(shared);
    runBlock(block.x * block.y * block.z);
  });
}

}  // namespace emulated
