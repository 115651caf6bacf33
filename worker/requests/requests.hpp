// What windlassd does with the messages of its askers, local clients and the bridge alike: the HELLO gate, MATCH,
// SESSION, STAGE, PROGRESS, CANCEL, LOAD, and that the same id gets the same answer. No socket, no clock, no thread of
// its own: messages, engines and the time are handed in, answers go to an Outbox. Control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "proto/keyed_hash.hpp"
#include "worker/bridge/grants.hpp"
#include "worker/engines/engines.hpp"
#include "worker/engines/sessions.hpp"
#include "worker/requests/journal.hpp"
#include "worker/requests/peers.hpp"
#include "worker/requests/unsent.hpp"

namespace windlass::worker {

// Who we are, for WELCOME.
struct Identity {
  std::string name;
  std::string incarnation;
  std::string software;
  std::uint64_t beat_ms = 1000;
  std::uint64_t suspect_ms = 3000;
  std::uint64_t dead_ms = 10000;
};

// What others want to know of the traffic; for metrics. Every call may be left as it is.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void received(bool /*from_bridge*/) {}
  virtual void dropped(const char* /*reason*/) {}
  virtual void refused(const char* /*reason*/) {}
  virtual void denied(const Peer& /*peer*/, const std::string& /*what*/) {}
  virtual void answered(proto::Type /*request*/, proto::Code /*code*/, double /*seconds*/) {}
  virtual void matched(const MatchTask& /*task*/) {}
};

class Requests {
 public:
  struct Parts {
    MatchEngine& matchers;
    StageEngine& stager;
    Outbox& outbox;
    Watcher& watcher;
    std::function<proto::LoadReport(Time)> load;  // the latest, with its age
    Grants* grants = nullptr;                     // what GRANT and RELEASE of the bridge are served by
  };
  Requests(Identity identity, Parts parts);

  // The ends of STAGE requests outlive this process in `file`.
  void remember(EndsFile file, Time now) { journal_.remember(std::move(file), now); }

  // One whole message. From the bridge only requests are to be handed in here.
  void message(const Peer& peer, Frames frames, Time now);
  // The client's connection has ended; to be told before any message of the next one under its route. It is to say
  // HELLO again, and holds no credits. What it has under way and its sessions stay, for it may come back in time.
  void gone(const std::string& route);
  // Takes what engines have ended, tells of progress, forgets what is old. To be called at next_due() or before, and
  // whenever an engine rings.
  void turn(Time now);
  [[nodiscard]] Time next_due() const;

  // From now on new work is refused UNAVAILABLE.
  void drain() { draining_ = true; }
  // Ends what runs, with the process about to go: matches that wait are cancelled; transfers are answered UNAVAILABLE
  // while their parts stay for a resume, so the stager must not be closed after it but left as by a kill.
  void park_all(Time now);
  [[nodiscard]] bool parked() const { return parked_; }
  // Nothing runs and nothing waits to be sent.
  [[nodiscard]] bool idle() const { return running_.empty() && unsent_.empty(); }
  // BYE to every client.
  void say_bye(Time now);

  [[nodiscard]] std::size_t clients() const { return peers_.size(); }
  [[nodiscard]] std::size_t answers_kept() const { return journal_.size(); }
  [[nodiscard]] std::size_t sessions() const { return sessions_.size(); }
  [[nodiscard]] std::size_t running() const { return running_.size(); }
  // Answers given up because their peer's queue stayed full.
  [[nodiscard]] std::uint64_t answers_dropped() const { return unsent_.dropped(); }

 private:
  using Deadlines = std::multimap<Time, proto::RequestId>;
  struct Asker {
    Peer peer;
    std::optional<Time> gone_since;
  };
  struct Running {
    proto::Type type{};
    std::vector<Asker> askers;
    Time received{};
    std::string owner;                // whose credits it holds, or among whose it counts
    std::size_t bytes = 0;            // of credits
    std::uint64_t stay = 0;           // whose credits they are
    std::shared_ptr<MatchTask> task;  // of a MATCH or SESSION
    std::optional<Deadlines::iterator> deadline;
    Payload payload;        // of a STAGE
    std::uint64_t tag = 0;  // of a STAGE
    bool detach = false;
    proto::Progress told;
    Time told_at{};
  };
  using Table = proto::KeyedMap<proto::RequestId, Running>;

  void serve(const Peer& peer, const proto::Header& header, Frames frames, Time now);
  void deny(const Peer& peer, const proto::Header& header, const std::string& what, Time now);
  void hello(const Peer& peer, const proto::Header& header, const Frames& frames, Time now);
  void begin(const Peer& peer, const proto::Header& header, Frames frames, Time now);
  static std::shared_ptr<MatchTask> task_of(const Peer& peer, const proto::Header& header, Frames frames, Time now);
  void begin_match(const Peer& peer, const proto::Header& header, Frames frames, Time now);
  void begin_session(const Peer& peer, const proto::Header& header, Frames frames, Time now);
  void begin_stage(const Peer& peer, const proto::Header& header, const Frames& frames, Time now);
  void ask_progress(const Peer& peer, const proto::Header& header, Time now);
  void cancel(const Peer& peer, const proto::Header& header, const Frames& frames, Time now);
  void bye(const Peer& peer, Time now);

  // The id has come again, with the same payload or another.
  void again(const Peer& peer, const proto::Header& header, const Frames& frames, Running& running, Time now);
  void again(const Peer& peer, const proto::Header& header, const Frames& frames, const Journal::Kept& kept, Time now);

  bool cancel_running(Table::iterator found, Time now);
  bool end_unbegun(Table::iterator found, Answer answer, Time now);
  void expire(Time now);
  // The requests under way that `wanted` is true of; to be looked up again, since ending one may begin and end another.
  template <class Wanted>
  [[nodiscard]] std::vector<proto::RequestId> ids_of(Wanted&& wanted) {
    std::vector<proto::RequestId> ids;
    for (auto& [id, running] : running_) {
      if (wanted(running)) ids.push_back(id);
    }
    return ids;
  }
  // False where too many ask for it already.
  bool attach(Running& running, const Peer& peer);
  // Whether the client may have one more under way; answers it where not.
  bool admit(const Peer& peer, const proto::Header& header, const Frames& frames, Time now);
  // Whether all who wait for it could take an answer of so many bytes, now or in a while.
  bool has_room(const Running& running, std::size_t bytes) const;
  bool admit_stage(const Peer& peer, const proto::Header& header, Time now);
  void refuse_full(const Peer& peer, const proto::Header& header, const std::string& said, Time now);
  void wait_for(const Peer& peer, const std::shared_ptr<MatchTask>& task, Time now);
  void finish(Table::iterator found, Answer answer, Time now);
  void refuse(Table::iterator found, const Answer& answer, Time now);
  void refuse_full(Table::iterator found, const std::string& said, Time now);
  void release(const Running& running);
  void end_at_once(const Peer& peer, const proto::Header& header, MatchTask& task, Time now);
  void take_matches(Time now);
  void take_stages(Time now);
  void tell_progress(Table::iterator found, Time now);
  void tell_all_progress(Time now);
  void cancel_for_the_gone(Time now);
  void advance(MatchSession& session, Time now);
  void probe_sessions(Time now);

  void reply(const Peer& peer, const proto::Header& header, const Answer& answer, Time now);
  Sent send(const Peer& peer, proto::Type type, const proto::RequestId& id, const Frames& frames, Time now);

  Identity identity_;
  Parts parts_;
  Peers peers_;
  Journal journal_;
  Sessions sessions_;
  Unsent unsent_;
  Table running_;
  Deadlines deadlines_;                                  // of what waits or runs with the matchers
  std::map<std::uint64_t, proto::RequestId> stages_;     // by tag
  proto::KeyedMap<std::string, std::size_t> stages_of_;  // clients
  std::uint64_t next_tag_ = 1;
  std::uint64_t told_last_ = 0;  // the tag whose progress was told last
  Time progress_due_{};
  Time retry_due_{};
  Time sweep_due_{};
  bool draining_ = false;
  bool parked_ = false;
};

}  // namespace windlass::worker
