// What a peer of the local endpoint sends, from its greeting on. However the bytes are cut into reads, they tell the
// same, and what is held for them stays within what came. The first byte says how many cuts follow, a byte each.
#include <algorithm>
#include <cstring>

#include "tests/fuzz/fuzz.hpp"
#include "worker/front/incoming.hpp"

namespace windlass::fuzz {
namespace {

using worker::Incoming;
using Kind = worker::zmtp::Token::Kind;

class Peer {
 public:
  // Takes a read's bytes; false once the peer is to be hung up on.
  bool read(std::string_view bytes) {
    came_ += bytes.size();
    while (!bytes.empty()) {
      if (const auto room = incoming_.room(); !room.empty()) {
        const std::size_t direct = std::min(room.size(), bytes.size());
        std::memcpy(room.data(), bytes.data(), direct);
        incoming_.filled(direct);
        bytes.remove_prefix(direct);
        if (!hear({})) return false;
        continue;
      }
      std::string whole(Incoming::kRestBytesMax, '\0');
      whole.resize(incoming_.give_rest(whole.data()));
      whole += bytes;
      bytes = {};
      if (!hear(whole)) return false;
    }
    return true;
  }
  [[nodiscard]] const std::string& told() const { return told_; }

 private:
  bool hear(std::string_view unread) {
    for (;;) {
      const Incoming::Event event = incoming_.take(unread);
      require(incoming_.held() <= 4 * came_ + 128 * 1024, "no more is held than came, and a buffer");
      if (event.kind == Kind::more) return true;
      told_ += std::to_string(static_cast<int>(event.kind)) + ":" + std::string(event.bytes);
      for (const worker::Frame& frame : event.frames) told_ += std::string(frame.view()) + "|";
      told_ += "\n";
      if (event.kind == Kind::fault) return false;
    }
  }

  Incoming incoming_;
  std::size_t came_ = 0;
  std::string told_;
};

}  // namespace

void run(std::string_view bytes) {
  if (bytes.empty()) return;
  const std::size_t count = std::min<std::size_t>(static_cast<unsigned char>(bytes[0]) % 16, bytes.size() - 1);
  const std::string_view cuts = bytes.substr(1, count);
  const std::string_view stream = bytes.substr(1 + count);
  Peer whole;
  (void)whole.read(stream);
  Peer cut;
  std::string_view rest = stream;
  for (std::size_t at = 0; !rest.empty(); ++at) {
    const std::size_t size = cuts.empty() ? 1 : 1 + static_cast<unsigned char>(cuts[at % cuts.size()]);
    const std::string_view part = rest.substr(0, size);
    rest.remove_prefix(part.size());
    if (!cut.read(part)) break;
  }
  require(whole.told() == cut.told(), "what is told does not depend on how it was read");
}

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  namespace zmtp = worker::zmtp;
  const std::string hello = zmtp::greeting() + "\4\x2b\5READY\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0\2me"s;
  std::string large;
  zmtp::put_head(large, 20'000, false);
  large += std::string(20'000, 'l');
  const std::string message = "\1\2ab\2\0\0\0\0\0\0\1\x2c"s + std::string(300, 'c');
  const std::string ping = "\4\x09\4PING\0\1hi"s;
  return {"\0"s + hello + message + ping + message, "\3\x01\x02\x40"s + hello + message + zmtp::pong("x"),
          "\1\xff"s + hello + large + message, "\0"s + hello + zmtp::error("no") + "\2\0\x80\0\0\0\0\0\0\0"s};
}

}  // namespace windlass::fuzz
