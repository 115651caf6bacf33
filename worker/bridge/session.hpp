// The node's session with the bridge, as decisions alone: it takes events and the time and says what to do. No socket,
// no file, no clock; randomness comes from a seed. Control thread.
//
//   waiting --due--> greeting (dialled, HELLO sent) --WELCOME--> registered
//      ^                 | no WELCOME in time, ERROR, BYE, turned away  | silence for dead_after, BYE
//      +-----------------+----------------------------------------------+
//   registered --"say HELLO first" (the bridge restarted)--> greeting
//
// Each dial is a new registration: a new incarnation, a new socket.
//
// The transport tells by link() whether there is a connection, which it finds out by pings that the other side's
// ZeroMQ answers without the help of its program. So a bridge that is silent behind a connection that lives is busy
// and not gone: it is waited for much longer, and no word to it is lost.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "proto/messages.hpp"
#include "worker/core/answer.hpp"
#include "worker/core/limits.hpp"

namespace windlass::worker {

struct SessionOptions {
  std::string name;
  proto::Labels labels;
  std::string software;
  std::uint64_t pid = 0;
  std::chrono::milliseconds beat{1000};
  std::chrono::milliseconds suspect_after{3000};
  std::chrono::milliseconds dead_after{10000};
  std::uint64_t credit_requests = kBridgeCreditRequests;  // what HELLO tells the bridge that it may have under way
  std::uint64_t credit_bytes = kBridgeCreditBytes;
  int patience = 30;  // so many times dead_after a bridge may be silent while the connection to it lives
  std::chrono::milliseconds backoff_min{100};
  std::chrono::milliseconds backoff_max{1000};
  std::uint64_t seed = 0;
};

// What to do, in this order.
struct Dial {
  std::string incarnation;  // a fresh socket with the routing id NAME/INCARNATION, in place of any other
};
struct HangUp {};
struct SendHello {
  proto::RequestId id;
  proto::Hello hello;
};
struct SendLoad {
  proto::RequestId id;
  std::uint64_t sequence;
  bool with_offers;
};
struct SendDrain {
  proto::RequestId id;
};
struct SendBye {
  proto::RequestId id;
};
// Nothing to do but to tell: the bridge is there, is silent (or speaks again), or is lost and why.
struct Registered {};
struct Silent {
  bool silent;
};
struct Lost {
  std::string why;
  bool by_silence = false;  // and not by a word of the bridge
};
using Action = std::variant<Dial, HangUp, SendHello, SendLoad, SendDrain, SendBye, Registered, Silent, Lost>;
using Actions = std::vector<Action>;

class Session {
 public:
  Session(SessionOptions options, Time now);

  // To be called at due() or before.
  Actions tick(Time now);
  [[nodiscard]] Time due() const;

  // A message of the bridge came, whatever it is. `body` is read where the session cares. Requests (STAGE, PROGRESS,
  // CANCEL) are the caller's to serve, if is_registered().
  Actions heard(const proto::Header& header, std::string_view body, Time now);

  // The connection of the latest dial has come up, or is gone.
  Actions link(bool up, Time now);
  // It broke the handshake off, and the next dial may fare better: this one is given up.
  Actions turned_away(Time now);

  // The offers changed, or a report of them could not be sent: the next one carries them.
  void offers_changed() { offers_pending_ = true; }
  // The next report is due now and not with the next beat.
  void hurry(Time now) { report_at_ = std::min(report_at_, now); }
  void labels_changed(proto::Labels labels) { options_.labels = std::move(labels); }
  Actions drain(Time now);
  Actions bye(Time now);  // and no further dial

  [[nodiscard]] bool is_registered() const { return state_ == State::registered; }
  [[nodiscard]] bool is_silent() const { return silent_; }
  // Of the latest dial; before the first, of the dial to come.
  [[nodiscard]] const std::string& incarnation() const { return incarnation_; }

 private:
  enum class State { waiting, greeting, registered, over };

  Actions dial(Time now);
  void lose(Actions& actions, std::string why, Time now);
  void welcome(Actions& actions, std::string_view body, Time now);
  void refused(Actions& actions, const proto::Header& header, std::string_view body, Time now);
  void report(Actions& actions, Time now);
  [[nodiscard]] std::chrono::milliseconds silence_max(std::chrono::milliseconds without_link) const;
  proto::RequestId fresh_id();
  std::string fresh_incarnation();

  SessionOptions options_;
  std::mt19937_64 random_;
  State state_ = State::waiting;
  std::string incarnation_;
  std::string process_;   // the first incarnation: what registrations of one process have in common
  bool dialled_ = false;  // the first dial goes by the incarnation that the process told of itself at its start
  std::chrono::milliseconds backoff_;
  std::chrono::milliseconds beat_;
  Time dial_at_;
  Time greeted_at_{};
  Time heard_at_{};
  Time report_at_{};
  proto::RequestId hello_id_;
  std::uint64_t sequence_ = 0;
  bool offers_pending_ = true;
  bool draining_ = false;
  bool silent_ = false;
  bool linked_ = false;
};

}  // namespace windlass::worker
