#include "worker/base/http.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace windlass::worker {
namespace {

int connected(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{8, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  return fd;
}
// Sends the text and answers all that comes back within some seconds.
std::string ask(int port, const std::string& text) {
  const int fd = connected(port);
  std::string answer;
  if (::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size())) {
    char chunk[4096];
    for (ssize_t got = 0; (got = ::recv(fd, chunk, sizeof chunk, 0)) > 0;)
      answer.append(chunk, static_cast<std::size_t>(got));
  }
  ::close(fd);
  return answer;
}
std::string get(int port, const std::string& path) {
  return ask(port, "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class HttpTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = HttpServer::start("127.0.0.1:0", health_, [] { return std::string("windlass_x 1\n"); });
    ASSERT_TRUE(started) << started.error();
    server_ = std::move(*started);
    ASSERT_GT(server_->port(), 0);
  }
  Health health_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpTest, MetricsAreServedAsText) {
  const std::string answer = get(server_->port(), "/metrics");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(has(answer, "Content-Type: text/plain; version=0.0.4")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nwindlass_x 1\n")) << answer;
}

TEST_F(HttpTest, HeadHasNoBodyOtherMethodsAndPagesAreRefused) {
  EXPECT_TRUE(
      ask(server_->port(), "HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ends_with("\r\n\r\n"));
  EXPECT_TRUE(
      has(ask(server_->port(), "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
          " 405 "));
  for (const char* path : {"/", "/metrics/x", "/livezz", "/../../etc/passwd", "/x/livez"}) {
    EXPECT_TRUE(has(get(server_->port(), path), "HTTP/1.1 4")) << path << get(server_->port(), path);
  }
}

TEST_F(HttpTest, ReadinessFollowsServingAndDraining) {
  EXPECT_TRUE(has(get(server_->port(), "/readyz"), " 503 "));
  health_.serving = true;
  std::string answer = get(server_->port(), "/readyz");
  EXPECT_TRUE(has(answer, " 200 ")) << answer;
  EXPECT_TRUE(has(answer, R"({"ready":true,"serving":true,"draining":false,"bridge":"none"})")) << answer;
  health_.bridge_configured = true;
  answer = get(server_->port(), "/readyz");
  EXPECT_TRUE(has(answer, " 200 ") && has(answer, R"("bridge":"absent")")) << answer;
  health_.draining = true;
  answer = get(server_->port(), "/readyz");
  EXPECT_TRUE(has(answer, " 503 ") && has(answer, R"("draining":true)")) << answer;
}

TEST_F(HttpTest, LivenessIsTheControlThreadsTurn) {
  EXPECT_TRUE(has(get(server_->port(), "/livez"), " 200 "));
  health_.turn(std::chrono::steady_clock::now() - kTurnSilenceMax - std::chrono::seconds{1});
  const std::string answer = get(server_->port(), "/livez");
  EXPECT_TRUE(has(answer, " 503 ") && has(answer, R"("live":false)")) << answer;
}

TEST_F(HttpTest, ThoseWhoConnectAndSayNothingKeepNobodyFromAsking) {
  std::vector<int> idle;
  while (idle.size() < 2 * kHttpThreads) idle.push_back(connected(server_->port()));
  for (int i = 0; i < kHttpThreads; ++i)
    EXPECT_EQ(::send(idle[static_cast<std::size_t>(i)], "GET /", 5, MSG_NOSIGNAL), 5);
  EXPECT_TRUE(has(get(server_->port(), "/livez"), " 200 "));
  for (const int fd : idle) ::close(fd);
}

TEST_F(HttpTest, APortThatIsTakenIsSaid) {
  const auto second =
      HttpServer::start("127.0.0.1:" + std::to_string(server_->port()), health_, [] { return std::string(); });
  ASSERT_FALSE(second);
  EXPECT_TRUE(has(second.error(), "http.listen: 127.0.0.1:")) << second.error();
}

}  // namespace
}  // namespace windlass::worker
