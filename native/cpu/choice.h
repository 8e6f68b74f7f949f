// Which kernel computes the 3 × 3 convolutions of stride 1. A choice rests on the pass, the channels and a coarse class of size, never on
// where a box lies, so programs with equal tables compute equal bytes. Without a table a rule decides: Winograd, in bf16 on tiles where
// there are any.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "../core/program.h"

namespace tracin::cpu {

struct Workspace;

enum class Pass { forward, data, weights };
// oneDNN's direct convolution; winograd.h in float32 and in bfloat16; amx.h
enum class Method { direct, winograd, winogradBf16, tiles };
// In the order in which their rates stop growing with the size of results.
constexpr Method kMethods[] = {Method::direct, Method::winograd, Method::winogradBf16, Method::tiles};

class Choice {
 public:
  // A layer that will ask, for results of up to so many positions.
  void expect(int in, int out, int64_t positions);

  Method of(Pass, int in, int out, int64_t positions, Precision) const;

  // By pass and channels, the methods for results of up to 32, 128, 512, 2048 and more positions: "forward 32 64" → "direct winograd …".
  // Takes nothing else than what is in the table, and of that what it can read.
  void take(const KernelTable&);
  // What is in force for the layers that will ask.
  KernelTable table(Precision) const;

  // Times those that the table lacks.
  void measure(Workspace&, Precision);

 private:
  using Key = std::tuple<Pass, int, int>;  // channels in whole blocks
  std::map<Key, int> expected_;            // classes of size
  std::map<Key, std::vector<Method>> chosen_;
  std::optional<Method> only_;  // while it is timed

  static Key keyOf(Pass, int in, int out);
};

}  // namespace tracin::cpu
