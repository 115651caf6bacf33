#include "worker/journal.hpp"

#include "worker/limits.hpp"

namespace windlass::worker {

void Journal::put(const proto::RequestId& id, Answer answer, Time now) {
  const std::size_t bytes = bytes_of(answer.frames);
  if (!answers_.emplace(id, std::move(answer)).second) return;
  bytes_ += bytes;
  by_age_.push_back({id, now});
  while (by_age_.size() > kAnswersMax || bytes_ > kAnswersBytesMax) forget_oldest();
}

const Answer* Journal::find(const proto::RequestId& id) const {
  const auto found = answers_.find(id);
  return found == answers_.end() ? nullptr : &found->second;
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
