#include "worker/front/listener.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace windlass::worker {
namespace {

constexpr int kBacklog = 4096;  // the system cuts it to what it allows
constexpr int kKeepAliveIdleS = 5;
constexpr int kKeepAliveIntervalS = 5;
constexpr int kKeepAliveCount = 2;

void set(int fd, int level, int option, unsigned value) {
  ::setsockopt(fd, level, option, &value, sizeof value);
}

// A silent peer that vanished without a word is found out by the kernel; of others see confirmed.hpp.
void tune_tcp(int fd) {
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleS);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalS);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveCount);
}

std::string address_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return {};
  }
  const bool six = address.ss_family == AF_INET6;
  return std::string("tcp://") + (six ? "[" : "") + host + (six ? "]:" : ":") + port;
}

std::string without_brackets(const std::string& host) {
  return host.size() > 1 && host.front() == '[' && host.back() == ']' ? host.substr(1, host.size() - 2) : host;
}

}  // namespace

tl::expected<Listener, std::string> Listener::local(const std::string& path, const std::vector<uid_t>& uids) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode))
      return tl::unexpected("local.socket " + path + " exists and is no socket: move it away");
    ::unlink(path.c_str());
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto failed = [&](const char* why) {
    return tl::unexpected("local.socket " + path + " cannot be bound: " + why);
  };
  if (path.size() >= sizeof address.sun_path) return failed("the path is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  Listener listener;
  listener.socket_ = Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener.socket_) return failed(std::strerror(errno));
  const mode_t old = ::umask(uids.empty() ? 0177 : 0111);
  const bool bound = ::bind(listener.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  const int fault = errno;
  ::umask(old);
  if (!bound) return failed(std::strerror(fault));
  listener.path_ = path;
  listener.address_ = "ipc://" + path;
  listener.allowed_ = uids;
  listener.allowed_.push_back(::geteuid());
  ::chmod(path.c_str(), uids.empty() ? 0600 : 0666);
  if (::listen(listener.fd(), kBacklog) != 0) return failed(std::strerror(errno));
  return listener;
}

tl::expected<Listener, std::string> Listener::tcp(const std::string& listen) {
  const auto failed = [&](const char* why) {
    return tl::unexpected("local.listen " + listen + " cannot be bound: " + why);
  };
  const std::size_t colon = listen.rfind(':');
  if (colon == std::string::npos) return failed("write host:port");
  const std::string host = without_brackets(listen.substr(0, colon));
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  const int unknown = ::getaddrinfo(host.c_str(), listen.c_str() + colon + 1, &wanted, &raw);
  if (unknown != 0) return failed(::gai_strerror(unknown));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> found(raw, ::freeaddrinfo);
  Listener listener;
  listener.socket_ = Descriptor(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener.socket_) return failed(std::strerror(errno));
  set(listener.fd(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (::bind(listener.fd(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(listener.fd(), kBacklog) != 0) {
    return failed(std::strerror(errno));
  }
  listener.address_ = address_of(listener.fd());
  return listener;
}

Listener::~Listener() {
  if (socket_ && !path_.empty()) ::unlink(path_.c_str());
}

std::optional<uid_t> Listener::uid_of(int fd) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  if (std::find(allowed_.begin(), allowed_.end(), peer.uid) == allowed_.end()) return std::nullopt;
  return peer.uid;
}

Listener::Accepted Listener::accept() {
  using Fate = Accepted::Fate;
  Accepted accepted;
  accepted.socket = Descriptor(::accept4(fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!accepted.socket) {
    if (errno == EMFILE || errno == ENFILE) {
      accepted.fate = Fate::no_descriptors;
    } else if (errno == ENOBUFS || errno == ENOMEM) {
      accepted.fate = Fate::failed;
    }
    return accepted;  // else nobody waits, or one went before its turn
  }
  accepted.fate = Fate::client;
  if (path_.empty()) {
    tune_tcp(accepted.socket.get());
    return accepted;
  }
  accepted.uid = uid_of(accepted.socket.get());
  if (!accepted.uid) {
    accepted.fate = Fate::stranger;
    accepted.socket.reset();
  }
  return accepted;
}

}  // namespace windlass::worker
