// The conditions of a call beyond amounts, decoded: what the "Constraints" map of proto/protocol.md holds. Label values
// are numbered, equal texts alike. Views point into the caller's columns and bytes, and live as long as those.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/keyed_hash.hpp"

namespace windlass::match {

// Label texts by number, and what those that read as an int64 are.
class Texts {
 public:
  // From now on new texts are copied, so that they outlive the bytes that they were read from.
  void keep() { kept_ = std::make_shared<std::deque<std::string>>(); }
  int32_t number_of(std::string_view text);
  std::optional<int64_t> integer(int32_t number) const { return integers_[number]; }
  // How many there are, and above all their numbers.
  size_t size() const { return numbers_.size(); }
  size_t end() const { return integers_.size(); }
  // Of kept texts: forgets those that are not used, by number; their numbers stand for others from then on.
  void forget_unused(const std::vector<bool>& used);

 private:
  proto::KeyedMap<std::string_view, int32_t> numbers_;
  std::vector<std::optional<int64_t>> integers_;
  std::shared_ptr<std::deque<std::string>> kept_;  // by number
  std::vector<int32_t> spare_;                     // numbers of kept texts that were forgotten
};

// [+-]?[0-9]+ within int64.
std::optional<int64_t> read_integer(std::string_view text);

using Labels = std::vector<std::pair<int32_t, int32_t>>;  // (key, value), keys ascending and each once

struct Condition {
  std::optional<std::vector<int32_t>> in{};  // ascending
  std::vector<int32_t> not_in{};             // ascending
  std::optional<bool> exists{};
  std::optional<int64_t> min{}, max{};

  friend auto operator<=>(const Condition&, const Condition&) = default;
};
using Conditions = std::vector<std::pair<int32_t, Condition>>;

bool holds(const Conditions& conditions, const Labels& labels, const Texts& texts);

// The value of a key, -1 where it is missing.
int32_t value_of(const Labels& labels, int32_t key);

// Sets that rows share: `of` has one entry per row, -1 for none; empty where no row has one.
template <typename Set>
struct Rows {
  std::vector<Set> sets{};
  std::span<const int32_t> of{};

  int32_t number(size_t row) const { return of.empty() ? -1 : of[row]; }
  const Set* set(size_t row) const { return number(row) < 0 ? nullptr : &sets[of[row]]; }
};

inline constexpr int32_t kNodeKey = -1;  // stands for "node" where a label key may stand

struct Preference {
  Conditions labels;
  int64_t weight;  // x 2^16
};

struct DeviceKind {
  int32_t dimension;
  std::span<const int64_t> begin;   // [offers + 1] into shares
  std::span<const int64_t> shares;  // free share of each device, 0 to 10,000
};

struct Quota {
  int32_t tenant;
  std::vector<std::pair<int32_t, int64_t>> caps;  // (dimension, cap)
};

struct Running {
  int32_t node = -1;
  int32_t tenant = 0;
  int32_t group = -1;
  std::vector<int32_t> avoid{};
  std::vector<std::pair<int32_t, int64_t>> amounts{};  // (dimension, units)
  Labels labels{};
};

struct Constraints {
  Texts texts;
  int32_t keys = 0;
  Rows<Labels> offer_labels, task_tags;
  Rows<Conditions> task_labels, offer_only;
  Rows<std::vector<Preference>> prefer;
  Rows<std::vector<std::pair<int32_t, int64_t>>> max_per;  // (key, n)
  Rows<std::vector<int32_t>> avoid, inputs, staged;        // staged ascending
  std::span<const int64_t> input_bytes;                    // by id
  std::span<const int32_t> node, tenant, group, gang;      // empty where absent
  std::vector<DeviceKind> devices;
  int64_t locality = 65536;  // x 2^16
  std::vector<Quota> quotas;
  std::vector<Running> running;

  int32_t node_of(size_t offer) const { return node.empty() ? static_cast<int32_t>(offer) : node[offer]; }
  int32_t tenant_of(size_t task) const { return tenant.empty() ? 0 : tenant[task]; }
  int32_t group_of(size_t task) const { return group.empty() ? -1 : group[task]; }
};

}  // namespace windlass::match
