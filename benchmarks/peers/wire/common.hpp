// What the programs of this folder share: time, sockets, and the script of a conversation (benchmarks/wire.py writes it).
// A fault ends the process with 1 and one line on stderr.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <string>
#include <string_view>

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

[[noreturn]] inline void fail_errno(const std::string& what) {
  fail(what + ": " + std::strerror(errno));
}

inline std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// As many descriptors as the hard limit allows.
inline void raise_descriptors() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
  int family = 0;
};

// "tcp://1.2.3.4:5" or "ipc://path".
inline Address address_of(const std::string& text) {
  Address address;
  if (text.rfind("ipc://", 0) == 0) {
    auto* to = reinterpret_cast<sockaddr_un*>(&address.bytes);
    to->sun_family = AF_UNIX;
    std::strncpy(to->sun_path, text.c_str() + 6, sizeof to->sun_path - 1);
    address.size = sizeof *to;
  } else if (text.rfind("tcp://", 0) == 0) {
    auto* to = reinterpret_cast<sockaddr_in*>(&address.bytes);
    const std::size_t colon = text.rfind(':');
    to->sin_family = AF_INET;
    to->sin_port = htons(static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1))));
    if (inet_pton(AF_INET, text.substr(6, colon - 6).c_str(), &to->sin_addr) != 1) fail("no address: " + text);
    address.size = sizeof *to;
  } else {
    fail("no address: " + text);
  }
  address.family = address.bytes.ss_family;
  return address;
}

inline void no_delay(int fd, const Address& address) {
  const int one = 1;
  if (address.family == AF_INET) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

inline std::map<std::string, std::string> read_script(const char* file) {
  std::ifstream lines(file);
  std::map<std::string, std::string> script;
  std::string key;
  std::string value;
  while (lines >> key >> value) script[key] = value;
  if (script.empty()) fail(std::string("no script: ") + file);
  return script;
}

inline std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// What a DEALER says before its first message.
inline std::string zmtp_greeting() {
  std::string greeting("\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", 16);
  greeting.resize(64, '\0');
  return greeting;
}

inline std::string zmtp_ready() {
  return std::string("\4\x29\5READY\xbSocket-Type\0\0\0\6DEALER\x8Identity\0\0\0\0", 43);
}
