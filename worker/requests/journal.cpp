#include "worker/requests/journal.hpp"

#include "worker/core/limits.hpp"

namespace windlass::worker {
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
}

void Journal::put(const proto::RequestId& id, Answer answer, const Payload& payload, Time now) {
  const bool is_result = answer.type == proto::Type::result && !answer.frames.empty();
  if (file_) file_->ended(id, is_result ? answer.frames[0].view() : std::string_view());
  keep(id, {std::move(answer), payload}, now);
}

void Journal::keep(const proto::RequestId& id, const Kept& kept, Time now) {
  answers_.put(id, kept, now);
  while (answers_.size() > kAnswersMax || answers_.bytes() > kAnswersBytesMax) answers_.forget_oldest();
}

std::optional<Journal::Kept> Journal::find(const proto::RequestId& id) const {
  if (auto found = answers_.find(id)) return found;
  const auto before = earlier_.find(id);
  return before == earlier_.end() ? std::nullopt : std::optional(before->second);
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
  while (answers_.size() > 0 && now - answers_.oldest() > kAnswerKeep) answers_.forget_oldest();
  while (!tombstones_by_age_.empty() && now - tombstones_by_age_.front().at > kAnswerKeep) {
    unbury(tombstones_by_age_.front().id);
  }
}

}  // namespace windlass::worker
