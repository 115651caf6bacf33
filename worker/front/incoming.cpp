#include "worker/front/incoming.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "proto/limits.hpp"

namespace windlass::worker {
namespace {

using Kind = zmtp::Token::Kind;

constexpr std::size_t kFirstRoom = 64 * 1024;
constexpr std::size_t kRoomMax = std::size_t{1} << 20U;  // of one read, so that others have their turn

constexpr std::size_t aligned(std::size_t size) {
  return (size + 7) & ~std::size_t{7};
}

}  // namespace

std::size_t Incoming::give_rest(char* to) {
  const std::size_t size = rest_.size();
  if (size == 0) return 0;
  std::memcpy(to, rest_.data(), size);
  rest_ = std::string();
  return size;
}

// A message that stands in `bytes` as a whole, which most do: all its frames share one piece of memory, each where a
// column of numbers may begin.
bool Incoming::whole(std::string_view& bytes, Frames& frames) const {
  zmtp::Decoder decoder = decoder_;
  std::size_t count = 0;
  std::size_t room = 0;
  std::size_t used = 0;
  for (bool more = true; more; ++count) {
    const zmtp::Token token = decoder.next(bytes.substr(used), proto::kColumnBytesMax);
    if (token.kind != Kind::frame) return false;
    used += token.used;
    room += aligned(token.bytes.size());
    more = token.more;
  }
  if (count > proto::kFramesMax) return false;
  const auto memory = std::make_shared_for_overwrite<std::uint64_t[]>(room / 8);
  char* to = reinterpret_cast<char*>(memory.get());
  frames.reserve(count);
  while (frames.size() < count) {
    const zmtp::Token token = decoder.next(bytes, proto::kColumnBytesMax);
    if (!token.bytes.empty()) std::memcpy(to, token.bytes.data(), token.bytes.size());
    frames.emplace_back(memory, std::string_view(to, token.bytes.size()));
    to += aligned(token.bytes.size());
    bytes.remove_prefix(token.used);
  }
  return true;
}

void Incoming::begin_large(const zmtp::Token& token) {
  large_ = std::make_unique<Large>();
  large_->size = static_cast<std::size_t>(token.size);
  large_->more = token.more;
  grow();
}

void Incoming::grow() {
  const std::size_t wanted = std::min(large_->size, std::max(kFirstRoom, 2 * large_->capacity));
  // The C library moves large pieces by their pages, without a copy.
  void* bytes = std::realloc(large_->bytes.get(), wanted);
  if (bytes == nullptr) throw std::bad_alloc();
  (void)large_->bytes.release();
  large_->bytes.reset(static_cast<char*>(bytes));
  large_->capacity = wanted;
}

std::span<char> Incoming::room() {
  if (!large_) return {};
  if (large_->have == large_->capacity) grow();
  return {large_->bytes.get() + large_->have, std::min(kRoomMax, large_->capacity - large_->have)};
}

// True where that was the message's last frame.
bool Incoming::add(Frame frame, bool more, Event& event) {
  if (frames_.size() <= proto::kFramesMax) {
    held_ += frame.size() + sizeof(Frame);
    frames_.push_back(std::move(frame));
  }
  if (more) return false;
  held_ = 0;
  event.kind = Kind::frame;
  event.frames = std::exchange(frames_, {});
  return true;
}

Incoming::Event Incoming::take(std::string_view& bytes) {
  Event event;
  if (!large_ && frames_.empty() && decoder_.open() && whole(bytes, event.frames)) {
    event.kind = Kind::frame;
    return event;
  }
  for (;;) {
    if (large_) {
      while (!bytes.empty() && large_->have < large_->size) {
        const std::span<char> to = room();
        const std::size_t taken = std::min(to.size(), bytes.size());
        std::memcpy(to.data(), bytes.data(), taken);
        filled(taken);
        bytes.remove_prefix(taken);
      }
      if (large_->have < large_->size) return event;
      const std::unique_ptr<Large> large = std::move(large_);
      const std::shared_ptr<const void> owner(large->bytes.release(), Free{});
      const std::string_view view(static_cast<const char*>(owner.get()), large->size);
      if (add(Frame(owner, view), large->more, event)) return event;
    }
    const zmtp::Token token = decoder_.next(bytes, proto::kColumnBytesMax);
    if (token.kind == Kind::more) {
      rest_.assign(bytes);
      bytes = {};
      return event;
    }
    bytes.remove_prefix(token.used);
    if (token.kind == Kind::frame) {
      if (add(Frame(std::string(token.bytes)), token.more, event)) return event;
    } else if (token.kind == Kind::large) {
      begin_large(token);
    } else if (token.kind != Kind::ignored) {
      event.kind = token.kind;
      event.bytes = token.bytes;
      event.refused_type = token.refused_type;
      return event;
    }
  }
}

}  // namespace windlass::worker
