// Requests with fakes all around, and a client to speak with: what its tests share.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "worker/core/limits.hpp"
#include "worker/requests/requests.hpp"
#include "worker/testing.hpp"

namespace windlass::worker::testing {

using namespace std::chrono_literals;
using proto::Code;
using proto::Type;

inline std::string match_body() {
  proto::Match match;
  match.tasks = 1;
  match.offers = 1;
  return proto::encode(match);
}

inline std::string stage_body(bool detach = false) {
  proto::Stage stage;
  stage.transfers.resize(1);
  stage.transfers[0].source = "/a";
  stage.transfers[0].target = "/b";
  if (detach) stage.detach = true;
  return proto::encode(stage);
}

class RequestsTest : public ::testing::Test {
 protected:
  void say(Type type, char id, const std::string& body, const Peer& peer, std::optional<std::uint64_t> dl = {}) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(type);
    header.id = id_of(id);
    header.dl = dl;
    requests.message(peer, {Frame(proto::encode(header)), Frame(body)}, now);
  }
  void say(Type type, char id, const std::string& body, std::optional<std::uint64_t> dl = {}) {
    say(type, id, body, client, dl);
  }
  void hello(const Peer& peer) {
    say(Type::hello, 'h', proto::encode(proto::Hello{}), peer);
    ASSERT_EQ(only().type(), Type::welcome);
  }
  SentMessage only() {
    auto sent = outbox.take();
    EXPECT_EQ(sent.size(), 1U);
    return sent.empty() ? SentMessage{} : sent.back();
  }
  Code only_error() {
    const SentMessage sent = only();
    EXPECT_EQ(sent.type(), Type::error);
    const auto error = proto::decode<proto::Error>(sent.frames.at(0).view());
    return error ? error->code : Code::ok;
  }
  bool cancelled(char request) {
    say(Type::cancel, 'c', proto::encode(proto::Cancel{id_of(request)}));
    for (const SentMessage& sent : outbox.sent) {
      if (sent.header.id == id_of('c')) return proto::decode<proto::CancelResult>(sent.frames.at(0).view())->cancelled;
    }
    ADD_FAILURE() << "no answer to CANCEL";
    return false;
  }
  void later(std::chrono::milliseconds by) {
    now += by;
    requests.turn(now);
  }

  Time now = Time{} + 1h;
  Peer client{false, "one"};
  Peer other{false, "two"};
  Peer bridge{true, ""};
  FakeOutbox outbox;
  FakeMatchers matchers;
  FakeStager stager;
  Watcher watcher;
  Requests requests{{"n", "0123456789abcdef", "windlassd", 1000, 3000, 10000},
                    {matchers, stager, outbox, watcher, [](Time) { return proto::LoadReport{}; }}};
};

}  // namespace windlass::worker::testing
