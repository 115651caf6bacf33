// What the node offers to the scheduler: the records of `offers.file` (a JSON or YAML list of maps with the fields of
// docs/matching.md), else one record of its cores (`cpu`) and memory in bytes (`memory`). Reads a file; otherwise pure.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "worker/base/config.hpp"

namespace windlass::worker {

// Each a msgpack map. A record without a name is called NODE, or NODE/k where there are several; `node` is the node's
// name and `price` node.price where the record has none; the node's labels are added where the record says nothing
// else. What a matcher would not take is refused (offer_check.hpp). The error names the record and the field.
[[nodiscard]] tl::expected<std::vector<std::string>, std::string> load_offers(const Config& config, double cores,
                                                                              std::uint64_t memory_bytes);

// The same from the text of a file; for tests.
[[nodiscard]] tl::expected<std::vector<std::string>, std::string> parse_offers(const std::string& text,
                                                                               const NodeConfig& node);

}  // namespace windlass::worker
