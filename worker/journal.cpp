#include "worker/journal.hpp"

#include <algorithm>
#include <memory>

#include "worker/limits.hpp"

namespace windlass::worker {
namespace {

constexpr std::size_t kPackMax = 4096;  // bytes

// The same answer in memory of its own. What it was made from is free for the next request then, and still in the
// processor's cache.
Answer packed(Answer answer) {
  const std::size_t bytes = bytes_of(answer.frames);
  if (bytes > kPackMax) return answer;
  const auto memory = std::make_shared_for_overwrite<char[]>(bytes);
  char* to = memory.get();
  for (Frame& frame : answer.frames) {
    const std::string_view from = frame.view();
    std::ranges::copy(from, to);
    frame = Frame(memory, {to, from.size()});
    to += from.size();
  }
  return answer;
}

}  // namespace

void Journal::remember(EndsFile file, Time now) {
  file_.emplace(std::move(file));
  const Answer not_known =
      error_answer(proto::Code::not_found,
                   "the request came before windlassd began anew, and its end is no longer known: look at "
                   "the targets, and stage again under a new id what is missing");
  for (auto& [id, payload, result] : file_->take_earlier()) {
    earlier_.emplace(id, Kept{not_known, payload});
    if (result) keep(id, {{proto::Type::result, proto::Code::ok, {Frame(std::move(*result))}}, payload}, now);
  }
}

void Journal::began(const proto::RequestId& id, const Payload& payload) {
  if (!file_) return;
  file_->began(id, payload);
  begun_.insert(id);
}

void Journal::put(const proto::RequestId& id, Answer answer, const Payload& payload, Time now) {
  const bool is_end = file_ && begun_.erase(id) > 0 && answer.type == proto::Type::result && !answer.frames.empty();
  if (is_end) file_->ended(id, answer.frames[0].view());
  keep(id, {std::move(answer), payload}, now);
}

void Journal::keep(const proto::RequestId& id, Kept kept, Time now) {
  const std::size_t bytes = bytes_of(kept.answer.frames);
  kept.answer = packed(std::move(kept.answer));
  if (!answers_.emplace(id, std::move(kept)).second) return;
  bytes_ += bytes;
  by_age_.push_back({id, now});
  while (by_age_.size() > kAnswersMax || bytes_ > kAnswersBytesMax) forget_oldest();
}

const Journal::Kept* Journal::find(const proto::RequestId& id) const {
  if (const auto found = answers_.find(id); found != answers_.end()) return &found->second;
  const auto before = earlier_.find(id);
  return before == earlier_.end() ? nullptr : &before->second;
}

void Journal::forget_oldest() {
  const auto found = answers_.find(by_age_.front().id);
  bytes_ -= bytes_of(found->second.answer.frames);
  answers_.erase(found);
  by_age_.pop_front();
}

bool Journal::bury(const proto::RequestId& id, const std::string& route, Time now) {
  if (tombstones_.contains(id)) return true;
  if (tombstones_.size() >= kTombstonesMax) return false;
  std::size_t& of_peer = tombstones_of_[route];
  if (of_peer >= kTombstonesPerPeerMax) return false;
  ++of_peer;
  tombstones_.emplace(id, Tombstone{route, tombstones_by_age_.insert(tombstones_by_age_.end(), {id, now})});
  return true;
}

bool Journal::unbury(const proto::RequestId& id) {
  const auto found = tombstones_.find(id);
  if (found == tombstones_.end()) return false;
  const auto of_peer = tombstones_of_.find(found->second.route);
  if (--of_peer->second == 0) tombstones_of_.erase(of_peer);
  tombstones_by_age_.erase(found->second.by_age);
  tombstones_.erase(found);
  return true;
}

void Journal::sweep(Time now) {
  while (!by_age_.empty() && now - by_age_.front().at > kAnswerKeep) forget_oldest();
  while (!tombstones_by_age_.empty() && now - tombstones_by_age_.front().at > kAnswerKeep) {
    unbury(tombstones_by_age_.front().id);
  }
}

}  // namespace windlass::worker
