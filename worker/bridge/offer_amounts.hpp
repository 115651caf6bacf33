// What an offer's record says there is, in the units in which grants are counted. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace windlass::worker {

struct OfferAmounts {
  std::string name;
  std::map<std::string, std::int64_t> amounts;               // by dimension, in units of 1/10,000
  std::map<std::string, std::vector<std::int64_t>> devices;  // by kind: the free share of each
};

// Of a record as reports carry it, a msgpack map with the fields of docs/matching.md: `resources`, or without it every
// key that names no field. What is no amount counts as none: a matcher refuses such a record.
[[nodiscard]] OfferAmounts amounts_of_offer(std::string_view record);

}  // namespace windlass::worker
