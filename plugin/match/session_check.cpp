// What a change or a call of a session may not ask for. Nothing is changed here.
#include <algorithm>
#include <functional>
#include <string>

#include "plugin/match/session.hpp"
#include "plugin/match/validate.hpp"
#include "proto/keyed_hash.hpp"

namespace windlass::match {
namespace {

std::string text(int64_t number) {
  return std::to_string(number);
}

bool positive(const int64_t* column, size_t rows) {
  return column && std::any_of(column, column + rows, [](int64_t amount) { return amount > 0; });
}

Fault mixed(Side side, size_t d) {
  return invalid(side, -1, "amounts." + text(static_cast<int64_t>(d)),
                 "the dimension is a kind of device in one place and an amount in another of this session");
}

}  // namespace

Check Session::check_options() const {
  return validate(with_options({}));
}

Check Session::check_expected(int64_t expect) const {
  if (expect < 0 || static_cast<uint64_t>(expect) == version_) return {};
  return Fault{FaultKind::aborted, Side::options, -1, "version",
               "the session is at version " + std::to_string(version_) + ", not " + text(expect) +
                   "; another call came between, so read its offers again"};
}

Check Session::check_change(const Change& change, const Scale& scale, std::vector<int32_t>& slots) const {
  if (Check fault = check_expected(change.expect)) return fault;
  Problem rows = with_options(change.rows);
  rows.scale = scale.fixed.data();
  rows.weights = scale.weights.data();
  if (Check fault = validate(rows)) return fault;
  if (change.given) {
    if (Check fault = check_constraints(change.rows, *change.given)) return fault;
    for (size_t row = 0; row < change.given->node.size(); ++row) {
      if (change.given->node[row] >= SessionState::kOwnNode) {
        return invalid(Side::offers, static_cast<int64_t>(row), "node", "in a session nodes are numbered below 2^30");
      }
    }
  }
  if (Check fault = check_uses(change)) return fault;
  return check_numbers(change, slots);
}

// A kind of device stays one, and so does an amount.
Check Session::check_uses(const Change& change) const {
  proto::KeyedSet<int32_t> kinds;
  for (const DeviceKind& kind : change.given ? change.given->devices : std::vector<DeviceKind>{}) {
    kinds.insert(kind.dimension);
  }
  for (size_t d = 0; d < change.rows.dimensions; ++d) {
    const Use use = d < use_.size() ? use_[d] : Use::unknown;
    const bool kind = kinds.contains(static_cast<int32_t>(d));
    if (kind && use == Use::amount) return mixed(Side::offers, d);
    if (!kind && use == Use::kind && positive(change.rows.offer_amounts[d], change.rows.offers)) {
      return mixed(Side::offers, d);
    }
  }
  return {};
}

Check Session::check_numbers(const Change& change, std::vector<int32_t>& slots) const {
  const proto::KeyedSet<int64_t> removed(change.removes.begin(), change.removes.end());
  NumberTable added;
  std::vector<bool> updated(change.numbers.size() > change.adds ? state_.slots() : 0);
  slots.assign(change.numbers.size(), -1);
  constexpr size_t kAhead = 16;
  for (size_t row = 0; row < change.numbers.size(); ++row) {
    if (row + kAhead < change.numbers.size()) state_.prefetch_number(change.numbers[row + kAhead]);
    const int64_t number = change.numbers[row];
    const auto at = static_cast<int64_t>(row);
    if (number < 0) return invalid(Side::offers, at, "number", text(number) + "; an offer's number is from 0 up");
    const int32_t slot = state_.slot_of(number);
    const bool present = slot >= 0 && (removed.empty() || !removed.contains(number));
    if (added.contains(number) || (row >= change.adds && present && updated[slot])) {
      return invalid(Side::offers, at, "number", "the offer is given twice");
    }
    if (row < change.adds && present) {
      return invalid(Side::offers, at, "number", "the offer is present already; use update");
    }
    if (row >= change.adds && !present) {
      return invalid(Side::offers, at, "number", "the offer is not present; use add");
    }
    if (row < change.adds) {
      added.put(number, 0);
      continue;
    }
    slots[row] = slot;
    updated[slot] = true;
  }
  return {};
}

Check Session::check_task_numbers(const Call& call) const {
  const bool ascend =
      std::adjacent_find(call.numbers.begin(), call.numbers.end(), std::greater_equal<>{}) == call.numbers.end();
  NumberTable given;  // none is needed where each is above the one before
  for (size_t row = 0; row < call.numbers.size(); ++row) {
    const int64_t number = call.numbers[row];
    const auto at = static_cast<int64_t>(row);
    if (number < 0) return invalid(Side::tasks, at, "number", text(number) + "; a task's number is from 0 up");
    const bool twice = !ascend && given.contains(number);
    if (!ascend) given.put(number, 0);
    if (twice) return invalid(Side::tasks, at, "number", "the task is given twice");
    if (state_.has_task(number)) {
      return invalid(Side::tasks, at, "number", "the task is still placed in this session; release it first");
    }
  }
  return {};
}

Check Session::check_call(const Call& call) const {
  if (Check fault = check_expected(call.expect)) return fault;
  if (Check fault = validate(with_options(call.tasks))) return fault;
  if (Check fault = check_task_numbers(call)) return fault;
  if (!call.given) return {};
  if (Check fault = check_constraints(call.tasks, *call.given)) return fault;
  for (const Running& running : call.given->running) {
    if (running.node >= SessionState::kOwnNode) {
      return invalid(Side::options, -1, "running.node", "in a session nodes are numbered below 2^30");
    }
  }
  for (const DeviceKind& kind : call.given->devices) {
    const auto d = static_cast<size_t>(kind.dimension);
    if (d < use_.size() && use_[d] == Use::amount) return mixed(Side::tasks, d);
  }
  return {};
}

}  // namespace windlass::match
