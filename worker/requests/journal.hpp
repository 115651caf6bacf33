// The answers of requests that have ended, for those who ask again: same id, same answer. Kept for kAnswerKeep, and of
// those the latest kAnswersMax within kAnswersBytesMax. An id belongs to its first payload, whose sum stands beside the
// answer. Further the ids that were cancelled before their request came, and where there is a file for it those of
// STAGE requests that an earlier process accepted: never begun again. No clock: the time is handed in. Control thread.
#pragma once

#include <list>
#include <optional>
#include <string>

#include "proto/keyed_hash.hpp"
#include "worker/requests/answers.hpp"
#include "worker/requests/ends_file.hpp"

namespace windlass::worker {

class Journal {
 public:
  // From now on ends of STAGE requests go into `file` too; what it holds of earlier processes is answered.
  void remember(EndsFile file, Time now);
  // A STAGE was accepted.
  void began(const proto::RequestId& id, const Payload& payload);

  using Kept = Answers::Kept;
  void put(const proto::RequestId& id, Answer answer, const Payload& payload, Time now);
  // Of an id from an earlier process it is the end as long as that is kept, then ERROR NOT_FOUND.
  [[nodiscard]] std::optional<Kept> find(const proto::RequestId& id) const;

  // A CANCEL by `route` that overtook its request; false where there are too many of them, in all or of this peer.
  [[nodiscard]] bool bury(const proto::RequestId& id, const std::string& route, Time now);
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
  template <class Value>
  using ById = proto::KeyedMap<proto::RequestId, Value>;
  void keep(const proto::RequestId& id, const Kept& kept, Time now);

  std::optional<EndsFile> file_;
  ById<Kept> earlier_;  // of processes before this one: not known
  Answers answers_;
  struct Tombstone {
    std::string route;  // whose CANCEL it was
    std::list<Entry>::iterator by_age;
  };
  ById<Tombstone> tombstones_;
  proto::KeyedMap<std::string, std::size_t> tombstones_of_;
  std::list<Entry> tombstones_by_age_;
};

}  // namespace windlass::worker
