// Whether the record of an offer is one that a matcher takes: the rules of docs/matching.md for offers, by which the
// bridge judges them too (scheduler_bridge/windlass/_inputs, held against this by tests/integration). Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace windlass::worker {

// What the records that were checked have, and which of them was the first to have it.
struct OfferDimensions {
  std::map<std::string, std::string> amounts;
  std::map<std::string, std::string> kinds;  // of devices
};

// What is wrong with a record, a msgpack map, called `name`: the field, its value and what is allowed; nullopt where
// nothing is. What it has is added to `known`: no amount of one record may stand under `devices` in another.
[[nodiscard]] std::optional<std::string> offer_fault(std::string_view record, const std::string& name,
                                                     OfferDimensions& known);

}  // namespace windlass::worker
