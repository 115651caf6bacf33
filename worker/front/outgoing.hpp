// What is on its way to one client: messages as ZMTP writes them, in order. Small ones are put together, large frames
// leave without a copy. Bounded by those who add. Control thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/core/frame.hpp"

namespace windlass::worker {

class Outgoing {
 public:
  // One message: `header`, then `frames`.
  void add(std::string_view header, const Frames& frames);
  // Bytes that are no message: greeting and commands.
  void add_bytes(std::string_view bytes);

  enum class Left { all, some, broken };
  // Hands the socket what it takes, without waiting.
  Left flush(int socket);

  [[nodiscard]] bool empty() const { return waiting_ == 0; }
  [[nodiscard]] std::size_t bytes() const { return waiting_; }

 private:
  struct Piece {
    std::shared_ptr<const void> owner;  // null: the bytes lie in text_
    const char* data = nullptr;
    std::size_t begin = 0;  // in text_
    std::size_t size = 0;
  };
  void put(const Frame& frame, bool more);
  void close_text();
  void forget_sent();
  [[nodiscard]] const char* data_of(const Piece& piece) const {
    return piece.owner ? piece.data : text_.data() + piece.begin;
  }

  std::vector<Piece> pieces_;
  std::string text_;
  std::size_t text_used_ = 0;  // of text_, by pieces
  std::size_t at_ = 0;         // the first piece that has not left
  std::size_t sent_ = 0;       // bytes of it that have
  std::size_t waiting_ = 0;
};

}  // namespace windlass::worker
