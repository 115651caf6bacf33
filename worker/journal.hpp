// The answers of requests that have ended, for those who ask again: same id, same answer. Kept for kAnswerKeep, and of
// those the latest kAnswersMax within kAnswersBytesMax. Further the ids that were cancelled before their request came,
// and where there is a file for it those of STAGE requests that an earlier process accepted: never begun again.
// No clock: the time is handed in. Control thread.
#pragma once

#include <deque>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "worker/answer.hpp"
#include "worker/ends_file.hpp"

namespace windlass::worker {

class Journal {
 public:
  // From now on ends of STAGE requests go into `file` too; what it holds of earlier processes is answered.
  void remember(EndsFile file, Time now);
  // A STAGE was accepted.
  void began(const proto::RequestId& id);

  void put(const proto::RequestId& id, Answer answer, Time now);
  // Of an id from an earlier process it is the end as long as that is kept, then ERROR NOT_FOUND.
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
  void keep(const proto::RequestId& id, Answer answer, Time now);

  std::optional<EndsFile> file_;
  std::unordered_set<proto::RequestId, proto::RequestIdHash> begun_;    // and not ended; in the file
  std::unordered_set<proto::RequestId, proto::RequestIdHash> earlier_;  // of processes before this one
  Answer not_known_;
  std::unordered_map<proto::RequestId, Answer, proto::RequestIdHash> answers_;
  std::deque<Entry> by_age_;
  std::size_t bytes_ = 0;
  std::unordered_set<proto::RequestId, proto::RequestIdHash> tombstones_;
  std::deque<Entry> tombstones_by_age_;
};

}  // namespace windlass::worker
