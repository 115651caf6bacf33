#include "plugin/stage/schedule.hpp"

#include <algorithm>
#include <cassert>

namespace windlass::stage {
namespace {

constexpr std::int64_t kRetryAfterMs = 200;

tl::unexpected<Error> exhausted(std::string message, bool may_later) {
  Error error;
  error.code = Code::resource_exhausted;
  error.message = std::move(message);
  error.retryable = may_later;
  error.retry_after_ms = may_later ? kRetryAfterMs : 0;
  return fail(std::move(error));
}

}  // namespace

Status Schedule::admits(const std::string& client, std::uint64_t transfers, std::uint64_t bytes) const {
  if (transfers > limits_.queue_max)
    return exhausted("the call has " + std::to_string(transfers) + " transfers, and no more than " +
                         std::to_string(limits_.queue_max) +
                         " are taken at once (stage.queue_max); make several calls of it",
                     false);
  if (tickets_.size() + transfers > limits_.queue_max)
    return exhausted("the queue is full: " + std::to_string(tickets_.size()) + " of " +
                         std::to_string(limits_.queue_max) +
                         " transfers are accepted and unfinished (stage.queue_max); come again later",
                     true);
  if (limits_.quota_per_client == 0) return {};
  if (bytes > limits_.quota_per_client)
    return exhausted("the call has " + std::to_string(bytes) + " bytes, and a client may have " +
                         std::to_string(limits_.quota_per_client) +
                         " accepted and unfinished (stage.quota_per_client); make several calls of it",
                     false);
  const auto at = bytes_by_client_.find(client);
  const std::uint64_t used = at == bytes_by_client_.end() ? 0 : at->second;
  if (used + bytes <= limits_.quota_per_client) return {};
  return exhausted("the client has " + std::to_string(used) + " of " + std::to_string(limits_.quota_per_client) +
                       " bytes accepted and unfinished (stage.quota_per_client); come again when some are done",
                   true);
}

void Schedule::remove_from_queue(const Ticket& ticket) {
  const auto at = order_.find(ticket.devices);
  at->second.erase({ticket.priority, ticket.sequence});
  if (at->second.empty()) order_.erase(at);
  queued_.erase(ticket.sequence);
  if (ticket.deadline) deadlines_.erase({*ticket.deadline, ticket.sequence});
}

void Schedule::accept(Ticket ticket) {
  order_[ticket.devices].insert({ticket.priority, ticket.sequence});
  queued_.insert(ticket.sequence);
  if (ticket.deadline) deadlines_.insert({*ticket.deadline, ticket.sequence});
  bytes_by_client_[ticket.client] += ticket.bytes;
  tickets_.emplace(ticket.sequence, std::move(ticket));
}

std::optional<Sequence> Schedule::next(const MayBegin& may) {
  std::optional<Turn> first;
  for (const auto& [devices, turns] : order_)
    if ((!first || *turns.begin() < *first) && may(devices)) first = *turns.begin();
  if (!first) return std::nullopt;
  const Sequence transfer = first->sequence;
  remove_from_queue(tickets_.at(transfer));
  return transfer;
}

bool Schedule::has_next(const MayBegin& may) const {
  return std::any_of(order_.begin(), order_.end(), [&](const auto& group) { return may(group.first); });
}

std::vector<Sequence> Schedule::expired(Clock::time_point now) {
  std::vector<Sequence> taken;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    taken.push_back(deadlines_.begin()->second);
    remove_from_queue(tickets_.at(taken.back()));
  }
  return taken;
}

std::optional<Clock::time_point> Schedule::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

bool Schedule::withdraw(Sequence transfer) {
  if (queued_.count(transfer) == 0) return false;
  remove_from_queue(tickets_.at(transfer));
  return true;
}

Status Schedule::grown(Sequence transfer, std::uint64_t bytes) {
  Ticket& ticket = tickets_.at(transfer);
  if (limits_.quota_per_client == 0 || bytes <= ticket.bytes) return {};
  std::uint64_t& used = bytes_by_client_[ticket.client];
  const std::uint64_t more = bytes - ticket.bytes;
  if (used + more > limits_.quota_per_client)
    return exhausted("decompressed, it would bring its client beyond the " + std::to_string(limits_.quota_per_client) +
                         " bytes that may be accepted and unfinished (stage.quota_per_client); stage it when others "
                         "are done",
                     bytes <= limits_.quota_per_client);
  used += more;
  ticket.bytes = bytes;
  return {};
}

void Schedule::ended(Sequence transfer) {
  const auto at = tickets_.find(transfer);
  assert(at != tickets_.end());
  const auto client = bytes_by_client_.find(at->second.client);
  if (client != bytes_by_client_.end()) {  // else those of its transfers that are left have none
    client->second -= at->second.bytes;
    if (client->second == 0) bytes_by_client_.erase(client);
  }
  tickets_.erase(at);
}

std::optional<Clock::time_point> Schedule::oldest_queued() const {
  if (queued_.empty()) return std::nullopt;
  return tickets_.at(*queued_.begin()).accepted;
}

}  // namespace windlass::stage
