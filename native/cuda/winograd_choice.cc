#include "winograd_choice.h"

#include <bit>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

namespace tracin::cuda::winograd {

int chosenTile(const Device& device, Work work, int in, int out, int64_t blocks, const std::function<double(int)>& time) {
  using Key = std::tuple<std::string, Work, int, int, int>;
  static std::map<Key, int> chosen;
  static std::mutex one;  // beside each other, times would say little
  const std::lock_guard lock(one);
  const Key key(device.kind, work, in, out, std::bit_width(static_cast<uint64_t>(blocks)));
  const auto known = chosen.find(key);
  if (known != chosen.end()) return known->second;
  return chosen[key] = time(4) < time(2) ? 4 : 2;
}

}  // namespace tracin::cuda::winograd
