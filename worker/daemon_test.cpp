// The daemon's own loop in this process, over a real ipc socket, with the real engines.
#include "worker/daemon.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <zmq.hpp>

#include "proto/codec.hpp"

namespace windlass::worker {
namespace {

using namespace std::chrono_literals;
using proto::Type;

struct Reply {
  proto::Header header;
  std::vector<std::string> frames;  // body and columns
  [[nodiscard]] Type type() const { return static_cast<Type>(header.t); }
};

class DaemonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/windlass-test-XXXXXX";
    folder = ::mkdtemp(name);
    config.node.name = "n";
    config.local.socket = folder / "run" / "w.sock";
    config.stage.roots = {folder / "root"};
    config.stage.engine = "threads";
    std::filesystem::create_directory(folder / "root");
  }
  void TearDown() override {
    stop();
    std::filesystem::remove_all(folder);
  }
  void start() {
    auto started = Daemon::start({config, nullptr, -1, {}});
    ASSERT_TRUE(started) << started.error();
    daemon = std::move(*started);
    loop = std::thread([this] { code = daemon->run(); });
    client = zmq::socket_t(context, zmq::socket_type::dealer);
    client.set(zmq::sockopt::linger, 0);
    client.set(zmq::sockopt::rcvtimeo, 10'000);
    client.connect("ipc://" + config.local.socket);
    say(Type::hello, proto::encode(proto::Hello{}));
    ASSERT_EQ(hear().type(), Type::welcome);
  }
  void stop() {
    if (!daemon) return;
    daemon->stop();
    loop.join();
    daemon.reset();
    EXPECT_EQ(code, 0);
  }
  proto::RequestId say(Type type, const std::string& body, const std::vector<std::string>& columns = {}) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(type);
    const int number = ++ids;
    std::memcpy(header.id.bytes.data(), &number, sizeof number);
    client.send(zmq::buffer(proto::encode(header)), zmq::send_flags::sndmore);
    client.send(zmq::buffer(body), columns.empty() ? zmq::send_flags::none : zmq::send_flags::sndmore);
    for (std::size_t i = 0; i < columns.size(); ++i) {
      client.send(zmq::buffer(columns[i]), i + 1 == columns.size() ? zmq::send_flags::none : zmq::send_flags::sndmore);
    }
    return header.id;
  }
  Reply hear() {
    Reply reply;
    zmq::message_t part;
    if (!client.recv(part)) {
      ADD_FAILURE() << "no answer";
      return reply;
    }
    const auto header = proto::decode_header(part.to_string_view());
    EXPECT_TRUE(header);
    reply.header = *header;
    while (part.more()) {
      (void)client.recv(part);
      reply.frames.push_back(part.to_string());
    }
    return reply;
  }
  Reply hear_end(const proto::RequestId& id) {
    for (;;) {
      Reply reply = hear();
      if (reply.frames.empty()) return reply;
      if (reply.header.id == id && reply.type() != Type::progress) return reply;
    }
  }

  std::filesystem::path folder;
  Config config;
  std::unique_ptr<Daemon> daemon;
  std::thread loop;
  int code = -1;
  int ids = 0;
  zmq::context_t context;
  zmq::socket_t client;
};

std::string column(const std::vector<std::int64_t>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof values[0]};
}

TEST_F(DaemonTest, MatchesSmallAndLarge) {
  start();
  for (const std::size_t rows : {std::size_t{3}, std::size_t{2000}}) {
    proto::Match match;
    match.tasks = rows;
    match.offers = rows;
    match.dimensions = 1;
    match.columns = {{proto::ColumnType::i8, rows}, {proto::ColumnType::i8, rows}};
    match.task_amounts = {0};
    match.offer_amounts = {1};
    std::vector<std::int64_t> tasks;
    std::vector<std::int64_t> offers;
    for (std::size_t i = 0; i < rows; ++i) {
      tasks.push_back(static_cast<std::int64_t>(10'000 * (i + 1)));
      offers.push_back(static_cast<std::int64_t>(10'000 * (rows - i)));
    }
    const auto id = say(Type::match, proto::encode(match), {column(tasks), column(offers)});
    const Reply reply = hear_end(id);
    ASSERT_EQ(reply.type(), Type::result);
    const auto result = proto::decode<proto::MatchResult>(reply.frames[0]);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->placed, rows);
    std::vector<std::int32_t> index(rows);
    ASSERT_EQ(reply.frames.at(1 + *result->offer_index).size(), rows * sizeof index[0]);
    std::memcpy(index.data(), reply.frames[1 + *result->offer_index].data(), rows * sizeof index[0]);
    for (std::size_t i = 0; i < rows; ++i) EXPECT_EQ(index[i], static_cast<std::int32_t>(rows - 1 - i));
  }
}

TEST_F(DaemonTest, RefusesColumnsThatAreNotAsAnnounced) {
  start();
  proto::Match match;
  match.tasks = 2;
  match.offers = 0;
  match.dimensions = 1;
  match.columns = {{proto::ColumnType::i8, 2}};
  match.task_amounts = {0};
  match.offer_amounts = {std::nullopt};
  const Reply reply = hear_end(say(Type::match, proto::encode(match), {"short"}));
  ASSERT_EQ(reply.type(), Type::error);
  EXPECT_EQ(proto::decode<proto::Error>(reply.frames[0])->code, proto::Code::invalid_argument);
}

TEST_F(DaemonTest, StagesAFileAndRefusesWhatLiesOutside) {
  start();
  const std::string source = folder / "root" / "a";
  const std::string target = folder / "root" / "deep" / "b";
  const std::string bytes(100'000, 'x');
  std::ofstream(source) << bytes;
  proto::Stage stage;
  stage.transfers.resize(2);
  stage.transfers[0].source = source;
  stage.transfers[0].target = target;
  stage.transfers[1].source = "/etc/passwd";
  stage.transfers[1].target = target;
  const Reply reply = hear_end(say(Type::stage, proto::encode(stage)));
  ASSERT_EQ(reply.type(), Type::result);
  const auto result = proto::decode<proto::StageResult>(reply.frames[0]);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->transfers.size(), 2U);
  EXPECT_EQ(result->transfers[0].state, "done");
  EXPECT_EQ(result->transfers[1].state, "failed");
  EXPECT_EQ(result->transfers[1].error->code, static_cast<std::uint32_t>(proto::Code::permission_denied));
  EXPECT_EQ(std::filesystem::file_size(target), bytes.size());
}

TEST_F(DaemonTest, TellsItsLoad) {
  start();
  const Reply reply = hear_end(say(Type::load, proto::encode(proto::Empty{})));
  const auto answer = proto::decode<proto::LoadAnswer>(reply.frames.at(0));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_GT(answer->load.cores, 0);
  EXPECT_EQ(answer->load.engine, "threads");
  EXPECT_EQ(answer->load.incarnation.size(), 16U);
}

TEST_F(DaemonTest, GuardsItsSocketAndSaysWhoHoldsIt) {
  start();
  struct stat found {};
  ASSERT_EQ(::stat(config.local.socket.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat((folder / "run").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700U);
  const auto second = Daemon::start({config, nullptr, -1, {}});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().find(std::to_string(::getpid())), std::string::npos) << second.error();
}

TEST_F(DaemonTest, TakesOverTheSocketOfADeadDaemon) {
  start();
  stop();
  EXPECT_FALSE(std::filesystem::exists(config.local.socket));
  {
    zmq::socket_t dead(context, zmq::socket_type::router);
    dead.bind("ipc://" + config.local.socket);
    std::filesystem::create_hard_link(config.local.socket, config.local.socket + ".kept");
  }
  std::filesystem::rename(config.local.socket + ".kept", config.local.socket);
  start();
}

TEST_F(DaemonTest, RegistersWithABridgeAndServesIt) {
  zmq::socket_t bridge(context, zmq::socket_type::router);
  bridge.set(zmq::sockopt::linger, 0);
  bridge.set(zmq::sockopt::rcvtimeo, 10'000);
  bridge.bind("tcp://127.0.0.1:*");
  config.bridge.address = bridge.get(zmq::sockopt::last_endpoint);
  start();
  const auto receive = [&](std::string& route) {
    Reply message;
    zmq::message_t part;
    if (!bridge.recv(part)) return message;
    route = part.to_string();
    (void)bridge.recv(part);
    message.header = *proto::decode_header(part.to_string_view());
    while (part.more()) {
      (void)bridge.recv(part);
      message.frames.push_back(part.to_string());
    }
    return message;
  };
  const auto send = [&](const std::string& route, Type type, const proto::RequestId& id, const std::string& body) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(type);
    header.id = id;
    bridge.send(zmq::buffer(route), zmq::send_flags::sndmore);
    bridge.send(zmq::buffer(proto::encode(header)), zmq::send_flags::sndmore);
    bridge.send(zmq::buffer(body), zmq::send_flags::none);
  };
  std::string route;
  const Reply hello = receive(route);
  ASSERT_EQ(hello.type(), Type::hello);
  const auto named = proto::decode<proto::Hello>(hello.frames.at(0));
  ASSERT_TRUE(named);
  EXPECT_EQ(route, "n/" + named->incarnation);
  send(route, Type::welcome, hello.header.id, proto::encode(proto::Welcome{}));
  const Reply report = receive(route);
  ASSERT_EQ(report.type(), Type::load);
  const auto load = proto::decode<proto::Load>(report.frames.at(0));
  ASSERT_TRUE(load && load->offers);
  EXPECT_EQ(load->offers->size(), 1U);
  proto::RequestId id;
  id.bytes.fill('b');
  proto::Stage stage;
  send(route, Type::stage, id, proto::encode(stage));
  Reply reply;
  do {
    reply = receive(route);
  } while (!reply.frames.empty() && !(reply.header.id == id && reply.type() != Type::progress));
  EXPECT_TRUE(reply.type() == Type::result || reply.type() == Type::error);
  daemon->stop();
  std::vector<Type> last;
  do {
    reply = receive(route);
    last.push_back(reply.type());
  } while (!reply.frames.empty() && reply.type() != Type::bye);
  EXPECT_EQ(last.back(), Type::bye);
  EXPECT_NE(std::find(last.begin(), last.end(), Type::drain), last.end());
}

}  // namespace
}  // namespace windlass::worker
