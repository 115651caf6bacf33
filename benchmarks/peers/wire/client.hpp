// One client: connects, greets as a DEALER where the script speaks zmtp, says hello, and then deals in whole messages
// whose length is known beforehand. Non-blocking. Commands of the peer between messages (PING) are answered.
#pragma once

#include <algorithm>

#include "common.hpp"

struct Script {
  bool zmtp = false;
  std::string hello;
  std::size_t welcome_bytes = 0;
  std::string request;
  std::size_t request_id_at = 0;
  std::string answer;
  std::size_t answer_id_at = 0;

  explicit Script(const char* file) {
    auto read = read_script(file);
    zmtp = read["speak"] == "zmtp";
    hello = from_hex(read["hello"]);
    welcome_bytes = std::stoul(read["welcome_bytes"]);
    request = from_hex(read["request"]);
    request_id_at = std::stoul(read["request_id_at"]);
    answer = from_hex(read["answer"]);
    answer_id_at = std::stoul(read["answer_id_at"]);
  }
};

class Client {
 public:
  enum class State { connecting, greeting, ready_command, welcome, open };

  Client(const Script& script, const Address& address) : script_(&script) {
    fd_ = socket(address.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) fail_errno("socket");
    no_delay(fd_, address);
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address.bytes), address.size) != 0 && errno != EINPROGRESS) {
      fail_errno("connect");
    }
    state_ = script.zmtp ? State::greeting : State::welcome;
    send(script.zmtp ? zmtp_greeting() + zmtp_ready() : script.hello);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool open() const { return state_ == State::open; }
  [[nodiscard]] bool wants_out() const { return !out_.empty(); }

  void send(std::string_view bytes) {
    out_.append(bytes);
    flush();
  }
  // More bytes for the next flush().
  void put(std::string_view bytes) { out_.append(bytes); }
  void flush() {
    while (!out_.empty()) {
      const ssize_t sent = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
      if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
      if (sent < 0) fail_errno("send");
      out_.erase(0, static_cast<std::size_t>(sent));
    }
  }

  // Reads once, and calls `take` with each whole answer.
  template <class Take>
  void receive(Take take) {
    char scratch[65536];
    const ssize_t got = ::recv(fd_, scratch, sizeof scratch, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) fail_errno("recv");
    if (got == 0) fail("the server hung up");
    std::string_view bytes(scratch, static_cast<std::size_t>(got));
    if (!rest_.empty()) {
      rest_.append(bytes);
      bytes = rest_;
    }
    std::size_t used = 0;
    for (;;) {
      const std::size_t step = step_of(bytes.substr(used), take);
      if (step == 0) break;
      used += step;
    }
    std::string rest(bytes.substr(used));
    rest_ = std::move(rest);
    if (rest_.empty()) rest_.shrink_to_fit();
  }

 private:
  template <class Take>
  std::size_t step_of(std::string_view bytes, Take take) {
    if (bytes.empty()) return 0;
    if (state_ == State::greeting) {
      if (bytes.size() < 64) return 0;
      state_ = State::ready_command;
      return 64;
    }
    if (script_->zmtp && bytes[0] == 4) {
      const std::size_t size = bytes.size() < 2 ? 2 : 2U + static_cast<unsigned char>(bytes[1]);
      if (bytes.size() < size) return 0;
      command(bytes.substr(2, size - 2));
      return size;
    }
    if (state_ == State::ready_command) fail("no READY from the server");
    const std::size_t wanted = state_ == State::welcome ? script_->welcome_bytes : script_->answer.size();
    if (bytes.size() < wanted) return 0;
    if (state_ == State::welcome) {
      state_ = State::open;
    } else {
      take(bytes.substr(0, wanted));
    }
    return wanted;
  }
  void command(std::string_view body) {
    if (state_ == State::ready_command) {
      if (body.substr(0, 6) != "\5READY") fail("the server refuses: " + std::string(body));
      state_ = State::welcome;
      send(script_->hello);  // not before: ZeroMQ takes no message until its own READY has left
    } else if (body.substr(0, 5) == "\4PING") {
      const std::string pong = "\4PONG" + std::string(body.substr(std::min<std::size_t>(7, body.size())));
      send(std::string{'\4', static_cast<char>(pong.size())} + pong);
    }
  }

  const Script* script_;
  int fd_ = -1;
  State state_;
  std::string out_;
  std::string rest_;
};
