// What each tenant holds, and whether it may have more.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plugin/match/constraints.hpp"
#include "plugin/match/wide.hpp"
#include "proto/keyed_hash.hpp"

namespace windlass::match {

class Quotas {
 public:
  explicit Quotas(const Constraints& given);

  bool none() const { return tenants_.empty(); }
  // `wanted`: amounts by dimension.
  bool allows(int32_t tenant, std::span<const int64_t> wanted) const;
  // `change`: +1 when they are placed, -1 when that is undone.
  void count(int32_t tenant, std::span<const int64_t> wanted, int32_t change);

 private:
  struct Cap {
    int32_t dimension;
    int64_t cap;
    Wide held;  // running ones may add up beyond int64
  };
  proto::KeyedMap<int32_t, std::vector<Cap>> tenants_;
};

}  // namespace windlass::match
