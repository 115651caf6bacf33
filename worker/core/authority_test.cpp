#include "worker/core/authority.hpp"

#include <gtest/gtest.h>

#include <set>

#include "worker/requests/requests.hpp"
#include "worker/testing.hpp"

namespace windlass::worker {
namespace {

using namespace testing;
using proto::Code;
using proto::Role;
using proto::Type;

std::set<Type> allowed(Standing standing) {
  std::set<Type> types;
  for (std::uint32_t number = 0; number < 32; ++number) {
    const auto type = static_cast<Type>(number);
    if (may_say(standing, type) == Verdict::allowed) types.insert(type);
  }
  return types;
}

TEST(AuthorityTest, EachRoleMaySayWhatItsPartNeedsAndNoMore) {
  const std::set<Type> client{Type::hello, Type::load,     Type::match,  Type::session,
                              Type::stage, Type::progress, Type::cancel, Type::bye};
  EXPECT_EQ(allowed(Standing::local), client);
  EXPECT_EQ(allowed(Standing::client), client);
  EXPECT_EQ(allowed(Standing::scheduler), client);
  EXPECT_EQ(allowed(Standing::observer), (std::set<Type>{Type::hello, Type::load, Type::bye}));
  EXPECT_TRUE(allowed(Standing::node).empty());
  EXPECT_EQ(allowed(Standing::bridge),
            (std::set<Type>{Type::stage, Type::progress, Type::cancel, Type::bye, Type::grant, Type::release}));
}

TEST(AuthorityTest, NobodyGreetsInThePartOfAnother) {
  EXPECT_EQ(may_greet_as(Standing::observer, Role::observer), Verdict::allowed);
  EXPECT_EQ(may_greet_as(Standing::observer, Role::client), Verdict::denied);
  EXPECT_EQ(may_greet_as(Standing::client, Role::client), Verdict::allowed);
  EXPECT_EQ(may_greet_as(Standing::client, Role::node), Verdict::unserved);
  EXPECT_EQ(may_greet_as(Standing::node, Role::client), Verdict::denied);
  EXPECT_EQ(may_greet_as(Standing::local, Role::observer), Verdict::unserved);
}

// What Requests makes of the table.
class DenialTest : public ::testing::Test {
 protected:
  struct Counter final : Watcher {
    void refused(const char* reason) override { permission += std::string_view(reason) == "permission" ? 1 : 0; }
    void denied(const Peer& peer, const std::string&) override { names.insert(peer.who); }
    int permission = 0;
    std::set<std::string> names;
  };

  SentMessage answer(Standing standing, Type type, const std::string& body) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(type);
    header.id = id_of(next_++);
    requests.message({false, "route", standing, "the key's name"}, {Frame(proto::encode(header)), Frame(body)}, {});
    auto sent = outbox.take();
    EXPECT_EQ(sent.size(), 1U);
    return sent.empty() ? SentMessage{} : sent.back();
  }
  static Code code_of(const SentMessage& sent) {
    const auto error = proto::decode<proto::Error>(sent.frames.at(0).view());
    return sent.type() == Type::error && error ? error->code : Code::ok;
  }
  static std::string hello_as(Role role) {
    proto::Hello hello;
    hello.role = role;
    return proto::encode(hello);
  }

  char next_ = 'a';
  FakeMatchers matchers;
  FakeStager stager;
  FakeOutbox outbox;
  Counter watcher;
  Requests requests{{}, {matchers, stager, outbox, watcher, [](Time) { return proto::LoadReport{}; }}};
};

TEST_F(DenialTest, ASchedulersMessageFromAnObserversKeyBeginsNothing) {
  EXPECT_EQ(answer(Standing::observer, Type::hello, hello_as(Role::observer)).type(), Type::welcome);
  proto::Stage stage;
  stage.transfers.resize(1);
  stage.transfers[0].source = "/a";
  stage.transfers[0].target = "/b";
  EXPECT_EQ(code_of(answer(Standing::observer, Type::stage, proto::encode(stage))), Code::permission_denied);
  EXPECT_TRUE(stager.bodies.empty());
  EXPECT_EQ(watcher.permission, 1);
  EXPECT_EQ(watcher.names, std::set<std::string>{"the key's name"});
  EXPECT_EQ(answer(Standing::observer, Type::load, proto::encode(proto::Empty{})).type(), Type::result);
}

TEST_F(DenialTest, AnObserversKeyIsNoClient) {
  EXPECT_EQ(code_of(answer(Standing::observer, Type::hello, hello_as(Role::client))), Code::permission_denied);
  EXPECT_EQ(requests.clients(), 0U);
}

TEST_F(DenialTest, ANodesKeyIsRefusedByNodes) {
  EXPECT_EQ(code_of(answer(Standing::node, Type::hello, hello_as(Role::client))), Code::permission_denied);
}

}  // namespace
}  // namespace windlass::worker
