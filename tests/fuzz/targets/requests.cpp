// A daemon's conversation with hostile askers: a list of events, each an opening byte that says who speaks (or that
// time passes, or that the engines end what they hold) and then the frames of a message.
#include "worker/requests/requests.hpp"

#include "tests/fuzz/frames.hpp"
#include "worker/testing.hpp"

namespace windlass::fuzz {
namespace {

using namespace worker;
using namespace worker::testing;
using namespace std::chrono_literals;

constexpr unsigned kPeers = 4;  // the last is the bridge

class Daemon {
 public:
  void take(std::string_view event) {
    if (event.empty()) return;
    const auto what = static_cast<unsigned char>(event[0]);
    now_ += std::chrono::milliseconds(what >> 4U);
    switch (what % 8) {
      case 4:
        now_ += 7s;
        break;
      case 5:
        matchers_.end_all();
        break;
      case 6:
        end_stages();
        break;
      case 7:
        set_gone(what);
        break;
      default:
        requests_.message(peer(what % kPeers), frames_of(event.substr(1)), now_);
    }
    if (now_ >= requests_.next_due()) requests_.turn(now_);
    check_sent();
  }
  // All that was begun ends, once its engine has ended it.
  void settle() {
    outbox_.gone.clear();
    outbox_.full.clear();
    for (int i = 0; i < 3; ++i) {
      matchers_.end_all();
      end_stages();
      now_ += 40s;
      requests_.turn(now_);
    }
    check_sent();
    require(requests_.idle(), "once the engines have ended all, nothing runs and nothing waits to be sent");
    now_ += 2min;
    requests_.turn(now_);
    require(requests_.answers_kept() == 0, "answers are forgotten in time");
  }

 private:
  static Peer peer(unsigned number) {
    if (number == kPeers - 1) return {true, ""};
    return {false, std::string(1, static_cast<char>('a' + number))};
  }
  void set_gone(unsigned what) {
    const std::string route = peer(what >> 4U & 1U).route;
    if ((what & 0x20U) != 0) {
      outbox_.gone.insert(route);
    } else if ((what & 0x40U) != 0) {
      outbox_.full.insert(route);
    } else {
      outbox_.gone.erase(route);
      outbox_.full.erase(route);
    }
  }
  void end_stages() {
    for (const auto& [tag, progress] : stager_.calls) {
      if (stager_.cancelled.insert(tag).second) stager_.ended.push_back(tag);
    }
    requests_.turn(now_);
  }
  void check_sent() {
    for (const SentMessage& sent : outbox_.take()) {
      if (sent.type() == proto::Type::bye) continue;
      require(!sent.frames.empty(), "what is sent has a body");
      const std::string_view body = sent.frames[0].view();
      if (sent.type() == proto::Type::error) require(bool(proto::decode<proto::Error>(body)), "an ERROR can be read");
      if (sent.type() == proto::Type::welcome) {
        require(bool(proto::decode<proto::Welcome>(body)), "a WELCOME can be read");
      }
    }
  }

  FakeOutbox outbox_;
  FakeMatchers matchers_;
  FakeStager stager_;
  Watcher watcher_;
  Time now_{};
  Requests requests_{{"n1", "0123456789abcdef", "windlassd", 1000, 3000, 10000},
                     {matchers_, stager_, outbox_, watcher_, [](Time) { return proto::LoadReport{}; }}};
};

}  // namespace

void run(std::string_view bytes) {
  Daemon daemon;
  for (const std::string_view event : parts_of(bytes)) daemon.take(event);
  daemon.settle();
}

std::vector<std::string> seeds() {
  std::vector<std::string> events;
  for (const proto::GoldenMessage& message : proto::golden_messages()) {
    events.push_back('\1' + joined(message.frames));
  }
  std::vector<std::string> made{joined(events)};
  const std::string hello = events[1];  // of a client
  for (std::size_t i = 0; i < events.size(); ++i) {
    made.push_back(joined(std::vector<std::string>{hello, events[i], "\5", events[i], "\4", "\6"}));
  }
  return made;
}

}  // namespace windlass::fuzz
