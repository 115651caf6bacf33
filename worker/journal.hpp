// The answers of requests that have ended, for those who ask again: same id, same answer. Kept for kAnswerKeep, and of
// those the latest kAnswersMax within kAnswersBytesMax. Further the ids that were cancelled before their request came.
// No clock: the time is handed in. Control thread.
#pragma once

#include <deque>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "worker/answer.hpp"

namespace windlass::worker {

class Journal {
 public:
  void put(const proto::RequestId& id, Answer answer, Time now);
  [[nodiscard]] const Answer* find(const proto::RequestId& id) const;

  // A CANCEL that overtook its request.
  void bury(const proto::RequestId& id, Time now);
  // Takes the tombstone; true where there was one.
  bool unbury(const proto::RequestId& id);

  // Forgets what is old.
  void sweep(Time now);
  [[nodiscard]] std::size_t size() const { return answers_.size(); }

 private:
  struct Entry {
    proto::RequestId id;
    Time at;
  };
  void forget_oldest();

  std::unordered_map<proto::RequestId, Answer, proto::RequestIdHash> answers_;
  std::deque<Entry> by_age_;
  std::size_t bytes_ = 0;
  std::unordered_set<proto::RequestId, proto::RequestIdHash> tombstones_;
  std::deque<Entry> tombstones_by_age_;
};

}  // namespace windlass::worker
