#include "worker/bridge/grants.hpp"

#include <algorithm>
#include <utility>

#include "worker/core/limits.hpp"

namespace windlass::worker {
namespace {

using proto::Code;

proto::GrantRefusal refusal(Code code, std::string message) {
  return {0, code, std::move(message)};
}

// "1.5" of 15,000 units.
std::string number_of(std::int64_t units) {
  std::string text = std::to_string(units / 10'000);
  std::string fraction = std::to_string(10'000 + units % 10'000).substr(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  return fraction.empty() ? text : text + "." + fraction;
}

template <class Map, class Key>
auto value_or_none(const Map& map, const Key& key) -> typename Map::mapped_type {
  const auto found = map.find(key);
  return found == map.end() ? typename Map::mapped_type{} : found->second;
}

bool same_payload(const proto::GrantEntry& one, const proto::GrantEntry& other) {
  return one.offer == other.offer && one.amounts == other.amounts && one.devices == other.devices &&
         one.exclusive == other.exclusive;
}

// What it takes to list it in a report, and a little more.
std::size_t bytes_of(const proto::GrantEntry& entry) {
  std::size_t bytes = 96 + entry.offer.size() + entry.about.size();
  for (const auto& [name, unused] : entry.amounts) bytes += name.size() + 14;
  for (const auto& [kind, shares] : entry.devices) bytes += kind.size() + 10 + 15 * shares.size();
  return bytes;
}

}  // namespace

void Grants::offers_are(const std::vector<std::string>& records, std::uint64_t version) {
  std::map<std::string, Offer> fresh;
  for (const std::string& record : records) {
    Offer offer{record, amounts_of_offer(record), version};
    const auto before = offers_.find(offer.there.name);
    if (before != offers_.end() && before->second.record == record) offer.epoch = before->second.epoch;
    std::string name = offer.there.name;
    fresh.insert_or_assign(std::move(name), std::move(offer));
  }
  offers_ = std::move(fresh);
  offers_version_ = version;
}

Grants::Refusal Grants::judge(const proto::GrantEntry& entry, const Offer& offer, const Use& use) const {
  if (entry.epoch < offer.epoch || entry.epoch > offers_version_) {
    return refusal(Code::failed_precondition, "the offer " + entry.offer + " has changed since (asked by version " +
                                                  std::to_string(entry.epoch) + ", it is of version " +
                                                  std::to_string(offer.epoch) + "): match on the latest report");
  }
  if (use.exclusive || (entry.exclusive && use.holders > 0)) {
    return refusal(Code::failed_precondition, "the offer " + entry.offer + " is held by another");
  }
  for (const auto& [name, asked] : entry.amounts) {
    const std::int64_t there = value_or_none(offer.there.amounts, name);
    const std::int64_t free = std::max<std::int64_t>(there - value_or_none(use.amounts, name), 0);
    if (asked <= free) continue;
    return refusal(Code::failed_precondition, "the offer " + entry.offer + " has " + number_of(free) + " " + name +
                                                  " free of " + number_of(there) + ", less than the " +
                                                  number_of(asked) + " asked for");
  }
  for (const auto& [kind, shares] : entry.devices) {
    const auto there = value_or_none(offer.there.devices, kind);
    const auto held = value_or_none(use.devices, kind);
    for (const auto& [number, asked] : shares) {
      const std::int64_t free = number < there.size() ? there[number] - value_or_none(held, number) : 0;
      if (asked <= free) continue;
      return refusal(Code::failed_precondition,
                     "the offer " + entry.offer + " has " + number_of(std::max<std::int64_t>(free, 0)) + " free of " +
                         kind + " " + std::to_string(number) + ", less than the " + number_of(asked) + " asked for");
    }
  }
  return std::nullopt;
}

Grants::Refusal Grants::take(const proto::GrantEntry& entry, Time until) {
  const auto found = held_.find(entry.id);
  if (found != held_.end()) {
    if (!same_payload(found->second.entry, entry)) {
      return refusal(Code::already_exists, "this id stands for another grant, of the offer " +
                                               found->second.entry.offer + ": each grant has an id of its own");
    }
    found->second.until = until;
    return std::nullopt;
  }
  if (buried_.contains(entry.id)) {
    return refusal(Code::failed_precondition, "this grant was refused or released before: ask by a new id");
  }
  if (draining_) return refusal(Code::unavailable, "the node drains: it takes no new work");
  const auto offer = offers_.find(entry.offer);
  if (offer == offers_.end()) {
    return refusal(Code::failed_precondition, "the node has no offer " + entry.offer + ": match on the latest report");
  }
  if (auto wrong = judge(entry, offer->second, value_or_none(uses_, entry.offer))) return wrong;
  const std::size_t bytes = bytes_of(entry);
  if (held_.size() >= kGrantsHeldMax || bytes_ + bytes > kGrantsHeldBytesMax) {
    return refusal(Code::resource_exhausted, "the node holds " + std::to_string(held_.size()) + " grants of " +
                                                 std::to_string(bytes_) + " bytes, which is all it keeps");
  }
  held_.emplace(entry.id, Held{entry, until, bytes});
  bytes_ += bytes;
  count_in(entry, 1);
  ++version_;
  ++counts_.granted;
  return std::nullopt;
}

void Grants::count_in(const proto::GrantEntry& entry, std::int64_t sign) {
  Use& use = uses_[entry.offer];
  use.holders += static_cast<std::size_t>(sign);
  if (use.holders == 0) {
    uses_.erase(entry.offer);
    return;
  }
  use.exclusive = sign > 0 && entry.exclusive;  // who holds all of it is the only one
  for (const auto& [name, amount] : entry.amounts) use.amounts[name] += sign * amount;
  for (const auto& [kind, shares] : entry.devices) {
    for (const auto& [number, share] : shares) use.devices[kind][number] += sign * share;
  }
}

proto::GrantAnswer Grants::grant(const proto::Grant& asked, Time now) {
  expire(now);
  const Time until = now + std::chrono::milliseconds(asked.lease_ms);
  proto::GrantAnswer answer;
  for (std::size_t i = 0; i < asked.grants.size(); ++i) {
    Refusal wrong = take(asked.grants[i], until);
    if (!wrong) continue;
    if (!held_.contains(asked.grants[i].id)) bury(asked.grants[i].id);
    ++counts_.refused;
    wrong->grant = i;
    answer.refused.push_back(std::move(*wrong));
  }
  for (const proto::RequestId& id : asked.renew) {
    const auto found = held_.find(id);
    if (found == held_.end()) {
      answer.unknown.push_back(id);
    } else {
      found->second.until = until;
    }
  }
  if (!held_.empty()) due_ = std::min(due_, until);
  answer.version = version_;
  return answer;
}

void Grants::drop(std::map<proto::RequestId, Held, ById>::iterator found) {
  count_in(found->second.entry, -1);
  bytes_ -= found->second.bytes;
  held_.erase(found);
  ++version_;
}

void Grants::bury(const proto::RequestId& id) {
  if (!buried_.insert(id).second) return;
  burials_.push_back(id);
  if (burials_.size() <= kGrantsBuriedMax) return;
  buried_.erase(burials_.front());
  burials_.pop_front();
}

proto::ReleaseAnswer Grants::release(const proto::Release& asked, Time now) {
  expire(now);
  proto::ReleaseAnswer answer;
  for (const proto::RequestId& id : asked.grants) {
    bury(id);
    const auto found = held_.find(id);
    if (found == held_.end()) continue;
    drop(found);
    ++counts_.released;
    ++answer.released;
  }
  answer.version = version_;
  return answer;
}

void Grants::expire(Time now) {
  if (now < due_) return;
  due_ = Time::max();
  for (auto it = held_.begin(); it != held_.end();) {
    const auto at = it++;
    if (at->second.until <= now) {
      drop(at);
      ++counts_.expired;
    } else {
      due_ = std::min(due_, at->second.until);
    }
  }
}

std::vector<proto::GrantEntry> Grants::held(Time now) const {
  std::vector<proto::GrantEntry> all;
  all.reserve(held_.size());
  for (const auto& [id, held] : held_) {
    all.push_back(held.entry);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(held.until - now).count();
    all.back().lease_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(left, 1));
  }
  return all;
}

Answer Grants::serve(proto::Type type, std::string_view body, Time now) {
  if (type == proto::Type::grant) {
    const auto asked = proto::decode<proto::Grant>(body);
    if (!asked) return error_answer(Code::invalid_argument, "GRANT: " + asked.error().message);
    return answer_of(proto::Type::result, grant(*asked, now));
  }
  const auto asked = proto::decode<proto::Release>(body);
  if (!asked) return error_answer(Code::invalid_argument, "RELEASE: " + asked.error().message);
  return answer_of(proto::Type::result, release(*asked, now));
}

}  // namespace windlass::worker
