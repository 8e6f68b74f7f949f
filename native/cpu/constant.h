// Numbers that loops must know at compile time, for their sums to stay in registers. In a nameless namespace for the sake of winograd.h's
// rule.
#pragma once

namespace tracin::cpu {

namespace {

// go.operator()<n>() for an n of 1 to Most.
template <int Most, class Go>
[[gnu::always_inline]] inline void withConstant(int n, const Go& go) {
  if constexpr (Most > 1)
    if (n < Most) return withConstant<Most - 1>(n, go);
  go.template operator()<Most>();
}

}  // namespace

}  // namespace tracin::cpu
