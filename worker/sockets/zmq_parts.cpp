#include "worker/sockets/zmq_parts.hpp"

#include <cerrno>
#include <cstdlib>

#include "proto/limits.hpp"
#include "worker/core/limits.hpp"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace windlass::worker {
namespace {

// Between the two ZeroMQ hands something to a thread of its own, in ways that tsan does not see: it is not built for
// it.
void handed_to_zmq([[maybe_unused]] void* what) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(what);
#endif
}
void back_from_zmq([[maybe_unused]] void* what) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(what);
#endif
}

constexpr std::size_t kSharedMin = 128;  // smaller frames are as cheap to copy as to share

// A frame that keeps the message it came in alive.
Frame frame_of(zmq::message_t message) {
  if (message.size() <= kSharedMin) return Frame(std::string(static_cast<const char*>(message.data()), message.size()));
  auto owner = std::make_shared<zmq::message_t>(std::move(message));
  const std::string_view view(static_cast<const char*>(owner->data()), owner->size());
  return {std::move(owner), view};
}

// What ZeroMQ holds of a frame until it has left.
struct Kept {
  std::shared_ptr<const void> owner;
  Handed handed;
  std::size_t bytes;
};

zmq::message_t message_of(const Frame& frame, const Handed& handed) {
  auto* kept = new Kept{frame.owner(), handed, frame.size()};
  handed.add(kept->bytes);
  // ZeroMQ takes a pointer to non-const, and only reads.
  void* data = const_cast<char*>(frame.view().data());
  const auto let_go = [](void*, void* hint) {
    back_from_zmq(hint);
    const auto* back = static_cast<Kept*>(hint);
    back->handed.take(back->bytes);
    delete back;
  };
  handed_to_zmq(kept);
  return {data, frame.size(), let_go, kept};
}

void tell_origin(zmq::message_t& part, Origin& origin) {
  // Both are absent where the mechanism of the connection sets none.
  const char* user = zmq_msg_gets(part.handle(), "User-Id");
  const char* fd = zmq_msg_gets(part.handle(), "__fd");
  origin.user = user != nullptr ? user : "";
  origin.fd = fd != nullptr ? std::atoi(fd) : -1;
}

bool receive_all(zmq::socket_t& socket, Received& received, bool routed, Origin* origin) {
  zmq::message_t part;
  if (!socket.recv(part, zmq::recv_flags::dontwait)) return false;
  bool more = part.more();
  if (routed) {
    received.route = part.to_string();
  } else {
    received.frames.push_back(frame_of(std::move(part)));
  }
  while (more) {
    zmq::message_t next;
    if (!socket.recv(next, zmq::recv_flags::none)) return false;
    more = next.more();
    // Not of the route: ZeroMQ 4.3.4 gives it no properties where it came upon the message when asked for events.
    if (origin != nullptr && received.frames.empty()) tell_origin(next, *origin);
    if (received.frames.size() <= proto::kFramesMax) received.frames.push_back(frame_of(std::move(next)));
  }
  return true;
}

}  // namespace

std::optional<Received> receive_parts(zmq::socket_t& socket, bool routed, Origin* origin) {
  try {
    Received received;
    if (!receive_all(socket, received, routed, origin)) return std::nullopt;
    return received;
  } catch (const zmq::error_t&) {
    return std::nullopt;
  }
}

std::uint64_t curve_bytes(const Frames& frames) {
  constexpr std::size_t kAround = 8 + 8 + 16 + 1;  // name, nonce, authenticator, flags
  std::uint64_t bytes = 0;
  for (const Frame& frame : frames) {
    const std::size_t command = kAround + frame.size();
    bytes += command + (command > 255 ? 9 : 2);
  }
  return bytes;
}

Sent send_parts(zmq::socket_t& socket, const std::string* route, const std::string& header, const Frames& frames,
                const Handed& handed) {
  const std::size_t bytes = bytes_of(frames);
  const std::size_t before = handed.bytes();
  if (bytes > kCopyMax && before > 0 && before + bytes > kSocketBytesMax) return Sent::full;
  const auto more = zmq::send_flags::sndmore | zmq::send_flags::dontwait;
  try {
    if (route != nullptr && !socket.send(zmq::buffer(*route), more)) return Sent::full;
    const bool alone = frames.empty();
    if (!socket.send(zmq::buffer(header), alone ? zmq::send_flags::dontwait : more)) return Sent::full;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const bool copied = bytes <= kCopyMax || frames[i].size() <= kSharedMin;
      zmq::message_t part =
          copied ? zmq::message_t(frames[i].view().data(), frames[i].size()) : message_of(frames[i], handed);
      if (!socket.send(part, i + 1 < frames.size() ? more : zmq::send_flags::dontwait)) return Sent::full;
    }
    return Sent::yes;
  } catch (const zmq::error_t& error) {
    return error.num() == EAGAIN ? Sent::full : Sent::gone;
  }
}

}  // namespace windlass::worker
