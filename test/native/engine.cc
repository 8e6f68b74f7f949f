// A native engine without Node: a small network with every family of operators. Ends with `N passed, N failed`.
//   cmake --build build --target tracin-cpu-test && build/Release/tracin-cpu-test
//   cmake --build build --target tracin-cuda-test && build/Release/tracin-cuda-test     on the first GPU
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

#ifdef TRACIN_TEST_EMULATED
#include "emulated/cuda_runtime.h"
#endif
#ifdef TRACIN_TEST_CUDA
#include "../../native/cuda/program.h"
#include "sizes.h"
namespace engine = tracin::cuda;
#else
#include "../../native/cpu/program.h"
namespace engine = tracin::cpu;
#endif

#include "batch.h"
#include "networks.h"
#include "numbers.h"

using namespace tracin;
using namespace tracin::test;

#ifndef TRACIN_TEST_CUDA
// Memory that is not there: of pieces of so many bytes all after the first so many.
static struct {
  size_t bytes = 0;
  int64_t after = 0;
} refused;

void* operator new(size_t bytes) {
  if (bytes == refused.bytes && refused.after-- <= 0) throw std::bad_alloc();
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
#endif

namespace {

int passed = 0, failed = 0;

void check(bool ok, const std::string& what, double found) {
  (ok ? passed : failed)++;
  std::printf("%s  %s (%.2e)\n", ok ? "ok  " : "FAIL", what.c_str(), found);
}

Views viewsOf(const Arrays& arrays) { return {arrays.begin(), arrays.end()}; }

std::unique_ptr<Program> compiled(const Builder& b, Precision precision) {
  auto program = engine::compile(b.network, {2, 0, precision});
  program->load(viewsOf(b.weights));
  return program;
}

std::vector<float> gradientsOf(Program& program, const Batch& batch, const RegionLoss& loss, bool boxed, RegionResult* result = nullptr) {
  std::vector<float> gradients(kSlices * kForeground * program.parameterCount());
  const RegionResult found = program.gradients(batch.view(0, kSlices, boxed), loss, gradients.data(), {});
  if (result) *result = found;
  return gradients;
}

constexpr int kRows = kSlices * kForeground;

// Every region's gradient with every other's, of a block filled in two parts.
std::vector<float> productsOf(Program& program, const Batch& batch, const RegionLoss& loss, bool boxed) {
  auto block = program.resident(kSlices);
  program.append(*block, batch.view(0, 1, boxed), loss, {});
  program.append(*block, batch.view(1, kSlices - 1, boxed), loss, {});
  std::vector<float> products(kRows * kRows);
  program.contract(block.get(), batch.view(0, kSlices, boxed), loss, products.data(), {});
  return products;
}

std::vector<float> dots(const std::vector<float>& gradients, int64_t p) {
  std::vector<float> products;
  for (int r = 0; r < kRows; ++r)
    for (int q = 0; q < kRows; ++q) {
      double dot = 0;
      for (int64_t i = 0; i < p; ++i) dot += double(gradients[r * p + i]) * gradients[q * p + i];
      products.push_back(static_cast<float>(dot));
    }
  return products;
}

void derivatives(const Builder& b, const RegionLoss& loss, const std::string& name) {
  const Batch batch = batchOf(b);
  auto program = compiled(b, Precision::f32);
  RegionResult result;
  const auto gradients = gradientsOf(*program, batch, loss, false, &result);
  const int64_t p = program->parameterCount();
  const int64_t pixels = batch.targets.size() / kSlices;
  std::vector<float> logits(kSlices * kClasses * pixels), tangents(logits.size()), up(logits.size()), down(logits.size());
  double slopes = 0, sum = 0;
  for (int region : {0, 4}) {
    // along its own gradient a loss falls by |g|² a unit; forward mode along it is the logits' own difference
    const float* g = gradients.data() + region * p;
    double square = 0;
    for (int64_t i = 0; i < p; ++i) square += double(g[i]) * g[i];
    const double step = 2e-3 / std::sqrt(square);
    program->tangent(kSlices, batch.images.data(), g, logits.data(), tangents.data(), {});
    double losses[2];
    for (int side = 0; side < 2; ++side) {
      Arrays moved = b.weights;
      int64_t at = 0;
      for (int v : b.network.selected)
        for (float& x : moved[b.network.values[v].name]) x += static_cast<float>((side ? -step : step) * g[at++]);
      program->load(viewsOf(moved));
      RegionResult there;
      gradientsOf(*program, batch, loss, false, &there);
      losses[side] = there.losses[region];
      program->forward(kSlices, batch.images.data(), (side ? down : up).data(), nullptr, {});
    }
    program->load(viewsOf(b.weights));
    slopes = std::max(slopes, std::abs((losses[0] - losses[1]) / (2 * step) / square - 1));
    std::vector<float> difference(up.size());
    for (size_t i = 0; i < up.size(); ++i) difference[i] = static_cast<float>((up[i] - down[i]) / (2 * step));
    // on average: where a Relu or a maximum changes sides within the step, the difference is none
    double wrong = 0, all = 0;
    for (size_t i = 0; i < up.size(); ++i) wrong += std::abs(tangents[i] - difference[i]), all += std::abs(difference[i]);
    sum = std::max(sum, wrong / all);
    check(std::abs(result.norms[region] / square - 1) < 1e-4, name + ": squared norm of region " + std::to_string(region),
          result.norms[region]);
  }
  check(slopes < 0.02, name + ": gradients are the losses' slopes", slopes);
  check(sum < 0.02, name + ": tangents are the logits' differences", sum);

  const double error = far(productsOf(*program, batch, loss, false), dots(gradients, p));
  check(error < 1e-5, name + ": products of a block filled in two parts", error);
}

void windows() {
  const Builder b = chain();
  const Batch batch = batchOf(b);
  const RegionLoss loss{RegionLoss::Kind::dice, false};
  auto program = compiled(b, Precision::f32);
  const auto whole = gradientsOf(*program, batch, loss, false);
  check(far(gradientsOf(*program, batch, loss, true), whole) < 1e-5, "windows: gradients as on whole maps",
        far(gradientsOf(*program, batch, loss, true), whole));
  for (const auto& [precision, name, most] : {std::tuple(Precision::tf32, "tf32", 5e-3), std::tuple(Precision::bf16, "bf16", 1e-1)}) {
#ifndef TRACIN_TEST_CUDA
    if (!engine::missing(precision).empty()) continue;
#endif
    auto rounded = compiled(b, precision);
    for (const bool boxed : {false, true}) {
      const double error = far(gradientsOf(*rounded, batch, loss, boxed), whole);
      check(error < most && error > 0, std::string(name) + (boxed ? ": near float32, and not it" : ": on whole maps, too"), error);
    }
    const double apart = far(productsOf(*rounded, batch, loss, true), dots(whole, program->parameterCount()));
    check(apart < most && apart > 0, std::string(name) + ": so are the products", apart);
  }
}

#ifdef TRACIN_TEST_CUDA
std::vector<std::span<const std::byte>> arraysOf(const RegionBatch& r, int64_t pixels) {
  const std::span images(r.images, r.slices * 4 * pixels);
  const std::span targets(r.targets, r.slices * pixels), masks(r.masks, r.slices * kForeground * pixels);
  return {std::as_bytes(images), std::as_bytes(targets), std::as_bytes(masks)};
}

std::vector<std::span<const std::byte>> arraysOf(const Arrays& weights) {
  std::vector<std::span<const std::byte>> all;
  for (const auto& [_, data] : weights) all.push_back(std::as_bytes(std::span(data)));
  return all;
}

// As `productsOf`, all of it staged while the call before may run; `aborted`: with a call of other slices in between that is given up.
std::vector<float> productsStaged(Program& program, const Builder& b, const Batch& batch, const RegionLoss& loss, bool aborted) {
  const int64_t pixels = batch.targets.size() / kSlices;
  RegionBatch first = batch.view(0, 1, true), rest = batch.view(1, kSlices - 1, true), all = batch.view(0, kSlices, true);
  const auto place = [&](RegionBatch& r, int at) {
    if (program.stage(at, arraysOf(r, pixels))) r.staged = at;
  };
  const bool there = program.stage(0, arraysOf(b.weights));
  place(first, 1);
  program.load(viewsOf(b.weights), there ? 0 : -1);
  auto block = program.resident(kSlices);
  std::jthread beside([&] { place(rest, 0); });
  program.append(*block, first, loss, {});
  beside.join();
  std::vector<float> products(kRows * kRows);
  if (aborted) {
    std::atomic<int32_t> raised{1};
    place(first, 1);
    try {
      program.contract(block.get(), first, loss, products.data(), {&raised});
    } catch (const Aborted&) {
    }
  }
  beside = std::jthread([&] { place(all, 1); });
  program.append(*block, rest, loss, {});
  beside.join();
  program.contract(block.get(), all, loss, products.data(), {});
  return products;
}

void staging() {
  const Builder b = everything();
  const Batch batch = batchOf(b);
  const RegionLoss loss{RegionLoss::Kind::dice, false};
  const auto expected = productsOf(*compiled(b, Precision::f32), batch, loss, true);
  auto program = engine::compile(b.network, {2, 0, Precision::f32});
  check(productsStaged(*program, b, batch, loss, false) == expected, "staging: the same products", 0);
  check(productsStaged(*program, b, batch, loss, true) == expected, "staging: after a call that was given up, too", 0);
  check(program->snapshot() == b.weights, "staging: weights", 0);
  auto small = program->resident(1);
  RegionBatch one = batch.view(0, 1, true);
  const auto other = batch.view(1, 1, true);
  program->stage(0, arraysOf(other, batch.targets.size() / kSlices));
  one.staged = 0;  // of other slices: there is no copy of these
  program->append(*small, one, loss, {});
  std::vector<float> products(kForeground * kRows);
  program->contract(small.get(), batch.view(0, kSlices, true), loss, products.data(), {});
  check(std::equal(products.begin(), products.end(), expected.begin()), "staging: what is not there comes from the host", 0);
}

// Programs that are made, compute and end while others do. (The cpu engine's are all for one thread.)
void beside() {
  const Builder b = everything();
  const Batch batch = batchOf(b);
  const RegionLoss loss{RegionLoss::Kind::dice, false};
  const auto expected = productsOf(*compiled(b, Precision::f32), batch, loss, true);
  std::atomic<int> others{0};
  const auto work = [&] {
    for (int i = 0; i < 4; ++i)
      if (productsOf(*compiled(b, Precision::f32), batch, loss, true) != expected) ++others;
  };
  { const std::jthread one(work), two(work); }
  check(others == 0, "programs beside each other: the same products", others);
}
#endif

void training() {
  const Builder b = everything();
  const Batch batch = batchOf(b);
  auto program = compiled(b, Precision::f32);
  Optimiser adam{Optimiser::Kind::adam, 0.01, 0, 0, 0.9, 0.999, 1e-8, 0};
  double first = 0, last = 0;
  for (adam.step = 1; adam.step <= 20; ++adam.step) {
    last = program->step(kSlices, batch.images.data(), batch.targets.data(), {true, true, {}}, adam, {});
    if (adam.step == 1) first = last;
  }
  check(last < first - 0.1, "training: the loss falls", last - first);
  std::atomic<int32_t> raised{1};
  const Arrays before = program->snapshot();
  bool aborted = false;
  try {
    program->step(kSlices, batch.images.data(), batch.targets.data(), {true, false, {}}, adam, {&raised});
  } catch (const Aborted&) {
    aborted = true;
  }
  check(aborted && program->snapshot() == before, "training: an aborted step changes nothing", 0);
}

#ifndef TRACIN_TEST_CUDA
// A first step that finds no memory for one of what Adam remembers.
void slots() {
  const Builder b = everything();
  const Batch batch = batchOf(b);
  const Optimiser adam{Optimiser::Kind::adam, 0.01, 0, 0, 0.9, 0.999, 1e-8, 1};
  const auto step = [&](Program& program) {
    return program.step(kSlices, batch.images.data(), batch.targets.data(), {true, true, {}}, adam, {});
  };
  auto calm = compiled(b, Precision::f32);
  const double value = step(*calm);
  const Arrays after = calm->snapshot();
  int refusals = 0, wrong = 0;
  size_t largest = 0;
  for (const auto& [_, data] : b.weights) largest = std::max(largest, data.size() * sizeof(float));
  for (bool enough = false; !enough; ++refusals) {
    auto program = compiled(b, Precision::f32);
    refused = {largest, refusals};
    try {
      step(*program);
      enough = true;
    } catch (const std::bad_alloc&) {
    }
    refused = {};
    if (!enough) wrong += program->snapshot() != b.weights || step(*program) != value || program->snapshot() != after;
  }
  check(refusals > 3 && wrong == 0, "memory: a step that finds none changes nothing", refusals);
}
#endif

#ifdef TRACIN_TEST_EMULATED
// Device memory that runs out at any moment costs the call its result and nothing else.
void memory() {
  const Builder b = everything();
  const Batch batch = batchOf(b);
  const RegionLoss loss{RegionLoss::Kind::dice, false};
  const Optimiser adam{Optimiser::Kind::adam, 0.01, 0, 0, 0.9, 0.999, 1e-8, 1};
  const auto step = [&](Program& program) {
    return program.step(kSlices, batch.images.data(), batch.targets.data(), {true, true, {}}, adam, {});
  };
  auto calm = compiled(b, Precision::f32);
  const std::vector<float> products = productsOf(*calm, batch, loss, false);
  const std::vector<float> boxed = productsOf(*calm, batch, loss, true);
  const double value = step(*calm);
  const Arrays after = calm->snapshot();

  int refusals = 0, others = 0, wrong = 0;
  // call(program): false while there is not enough
  const auto shorten = [&](auto call) {
    bool enough = false;
    for (int64_t n = 0; !enough; n = 2 * n + 1) {
      auto program = compiled(b, Precision::f32);
      emulated::failAllocationsAfter(n);
      try {
        call(*program);
        enough = true;
      } catch (const std::bad_alloc&) {
        ++refusals;
      } catch (const std::exception& e) {
        if (!others++) std::printf("%s\n", e.what());
      }
      emulated::failAllocationsAfter(INT64_MAX);
      if (!enough) wrong += program->snapshot() != b.weights;
      if (!enough) wrong += productsOf(*program, batch, loss, false) != products || step(*program) != value || program->snapshot() != after;
    }
  };
  shorten([&](Program& program) { productsOf(program, batch, loss, false); });
  shorten(step);
  shorten([&](Program& program) { wrong += productsStaged(program, b, batch, loss, true) != boxed; });
  check(refusals > 10 && others == 0, "memory: running out of it is told as that", refusals);
  check(wrong == 0, "memory: a program goes on as if nothing had been", wrong);
}
#endif

}  // namespace

int main() try {
  derivatives(everything(), {RegionLoss::Kind::dice, false}, "dice");
  derivatives(everything(), {RegionLoss::Kind::crossEntropy, false}, "cross-entropy");
  windows();
  training();
#ifdef TRACIN_TEST_CUDA
  Sizes(check).run();
  staging();
  beside();
#else
  slots();
#endif
#ifdef TRACIN_TEST_EMULATED
  memory();
#endif
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n%d passed, %d failed\n", error.what(), passed, failed + 1);
  return 1;
}
