// Where the time goes, asked for by the environment: TRACIN_PROFILE=FILE has every program write, when it ends, one JSON line for each
// operator and pass: {"operator", "type", "pass": "forward" | "backward" | "products", "seconds", "operations"}, where operations are
// those of convolutions inside their boxes, two for each multiplication.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <tuple>

#include "../core/network.h"

namespace tracin::cpu {

class Profile {
 public:
  enum Pass { forward, backward, products };

  Profile() : path_(std::getenv("TRACIN_PROFILE")) {}
  ~Profile() {
    if (!path_) return;
    std::ofstream file(path_, std::ios::app);
    static const char* const names[] = {"forward", "backward", "products"};
    for (const auto& [key, spent] : spent_)
      file << "{\"operator\":\"" << std::get<1>(key) << "\",\"type\":\"" << std::get<2>(key) << "\",\"pass\":\"" << names[std::get<0>(key)]
           << "\",\"seconds\":" << spent.seconds << ",\"operations\":" << spent.operations << "}\n";
  }

  void count(int64_t operations) { operations_ += operations; }

  template <class Work>
  void time(const Operation& operation, Pass pass, Work work) {
    if (!path_) return work();
    const auto start = std::chrono::steady_clock::now();
    const int64_t before = operations_;
    work();
    Spent& spent = spent_[{pass, operation.name, operation.type}];
    spent.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    spent.operations += operations_ - before;
  }

 private:
  struct Spent {
    double seconds = 0;
    int64_t operations = 0;
  };
  const char* path_;
  int64_t operations_ = 0;
  std::map<std::tuple<Pass, std::string, std::string>, Spent> spent_;
};

}  // namespace tracin::cpu
