// What takes time to make, kept for the next who asks: at most so many, the one asked for longest ago goes first.
#pragma once
#include <list>
#include <map>
#include <utility>

namespace tracin::cpu {

template <class Key, class Value>
class Recent {
 public:
  explicit Recent(size_t most) : most_(most) {}

  // The value of a key, made by make() where it is not kept; valid until the next call.
  template <class Make>
  Value& get(const Key& key, Make make) {
    const auto known = places_.find(key);
    if (known != places_.end()) {
      values_.splice(values_.begin(), values_, known->second);
      return values_.front().second;
    }
    values_.emplace_front(key, make());
    places_[key] = values_.begin();
    if (values_.size() > most_) {
      places_.erase(values_.back().first);
      values_.pop_back();
    }
    return values_.front().second;
  }

 private:
  size_t most_;
  std::list<std::pair<Key, Value>> values_;  // the last asked for first
  std::map<Key, typename std::list<std::pair<Key, Value>>::iterator> places_;
};

}  // namespace tracin::cpu
