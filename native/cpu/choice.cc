#include "choice.h"

#include <algorithm>
#include <chrono>
#include <sstream>

#include "correlation.h"
#include "processor.h"

namespace tracin::cpu {

namespace {

constexpr Pass kPasses[] = {Pass::forward, Pass::data, Pass::weights};
const char* const kPassNames[] = {"forward", "data", "weights"};
const char* const kMethodNames[] = {"direct", "winograd", "winograd-bf16", "tiles"};

constexpr int kClasses = 5;
// Rates no longer change beyond so many channels.
constexpr int kMostChannels = 256;
// A method that takes so many times as long as a later one will not catch up on larger results.
constexpr double kHopeless = 1.25;
constexpr int kRounds = 3;
// Of one timing, at least; smaller work is done several times over.
constexpr double kOperations = 1e7;

// The class's middle is a square of 4 · 2^class positions a side.
int classOf(int64_t positions) {
  int c = 0;
  while (c < kClasses - 1 && positions > int64_t(32) << 2 * c) ++c;
  return c;
}

Method rule(Precision precision) {
  return precision != Precision::bf16 ? Method::winograd : hasAmx() ? Method::tiles : Method::winogradBf16;
}

bool isPossible(Method method, Precision precision) {
  if (method == Method::direct || method == Method::winograd) return true;
  return precision == Precision::bf16 && (method == Method::tiles ? hasAmx() : hasBf16());
}

// Only what goes backward is rounded.
Precision precisionOf(Pass pass, Precision precision) { return pass == Pass::forward ? Precision::f32 : precision; }

// One layer on squares of one size.
class Trial {
 public:
  Trial(Workspace& work, int in, int out, int side)
      : layer_(work, {2, 1, in, out, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}}, -1),
        box_{{0, 0, 0}, {1, side, side}},
        kernel_(size_t(9) * in * out),
        gradient_(layer_.gradientFloats()),
        x_(size_t(in) * side * side),
        y_(size_t(out) * side * side) {
    for (const Buffer* b : {&kernel_, &x_, &y_})
      for (size_t i = 0; i < b->size(); ++i) b->data()[i] = float(i % 13) / 13 - 0.5f;
    layer_.useKernel(kernel_.data());
    calls_ = int(std::clamp(kOperations / (18. * in * out * side * side), 1., 20.));
  }

  // Seconds of a call.
  double run(Pass pass) {
    const auto start = std::chrono::steady_clock::now();
    for (int call = 0; call < calls_; ++call) {
      const Correlation::Part x{box_, x_.data()}, y{box_, y_.data()};
      if (pass == Pass::forward)
        layer_.gather(1, x, y, nullptr, 1.f);
      else if (pass == Pass::data)
        layer_.scatter({{x, y}});
      else
        layer_.correlate({{1, 1, x, y, gradient_.data()}});
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / calls_;
  }

 private:
  Correlation layer_;
  Box box_;
  Buffer kernel_, gradient_, x_, y_;
  int calls_;
};

}  // namespace

Choice::Key Choice::keyOf(Pass pass, int in, int out) {
  const auto whole = [](int channels) { return std::min(kMostChannels, blocksOf(channels) * kLanes); };
  return {pass, whole(in), whole(out)};
}

void Choice::expect(int in, int out, int64_t positions) {
  for (Pass pass : kPasses) {
    int& classes = expected_[keyOf(pass, in, out)];
    classes = std::max(classes, classOf(positions) + 1);
  }
}

Method Choice::of(Pass pass, int in, int out, int64_t positions, Precision precision) const {
  if (only_) return *only_;
  precision = precisionOf(pass, precision);
  const auto it = chosen_.find(keyOf(pass, in, out));
  const size_t c = classOf(positions);
  const Method method = it == chosen_.end() || c >= it->second.size() ? rule(precision) : it->second[c];
  return isPossible(method, precision) ? method : rule(precision);
}

void Choice::take(const KernelTable& table) {
  chosen_.clear();
  for (Pass pass : kPasses)
    for (const auto& [name, methods] : table) {
      std::istringstream words(name), list(methods);
      std::string of, method;
      int in, out;
      if (!(words >> of >> in >> out) || of != kPassNames[int(pass)]) continue;
      auto& chosen = chosen_[keyOf(pass, in, out)];
      chosen.clear();
      while (list >> method) {
        const auto found = std::find(std::begin(kMethodNames), std::end(kMethodNames), method);
        if (found == std::end(kMethodNames)) break;
        chosen.push_back(kMethods[found - kMethodNames]);
      }
    }
}

KernelTable Choice::table(Precision precision) const {
  KernelTable table;
  for (const auto& [key, classes] : expected_) {
    const auto [pass, in, out] = key;
    std::ostringstream name, methods;
    name << kPassNames[int(pass)] << ' ' << in << ' ' << out;
    for (int c = 0; c < classes; ++c) methods << (c ? " " : "") << kMethodNames[int(of(pass, in, out, int64_t(16) << 2 * c, precision))];
    table[name.str()] = methods.str();
  }
  return table;
}

void Choice::measure(Workspace& work, Precision precision) {
  for (const auto& [key, classes] : expected_) {
    const auto [pass, in, out] = key;
    std::vector<Method>& chosen = chosen_[key];
    std::vector<Method> candidates;
    std::ranges::copy_if(kMethods, std::back_inserter(candidates), [&](Method m) { return isPossible(m, precisionOf(pass, precision)); });
    for (int c = int(chosen.size()); c < classes; ++c) {
      if (candidates.size() == 1) {
        chosen.push_back(candidates[0]);
        continue;
      }
      Trial trial(work, in, out, 4 << c);
      std::map<Method, double> seconds;
      const struct Ends {
        std::optional<Method>& only;
        ~Ends() { only.reset(); }  // also where a trial has no memory
      } ends{only_};
      for (int round = -1; round < kRounds; ++round)  // the first makes what is made once
        for (Method method : candidates) {
          only_ = method;
          const double time = trial.run(pass);
          seconds[method] = round < 1 ? time : std::min(seconds[method], time);
        }
      const auto best = std::min_element(seconds.begin(), seconds.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
      chosen.push_back(best->first);
      std::erase_if(candidates, [&](Method m) { return m < best->first && seconds[m] > kHopeless * best->second; });
    }
  }
  work.pool.trim();
}

}  // namespace tracin::cpu
