// Fakes and small helpers for the tests of the daemon's decisions.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "worker/engines/engines.hpp"

namespace windlass::worker::testing {

inline proto::RequestId id_of(char letter) {
  proto::RequestId id;
  id.bytes.fill(letter);
  return id;
}

struct SentMessage {
  Peer peer;
  proto::Header header;
  Frames frames;
  [[nodiscard]] proto::Type type() const { return static_cast<proto::Type>(header.t); }
};

// Keeps what is sent; peers may be told gone or full.
class FakeOutbox final : public Outbox {
 public:
  Sent send(const Peer& peer, const proto::Header& header, const Frames& frames) override {
    if (gone.contains(peer.route)) return Sent::gone;
    if (full.contains(peer.route)) return Sent::full;
    sent.push_back({peer, header, frames});
    return Sent::yes;
  }
  [[nodiscard]] bool has_room(const Peer& peer, std::size_t bytes) const override {
    const auto found = room.find(peer.route);
    return found == room.end() || bytes < found->second;
  }
  std::vector<SentMessage> take() { return std::exchange(sent, {}); }

  std::vector<SentMessage> sent;
  std::set<std::string> gone;
  std::set<std::string> full;
  std::map<std::string, std::size_t> room;  // by route; else there is any
};

// Holds matches until the test ends them.
class FakeMatchers final : public MatchEngine {
 public:
  bool start(const std::shared_ptr<MatchTask>& task) override {
    if (refuse) return false;
    ++started;
    waiting.push_back(task);
    return true;
  }
  bool withdraw(const std::shared_ptr<MatchTask>& task) override { return !begun && std::erase(waiting, task) > 0; }
  std::vector<std::shared_ptr<MatchTask>> take_ended() override { return std::exchange(ended, {}); }
  [[nodiscard]] std::size_t queued() const override { return waiting.size(); }
  [[nodiscard]] std::optional<Time> oldest() const override { return std::nullopt; }

  void end_all() {
    for (auto& task : waiting) {
      task->answer = answer_of(proto::Type::result, proto::MatchResult{});
      task->ended = true;
      ended.push_back(std::move(task));
    }
    waiting.clear();
  }

  bool refuse = false;
  bool begun = false;  // whatever was handed over is at work: nothing is taken back
  int started = 0;
  std::vector<std::shared_ptr<MatchTask>> waiting;
  std::vector<std::shared_ptr<MatchTask>> ended;
};

class FakeStager final : public StageEngine {
 public:
  tl::expected<void, proto::Error> submit(std::uint64_t tag, std::string_view body,
                                          const std::string& client) override {
    if (refusal) return tl::unexpected(*refusal);
    calls[tag] = {};
    bodies.emplace_back(body);
    clients.push_back(client);
    return {};
  }
  std::optional<std::uint64_t> next_ended() override {
    if (ended.empty()) return std::nullopt;
    const std::uint64_t tag = ended.back();
    ended.pop_back();
    return tag;
  }
  proto::Progress progress(std::uint64_t tag) override { return calls[tag]; }
  bool cancel(std::uint64_t tag) override {
    if (!calls.contains(tag) || !cancelled.insert(tag).second) return false;
    ended.push_back(tag);
    return true;
  }
  std::string take_report(std::uint64_t tag) override {
    calls.erase(tag);
    return proto::encode(proto::StageResult{});
  }
  StageCounters counters() override { return {}; }
  std::string engine() override { return "threads"; }

  std::optional<proto::Error> refusal;
  std::map<std::uint64_t, proto::Progress> calls;
  std::vector<std::string> bodies;
  std::vector<std::string> clients;
  std::set<std::uint64_t> cancelled;
  std::vector<std::uint64_t> ended;
};

}  // namespace windlass::worker::testing
