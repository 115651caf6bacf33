#include "worker/base/http.hpp"

#include <CivetServer.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string_view>
#include <thread>
#include <vector>

#include "worker/base/config_value.hpp"

namespace windlass::worker {
namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kMetricsText = "text/plain; version=0.0.4; charset=utf-8";

struct Page {
  int status;
  const char* type;
  std::string body;
};

// Serves what `make` answers, to GET and HEAD.
class PageHandler : public CivetHandler {
 public:
  explicit PageHandler(std::function<Page()> make) : make_(std::move(make)) {}

  bool handleGet(CivetServer* /*server*/, mg_connection* connection) override { return serve(connection, true); }
  bool handleHead(CivetServer* /*server*/, mg_connection* connection) override { return serve(connection, false); }
  bool handlePost(CivetServer* /*server*/, mg_connection* connection) override { return refuse(connection); }
  bool handlePut(CivetServer* /*server*/, mg_connection* connection) override { return refuse(connection); }
  bool handleDelete(CivetServer* /*server*/, mg_connection* connection) override { return refuse(connection); }
  bool handlePatch(CivetServer* /*server*/, mg_connection* connection) override { return refuse(connection); }

 private:
  static bool refuse(mg_connection* connection) {
    constexpr std::string_view kAnswer =
        "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    mg_write(connection, kAnswer.data(), kAnswer.size());
    return true;
  }
  bool serve(mg_connection* connection, bool with_body) {
    const Page page = make_();
    const std::string head = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: "
        "close\r\n\r\n",
        page.status, mg_get_response_code_text(connection, page.status), page.type, page.body.size());
    mg_write(connection, head.data(), head.size());
    if (with_body) mg_write(connection, page.body.data(), page.body.size());
    return true;
  }

  std::function<Page()> make_;
};

double silence_seconds(const Health& health) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  return static_cast<double>(std::max<std::int64_t>(0, now_ms - health.turned_ms.load())) / 1000;
}

Page live_page(const Health& health) {
  const double silence = silence_seconds(health);
  const bool live = silence < static_cast<double>(kTurnSilenceMax.count());
  return {live ? 200 : 503, kJson, fmt::format("{{\"live\":{},\"turned_seconds_ago\":{:.3f}}}\n", live, silence)};
}

Page ready_page(const Health& health) {
  const bool serving = health.serving;
  const bool draining = health.draining;
  const bool ready = serving && !draining;
  const char* bridge = !health.bridge_configured ? "none" : health.bridge_connected ? "connected" : "absent";
  return {ready ? 200 : 503, kJson,
          fmt::format("{{\"ready\":{},\"serving\":{},\"draining\":{},\"bridge\":\"{}\"}}\n", ready, serving, draining,
                      bridge)};
}

// civetweb looks only every two seconds whether it is to stop, or when someone connects: connects until `stopped`.
void knock(const HostPort& at, const std::atomic<bool>& stopped) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* to = nullptr;
  if (::getaddrinfo(at.host.c_str(), std::to_string(at.port).c_str(), &hints, &to) != 0) return;
  while (!stopped) {
    const int fd = ::socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)::connect(fd, to->ai_addr, to->ai_addrlen);
    ::close(fd);
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  ::freeaddrinfo(to);
}

class Server : public HttpServer {
 public:
  Server(const std::vector<std::string>& options, const HostPort& at, const Health& health,
         std::function<std::string()> metrics)
      : metrics_([metrics = std::move(metrics)] {
          return Page{200, kMetricsText, metrics()};
        }),
        live_([&health] { return live_page(health); }),
        ready_([&health] { return ready_page(health); }),
        server_(options),
        at_(at) {
    server_.addHandler("/metrics$", metrics_);
    server_.addHandler("/livez$", live_);
    server_.addHandler("/readyz$", ready_);
    at_.port = static_cast<std::uint16_t>(port());
  }
  ~Server() override {
    std::atomic<bool> stopped = false;
    std::thread waker([&] { knock(at_, stopped); });
    server_.close();
    stopped = true;
    waker.join();
  }
  int port() const override { return const_cast<CivetServer&>(server_).getListeningPorts().at(0); }

 private:
  PageHandler metrics_, live_, ready_;
  CivetServer server_;
  HostPort at_;
};

}  // namespace

tl::expected<std::unique_ptr<HttpServer>, std::string> HttpServer::start(const std::string& listen,
                                                                         const Health& health,
                                                                         std::function<std::string()> metrics) {
  const auto at = parse_host_port(listen);
  if (!at) return tl::unexpected("http.listen: " + listen + " is no host:port; write both");
  // civetweb gives each connection a thread until it has asked and read its page, or its time is over. So there are
  // enough of them, and a short time, that those who connect and say nothing keep nobody from /livez.
  const std::vector<std::string> options = {"listening_ports",
                                            listen,
                                            "num_threads",
                                            std::to_string(kHttpThreads),
                                            "connection_queue",
                                            std::to_string(kHttpQueue),
                                            "request_timeout_ms",
                                            std::to_string(kHttpSilenceMax.count()),
                                            "enable_directory_listing",
                                            "no"};
  try {
    return std::make_unique<Server>(options, *at, health, std::move(metrics));
  } catch (const CivetException& fault) {
    return tl::unexpected(
        fmt::format("http.listen: {} cannot be listened on ({}); choose another port, or 0 for any that is free",
                    listen, fault.what()));
  }
}

}  // namespace windlass::worker
