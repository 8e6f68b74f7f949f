// Convolutions cut into parts where arrays are too large, and launches of more blocks than a grid's y has: the same as in one go.
#pragma once
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../../native/cuda/convolutions.h"
#include "../../native/cuda/kernel_gradients.h"
#include "../../native/cuda/layout.h"
#include "numbers.h"

namespace tracin::test {

using Report = std::function<void(bool ok, const std::string& what, double found)>;

class Sizes {
 public:
  explicit Sizes(Report report) : report_(std::move(report)) {}

  void run() {
    transposed();
    rows();
    for (const int in : {32, 3}) parts({13, in, 17, 1, 2, {1, 6, 8}, {1, 6, 8}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}});
    parts({13, 6, 4, 2, 2, {1, 7, 5}, {1, 4, 5}, {1, 3, 2}, {1, 2, 1}, {1, 1, 1}, {0, 1, 0}});
    memory();
    columns({3, 4, 6, 2, 2, {1, 9, 40}, {1, 7, 38}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}});
  }

 private:
  cuda::Device device_{0};
  Report report_;
  std::mt19937 random_{5};

  cuda::Buffer filled(int64_t n) {
    std::normal_distribution<float> noise;
    std::vector<float> numbers(n);
    for (float& x : numbers) x = noise(random_);
    cuda::Buffer buffer(n * int64_t(sizeof(float)));
    device_.upload(buffer.floats(), numbers.data(), buffer.bytes());
    return buffer;
  }

  // A map of more lines of 32 positions than a grid's y counts.
  void transposed() {
    const int64_t positions = int64_t(65535) * 32 + 1;
    const cuda::Buffer from = filled(2 * positions), to(from.bytes()), back(from.bytes());
    cuda::channelsLast(device_, from.floats(), to.floats(), 1, 2, positions);
    cuda::channelsFirst(device_, to.floats(), back.floats(), 1, 2, positions);
    const auto plain = device_.numbers(from), last = device_.numbers(to);
    bool right = plain == device_.numbers(back);
    for (int64_t i = 0; i < positions; ++i) right &= last[2 * i] == plain[i] && last[2 * i + 1] == plain[positions + i];
    report_(right, "sizes: channels last and first of a map of 2 million positions", double(positions));
  }

  // Counted only: there is no memory for them.
  void rows() {
    const auto together = [](int rows, int channels, int height, int width) {
      return cuda::Correlation{rows, channels, 1, 1, 2, {1, height, width}, {1, height, width}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}}
          .together(INT32_MAX);
    };
    report_(together(31, 64, 1024, 1024) == 31, "sizes: 31 slices of 64 × 1024 × 1024 at once", together(31, 64, 1024, 1024));
    report_(together(32, 64, 1024, 1024) == 31, "sizes: but not 32 of them", together(32, 64, 1024, 1024));
    report_(together(32, 1, 12345, 5431) == 32, "sizes: 32 that fit", together(32, 1, 12345, 5431));
    report_(together(32, 3, 12345, 5431) == 8, "sizes: of odd ones as many as end where 16 bytes do", together(32, 3, 12345, 5431));
  }

  void parts(const cuda::Correlation& c) {
    for (const auto& [pass, name] :
         {std::pair(cuda::Pass::forward, "forward"), std::pair(cuda::Pass::data, "data"), std::pair(cuda::Pass::weights, "weights")}) {
      std::vector<float> found[2];
      const cuda::Buffer bias = filled(c.out), x = filled(c.rows * c.inputFloats()), w = filled(c.kernelFloats()),
                         y = filled(c.rows * c.outputFloats());
      for (const bool cut : {false, true}) {
        cuda::Convolutions convolutions(device_);
        if (cut) convolutions.mostNumbers = 5 * std::max(c.inputFloats(), c.outputFloats());
        const cuda::Buffer& to = pass == cuda::Pass::forward ? y : pass == cuda::Pass::data ? x : w;
        device_.zero(to.floats(), to.bytes());
        convolutions.run(pass, Precision::f32, c, x.floats(), w.floats(), y.floats());
        found[cut] = device_.numbers(to);
      }
      report_(far(found[1], found[0]) < 1e-5, "sizes: " + std::string(name) + " of " + std::to_string(c.in) + " channels in parts",
              far(found[1], found[0]));
    }
  }

  // A plan's scratch that there is no room for is no want of plans.
  void memory() {
    bool told = true;
#ifdef TRACIN_TEST_EMULATED
    const cuda::Correlation c{1, 3, 5, 1, 2, {1, 6, 8}, {1, 6, 8}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}};
    const cuda::Buffer x = filled(c.inputFloats()), w = filled(c.kernelFloats()), y = filled(c.outputFloats());
    cuda::Convolutions convolutions(device_);
    device_.pool.trim();
    emulated::failAllocationsAfter(0);
    try {
      convolutions.run(cuda::Pass::forward, Precision::f32, c, x.floats(), w.floats(), y.floats());
    } catch (const std::exception& e) {
      told = dynamic_cast<const std::bad_alloc*>(&e);
    }
    emulated::failAllocationsAfter(INT64_MAX);
#endif
    report_(told, "sizes: scratch that does not fit is told as a want of memory", told);
  }

  void columns(const cuda::Correlation& c) {
    const cuda::Buffer x = filled(c.rows * c.inputFloats()), y = filled(c.rows * c.outputFloats());
    cuda::Window whole;
    whole.size = c.input;
    std::vector<float> found[2];
    for (const bool cut : {false, true}) {
      const cuda::Buffer to = filled(c.rows * c.kernelFloats());
      const int64_t most = c.in * volume(c.kernel) * 100;  // 96 of its 266 positions
      cuda::kernelGradients(device_, device_.pool, Precision::f32, c, {x.floats(), nullptr, &whole, c.input}, y.floats(), to.floats(),
                            cut ? most : INT32_MAX);
      found[cut] = device_.numbers(to);
    }
    report_(far(found[1], found[0]) < 1e-5, "sizes: kernel gradients some positions at a time", far(found[1], found[0]));
  }
};

}  // namespace tracin::test
