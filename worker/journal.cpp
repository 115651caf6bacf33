#include "worker/journal.hpp"

#include "worker/limits.hpp"

namespace windlass::worker {

void Journal::remember(EndsFile file, Time now) {
  file_.emplace(std::move(file));
  not_known_ = error_answer(proto::Code::not_found,
                            "the request came before windlassd began anew, and its end is no longer known: look at "
                            "the targets, and stage again under a new id what is missing");
  for (auto& [id, result] : file_->take_earlier()) {
    earlier_.insert(id);
    if (result) keep(id, {proto::Type::result, proto::Code::ok, {Frame(std::move(*result))}}, now);
  }
}

void Journal::began(const proto::RequestId& id) {
  if (!file_) return;
  file_->began(id);
  begun_.insert(id);
}

void Journal::put(const proto::RequestId& id, Answer answer, Time now) {
  const bool is_end = file_ && begun_.erase(id) > 0 && answer.type == proto::Type::result && !answer.frames.empty();
  if (is_end) file_->ended(id, answer.frames[0].view());
  keep(id, std::move(answer), now);
}

void Journal::keep(const proto::RequestId& id, Answer answer, Time now) {
  const std::size_t bytes = bytes_of(answer.frames);
  if (!answers_.emplace(id, std::move(answer)).second) return;
  bytes_ += bytes;
  by_age_.push_back({id, now});
  while (by_age_.size() > kAnswersMax || bytes_ > kAnswersBytesMax) forget_oldest();
}

const Answer* Journal::find(const proto::RequestId& id) const {
  const auto found = answers_.find(id);
  if (found != answers_.end()) return &found->second;
  return earlier_.contains(id) ? &not_known_ : nullptr;
}

void Journal::forget_oldest() {
  const auto found = answers_.find(by_age_.front().id);
  bytes_ -= bytes_of(found->second.frames);
  answers_.erase(found);
  by_age_.pop_front();
}

void Journal::bury(const proto::RequestId& id, Time now) {
  if (!tombstones_.insert(id).second) return;
  tombstones_by_age_.push_back({id, now});
  if (tombstones_by_age_.size() <= kTombstonesMax) return;
  tombstones_.erase(tombstones_by_age_.front().id);
  tombstones_by_age_.pop_front();
}

bool Journal::unbury(const proto::RequestId& id) {
  return tombstones_.erase(id) > 0;
}

void Journal::sweep(Time now) {
  while (!by_age_.empty() && now - by_age_.front().at > kAnswerKeep) forget_oldest();
  while (!tombstones_by_age_.empty() && now - tombstones_by_age_.front().at > kAnswerKeep) {
    tombstones_.erase(tombstones_by_age_.front().id);
    tombstones_by_age_.pop_front();
  }
}

}  // namespace windlass::worker
