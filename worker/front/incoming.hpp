// What one client sends, from bytes to whole messages. No I/O. Between reads it holds the rest of what has not come
// whole, and nothing where all did; memory grows with what came, not with what was announced. Control thread.
#pragma once

#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "worker/core/frame.hpp"
#include "worker/front/zmtp.hpp"

namespace windlass::worker {

class Incoming {
 public:
  struct Event {
    using Kind = zmtp::Token::Kind;
    Kind kind = Kind::more;
    std::string_view bytes{};  // of ready, ping and fault, as in zmtp::Token; until the next call
    Frames frames{};           // of frame: a whole message. One of too many frames has kFramesMax + 1 of them
    bool refused_type = false;
  };

  // What has to stand before the bytes that are read next: at most kRestBytesMax, and then forgotten here.
  static constexpr std::size_t kRestBytesMax = zmtp::kHeadBytesMax + zmtp::kGatheredBytesMax;
  std::size_t give_rest(char* to);

  // Takes from the beginning of `bytes` until something is to be told; `more`: all are taken.
  Event take(std::string_view& bytes);

  // Where bytes may be read to directly, while a large frame is under way: else empty. Then filled().
  std::span<char> room();
  void filled(std::size_t bytes) { large_->have += bytes; }

  [[nodiscard]] bool open() const { return decoder_.open(); }
  // Bytes held for what has not come whole.
  [[nodiscard]] std::size_t held() const { return held_ + rest_.size() + (large_ ? large_->capacity : 0); }

 private:
  struct Free {
    void operator()(char* bytes) const { std::free(bytes); }
  };
  struct Large {
    std::unique_ptr<char, Free> bytes;
    std::size_t capacity = 0;
    std::size_t have = 0;
    std::size_t size = 0;
    bool more = false;
  };

  bool whole(std::string_view& bytes, Frames& frames) const;
  void begin_large(const zmtp::Token& token);
  void grow();
  bool add(Frame frame, bool more, Event& event);

  zmtp::Decoder decoder_;
  std::string rest_;
  Frames frames_;  // of a message that has not come whole
  std::size_t held_ = 0;
  std::unique_ptr<Large> large_;
};

}  // namespace windlass::worker
