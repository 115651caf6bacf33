#include <algorithm>
#include <limits>
#include <string>

#include "plugin/match/amounts.hpp"
#include "plugin/match/decode.hpp"
#include "proto/keyed_hash.hpp"

namespace windlass::match {
namespace {

std::string text(int64_t number) {
  return std::to_string(number);
}

// Each entry is from `least` up to below `end`.
Check check_numbers(std::span<const int32_t> column, Side side, const char* field, int64_t least, int64_t end) {
  for (size_t row = 0; row < column.size(); ++row) {
    if (column[row] < least || column[row] >= end) {
      return invalid(side, static_cast<int64_t>(row), field,
                     text(column[row]) + " is out of range: allowed is from " + text(least) + " to " + text(end - 1));
    }
  }
  return {};
}

template <typename Set>
Check check_rows(const Rows<Set>& rows, Side side, const char* field) {
  return check_numbers(rows.of, side, field, -1, static_cast<int64_t>(rows.sets.size()));
}

Check check_all_rows(const Constraints& given) {
  constexpr int64_t end = std::numeric_limits<int32_t>::max();
  Check checks[] = {check_rows(given.offer_labels, Side::offers, "labels"),
                    check_rows(given.task_labels, Side::tasks, "labels"),
                    check_rows(given.task_tags, Side::tasks, "tags"),
                    check_rows(given.offer_only, Side::offers, "only"),
                    check_rows(given.prefer, Side::tasks, "prefer"),
                    check_rows(given.max_per, Side::tasks, "max_per"),
                    check_rows(given.avoid, Side::tasks, "avoid"),
                    check_rows(given.inputs, Side::tasks, "inputs"),
                    check_rows(given.staged, Side::offers, "staged"),
                    check_numbers(given.node, Side::offers, "node", 0, end),
                    check_numbers(given.tenant, Side::tasks, "tenant", 0, end),
                    check_numbers(given.group, Side::tasks, "group", -1, end),
                    check_numbers(given.gang, Side::tasks, "gang", -1, end)};
  for (Check& check : checks) {
    if (check) return std::move(check);
  }
  return {};
}

Check check_groups(const Constraints& given) {
  for (size_t row = 0; row < given.max_per.of.size(); ++row) {
    const auto* limits = given.max_per.set(row);
    if (limits && !limits->empty() && given.group_of(row) < 0) {
      return invalid(Side::tasks, static_cast<int64_t>(row), "max_per", "max_per needs a group");
    }
  }
  return {};
}

Check check_gangs(const Problem& problem, const Constraints& given) {
  proto::KeyedMap<int32_t, int32_t> priority_of;
  for (size_t row = 0; problem.priority && row < given.gang.size(); ++row) {
    if (given.gang[row] < 0) continue;
    const auto [at, fresh] = priority_of.try_emplace(given.gang[row], problem.priority[row]);
    if (!fresh && at->second != problem.priority[row]) {
      return invalid(Side::tasks, static_cast<int64_t>(row), "gang",
                     "priority " + text(problem.priority[row]) + ", while another of its gang has " + text(at->second) +
                         "; a gang has one priority");
    }
  }
  return {};
}

Check check_device_rows(const Problem& problem, const DeviceKind& kind) {
  const std::string field = "devices." + text(kind.dimension);
  const auto d = static_cast<size_t>(kind.dimension);
  for (size_t offer = 0; offer < problem.offers; ++offer) {
    const auto row = static_cast<int64_t>(offer);
    const int64_t begin = kind.begin[offer], end = kind.begin[offer + 1];
    if (begin > end || begin < 0 || end > static_cast<int64_t>(kind.shares.size())) {
      return invalid(Side::offers, row, field, "begin must ascend from 0 to the number of shares");
    }
    int64_t sum = 0;
    for (int64_t at = begin; at < end; ++at) {
      if (kind.shares[at] < 0 || kind.shares[at] > kUnit) {
        return invalid(Side::offers, row, field, text(kind.shares[at]) + " units; a free share is from 0 to 1");
      }
      sum += kind.shares[at];
    }
    if (sum != problem.offer_amount(offer, d)) {
      return invalid(Side::offers, row, field, "the offer's amount is not the sum of its free shares");
    }
  }
  for (size_t task = 0; task < problem.tasks; ++task) {
    const int64_t share = problem.task_amount(task, d);
    if (share > kUnit && share % kUnit != 0) {
      return invalid(Side::tasks, static_cast<int64_t>(task), field,
                     text(share) + " units; above 1 a share must be a whole number of devices");
    }
  }
  return {};
}

Check check_devices(const Problem& problem, const Constraints& given) {
  proto::KeyedSet<int32_t> seen;
  for (const DeviceKind& kind : given.devices) {
    if (!seen.insert(kind.dimension).second) {
      return invalid(Side::options, -1, "devices." + text(kind.dimension), "the kind is given twice");
    }
    if (Check fault = check_device_rows(problem, kind)) return fault;
  }
  return {};
}

// Empty where the set is right.
std::string wrong_inputs(const std::vector<int32_t>& ids, std::span<const int64_t> bytes) {
  int64_t sum = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const int32_t id = ids[i];
    if (static_cast<size_t>(id) >= bytes.size()) return "input " + text(id) + " has no bytes";
    if (i > 0 && ids[i - 1] == id) return "input " + text(id) + " is named twice";
    if (bytes[id] < 0) return text(bytes[id]) + " bytes; an input has 0 bytes or more";
    if (bytes[id] > std::numeric_limits<int64_t>::max() - sum) return "the inputs' bytes add up to 2^63 or more";
    sum += bytes[id];
  }
  return {};
}

Check check_inputs(const Constraints& given) {
  for (size_t set = 0; set < given.inputs.sets.size(); ++set) {
    std::string wrong = wrong_inputs(given.inputs.sets[set], given.input_bytes);
    if (wrong.empty()) continue;
    const auto row = std::find(given.inputs.of.begin(), given.inputs.of.end(), static_cast<int32_t>(set));
    const bool used = row != given.inputs.of.end();
    return invalid(Side::tasks, used ? row - given.inputs.of.begin() : -1, "inputs", std::move(wrong));
  }
  return {};
}

Check check_quotas(const Constraints& given) {
  proto::KeyedSet<int32_t> seen;
  for (const Quota& quota : given.quotas) {
    if (!seen.insert(quota.tenant).second) {
      return invalid(Side::options, -1, "quotas", "tenant " + text(quota.tenant) + " has two entries");
    }
  }
  return {};
}

}  // namespace

Check check_constraints(const Problem& problem, const Constraints& given) {
  if (Check fault = check_all_rows(given)) return fault;
  if (Check fault = check_groups(given)) return fault;
  if (Check fault = check_gangs(problem, given)) return fault;
  if (Check fault = check_devices(problem, given)) return fault;
  if (Check fault = check_inputs(given)) return fault;
  return check_quotas(given);
}

}  // namespace windlass::match
