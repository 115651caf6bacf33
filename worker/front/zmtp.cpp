#include "worker/front/zmtp.hpp"

#include <algorithm>

namespace windlass::worker::zmtp {
namespace {

using Kind = Token::Kind;

constexpr unsigned char kMore = 1;
constexpr unsigned char kLong = 2;
constexpr unsigned char kCommand = 4;

unsigned char byte(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

std::uint64_t big_endian(std::string_view bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) value = value << 8U | byte(bytes, at + i);
  return value;
}

Token fault(std::string_view what) {
  Token token;
  token.kind = Kind::fault;
  token.bytes = what;
  return token;
}

std::string command(std::string_view name, std::string_view body) {
  std::string out;
  out.push_back(static_cast<char>(kCommand));
  out.push_back(static_cast<char>(1 + name.size() + body.size()));
  out.push_back(static_cast<char>(name.size()));
  out.append(name);
  out.append(body);
  return out;
}

bool same_letters(std::string_view one, std::string_view other) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [&](char a, char b) { return lower(a) == lower(b); });
}

// Garbage is told from its first bytes: who sends it need not send all of a greeting.
Token greeting_of(std::string_view bytes) {
  if (!bytes.empty() && byte(bytes, 0) != 0xff) return fault("the greeting is none of ZMTP 3");
  if (bytes.size() >= 10 && byte(bytes, 9) != 0x7f) return fault("the greeting is none of ZMTP 3");
  if (bytes.size() >= 11 && byte(bytes, 10) < 3) return fault("the peer speaks an older ZMTP than 3");
  if (bytes.size() < kGreetingBytes) return {};
  constexpr std::string_view kNull("NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  if (bytes.substr(12, 20) != kNull) return fault("the peer wants another mechanism than NULL");
  Token token;
  token.kind = Kind::greeting;
  token.used = kGreetingBytes;
  return token;
}

struct Head {
  unsigned char flags = 0;
  std::size_t bytes = 0;  // 0: not all here
  std::uint64_t size = 0;
};

Head head_of(std::string_view bytes) {
  Head head;
  if (bytes.empty()) return head;
  head.flags = byte(bytes, 0);
  const std::size_t width = (head.flags & kLong) != 0 ? 8 : 1;
  if (bytes.size() < 1 + width) return head;
  head.bytes = 1 + width;
  head.size = big_endian(bytes, 1, width);
  return head;
}

Token ready_of(std::string_view body) {
  bool dealer = false;
  Token token;
  token.kind = Kind::ready;
  while (!body.empty()) {
    const std::size_t name_size = byte(body, 0);
    if (body.size() < 1 + name_size + 4) return fault("READY ends within a property");
    const std::string_view name = body.substr(1, name_size);
    const std::uint64_t size = big_endian(body, 1 + name_size, 4);
    body.remove_prefix(1 + name_size + 4);
    if (body.size() < size) return fault("READY ends within a property");
    const std::string_view value = body.substr(0, size);
    body.remove_prefix(size);
    if (same_letters(name, "Socket-Type")) {
      dealer = value == "DEALER";
    } else if (same_letters(name, "Identity")) {
      token.bytes = value;
    }
  }
  if (!dealer) {
    Token refused = fault("the peer's socket is no DEALER");
    refused.refused_type = true;
    return refused;
  }
  if (token.bytes.size() > kIdentityBytesMax) return fault("the routing id is longer than 255 bytes");
  if (!token.bytes.empty() && token.bytes[0] == '\0') return fault("the routing id begins with a zero, as ours do");
  return token;
}

Token command_of(std::string_view body, bool open) {
  const std::size_t name_size = body.empty() ? 0 : byte(body, 0);
  if (body.size() < 1 + name_size) return fault("a command ends within its name");
  const std::string_view name = body.substr(1, name_size);
  const std::string_view rest = body.substr(1 + name_size);
  if (!open) {
    if (name == "ERROR") return fault("the peer refuses us");
    return name == "READY" ? ready_of(rest) : fault("another command than READY after the greeting");
  }
  Token token;
  token.kind = Kind::ignored;
  if (name == "PING") {
    if (rest.size() < 2 || rest.size() > 2 + 16) return fault("a PING has two bytes of time and at most 16 more");
    token.kind = Kind::ping;
    token.bytes = rest.substr(2);
  }
  return token;
}

}  // namespace

std::string greeting() {
  std::string out("\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL", 16);
  out.resize(kGreetingBytes, '\0');
  return out;
}

std::string ready() {
  constexpr std::string_view kProperty("\x0bSocket-Type\0\0\0\6ROUTER", 22);
  return command("READY", kProperty);
}

std::string error(std::string_view reason) {
  reason = reason.substr(0, 240);
  return command("ERROR", static_cast<char>(reason.size()) + std::string(reason));
}

std::string pong(std::string_view context) {
  return command("PONG", context);
}

void put_head(std::string& out, std::size_t size, bool more) {
  const bool is_long = size > 255;
  out.push_back(static_cast<char>((more ? kMore : 0U) | (is_long ? kLong : 0U)));
  for (std::size_t shift = is_long ? 64 : 8; shift > 0; shift -= 8) {
    out.push_back(static_cast<char>(size >> (shift - 8) & 0xffU));
  }
}

Token Decoder::next(std::string_view bytes, std::uint64_t frame_max) {
  if (stage_ == Stage::greeting) {
    const Token token = greeting_of(bytes);
    if (token.kind == Kind::greeting) stage_ = Stage::ready;
    return token;
  }
  if (bytes.empty()) return {};
  const unsigned char flags = byte(bytes, 0);
  const bool is_command = (flags & kCommand) != 0;
  if ((flags & ~(kMore | kLong | kCommand)) != 0 || (is_command && (flags & kMore) != 0)) {
    return fault("a frame with flags that ZMTP 3 does not know");
  }
  if (!is_command && stage_ == Stage::ready) return fault("a message before READY");
  const Head head = head_of(bytes);
  if (head.bytes == 0) return {};
  if (head.size > (is_command ? kCommandBytesMax : frame_max)) {
    return fault(is_command ? "a command of too many bytes" : "a frame of too many bytes");
  }
  Token token;
  token.more = (flags & kMore) != 0;
  token.size = head.size;
  token.used = head.bytes;
  if (bytes.size() - head.bytes < head.size) {
    if (is_command || head.size <= kGatheredBytesMax) return {};
    token.kind = Kind::large;
    return token;
  }
  const std::string_view body = bytes.substr(head.bytes, head.size);
  if (is_command) {
    token = command_of(body, open());
    if (token.kind == Kind::ready) stage_ = Stage::traffic;
  } else {
    token.kind = Kind::frame;
    token.bytes = body;
  }
  token.used = head.bytes + head.size;
  return token;
}

}  // namespace windlass::worker::zmtp
