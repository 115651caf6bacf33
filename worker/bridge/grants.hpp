// What bridges hold of this node's offers, as decisions alone: GRANT takes, RELEASE gives back, a lease that nobody
// renews ends. The node is the one judge: whoever asks, of an offer no more is held than there is. No socket, no clock:
// messages and the time are handed in. Control thread.
//
// A grant is known by its id. Asked again it is the same grant, and its lease begins anew; asked again for something
// else it is refused. An id that was refused or released is refused from then on, so that neither a message that
// overtakes another nor one that comes twice takes anything. One whose lease ended may be asked for again.
//
// Nothing is kept on disk: see docs/decisions/grants-live-in-the-nodes.md.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/keyed_hash.hpp"
#include "worker/bridge/offer_amounts.hpp"
#include "worker/core/answer.hpp"

namespace windlass::worker {

class Grants {
 public:
  struct Counts {
    std::uint64_t granted = 0, refused = 0, released = 0, expired = 0;
  };

  // What the node offers from now on: the records of a report and their version. What is held stays held, also of
  // offers that are gone or have shrunk.
  void offers_are(const std::vector<std::string>& records, std::uint64_t version);

  [[nodiscard]] proto::GrantAnswer grant(const proto::Grant& asked, Time now);
  [[nodiscard]] proto::ReleaseAnswer release(const proto::Release& asked, Time now);
  // Serves a GRANT or RELEASE as it came.
  [[nodiscard]] Answer serve(proto::Type type, std::string_view body, Time now);

  // From now on nothing new is granted; what is held may be renewed.
  void drain() { draining_ = true; }
  // Ends the leases that are over. To be called at next_due() or before.
  void expire(Time now);
  [[nodiscard]] Time next_due() const { return due_; }

  // One more for each change of what is held.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  // All that is held, each with what is left of its lease.
  [[nodiscard]] std::vector<proto::GrantEntry> held(Time now) const;
  [[nodiscard]] std::size_t size() const { return held_.size(); }
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct Offer {
    std::string record;
    OfferAmounts there;
    std::uint64_t epoch = 0;  // the version with which it last changed
  };
  // What is held of an offer, by name: offers come and go, grants stay.
  struct Use {
    std::size_t holders = 0;
    bool exclusive = false;
    std::map<std::string, std::int64_t> amounts;
    std::map<std::string, std::map<std::uint32_t, std::int64_t>> devices;
  };
  struct Held {
    proto::GrantEntry entry;
    Time until;
    std::size_t bytes = 0;
  };
  struct ById {
    bool operator()(const proto::RequestId& one, const proto::RequestId& other) const {
      return one.bytes < other.bytes;
    }
  };
  using Refusal = std::optional<proto::GrantRefusal>;

  Refusal take(const proto::GrantEntry& entry, Time until);
  [[nodiscard]] Refusal judge(const proto::GrantEntry& entry, const Offer& offer, const Use& use) const;
  void count_in(const proto::GrantEntry& entry, std::int64_t sign);
  void drop(std::map<proto::RequestId, Held, ById>::iterator found);
  void bury(const proto::RequestId& id);

  std::map<std::string, Offer> offers_;
  std::uint64_t offers_version_ = 0;
  std::map<std::string, Use> uses_;
  std::map<proto::RequestId, Held, ById> held_;
  std::size_t bytes_ = 0;
  proto::KeyedSet<proto::RequestId> buried_;  // refused or released
  std::deque<proto::RequestId> burials_;
  std::uint64_t version_ = 1;
  Time due_ = Time::max();
  bool draining_ = false;
  Counts counts_;
};

}  // namespace windlass::worker
