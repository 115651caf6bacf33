#include "worker/front/outgoing.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "worker/front/zmtp.hpp"

namespace windlass::worker {
namespace {

constexpr std::size_t kCopyMax = 4096;  // larger frames leave without a copy
constexpr std::size_t kVectorsMax = 64;
constexpr std::size_t kTextSentMax = 64 * 1024;  // what has left is forgotten beyond this
constexpr std::size_t kTextKeptMax = 64 * 1024;  // room that is kept for the next

ssize_t send_all(int socket, std::span<iovec> vectors) {
  constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
  // Most answers are one piece, for which the kernel need not copy in where the pieces are.
  if (vectors.size() == 1) return ::send(socket, vectors[0].iov_base, vectors[0].iov_len, kFlags);
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  return ::sendmsg(socket, &message, kFlags);
}

}  // namespace

// The text since the last piece becomes one.
void Outgoing::close_text() {
  if (text_used_ == text_.size()) return;
  const std::size_t size = text_.size() - text_used_;
  if (!pieces_.empty() && pieces_.size() > at_ && !pieces_.back().owner) {
    pieces_.back().size += size;
  } else {
    pieces_.push_back({nullptr, nullptr, text_used_, size});
  }
  text_used_ = text_.size();
}

void Outgoing::put(const Frame& frame, bool more) {
  const std::size_t before = text_.size();
  zmtp::put_head(text_, frame.size(), more);
  if (frame.size() <= kCopyMax) {
    text_.append(frame.view());
  } else {
    close_text();
    pieces_.push_back({frame.owner(), frame.view().data(), 0, frame.size()});
    waiting_ += frame.size();
  }
  waiting_ += text_.size() - before;
}

void Outgoing::add(std::string_view header, const Frames& frames) {
  const std::size_t before = text_.size();
  zmtp::put_head(text_, header.size(), !frames.empty());
  text_.append(header);
  waiting_ += text_.size() - before;
  for (std::size_t i = 0; i < frames.size(); ++i) put(frames[i], i + 1 < frames.size());
  close_text();
}

void Outgoing::add_bytes(std::string_view bytes) {
  text_.append(bytes);
  waiting_ += bytes.size();
  close_text();
}

Outgoing::Left Outgoing::flush(int socket) {
  while (at_ < pieces_.size()) {
    std::array<iovec, kVectorsMax> vectors;
    std::size_t count = 0;
    for (std::size_t i = at_; i < pieces_.size() && count < kVectorsMax; ++i, ++count) {
      const std::size_t skip = i == at_ ? sent_ : 0;
      // The system takes a pointer to non-const, and only reads.
      vectors[count] = {const_cast<char*>(data_of(pieces_[i])) + skip, pieces_[i].size - skip};
    }
    const ssize_t sent = send_all(socket, {vectors.data(), count});
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) return Left::broken;
      forget_sent();
      return Left::some;
    }
    waiting_ -= static_cast<std::size_t>(sent);
    sent_ += static_cast<std::size_t>(sent);
    while (at_ < pieces_.size() && sent_ >= pieces_[at_].size) {
      sent_ -= pieces_[at_].size;
      pieces_[at_++].owner.reset();
    }
  }
  forget_sent();
  return Left::all;
}

void Outgoing::forget_sent() {
  if (at_ == pieces_.size()) {
    pieces_.clear();
    at_ = sent_ = text_used_ = 0;
    text_.clear();
    if (text_.capacity() > kTextKeptMax) text_ = std::string();
    return;
  }
  const auto first = std::find_if(pieces_.begin() + static_cast<std::ptrdiff_t>(at_), pieces_.end(),
                                  [](const Piece& piece) { return !piece.owner; });
  const std::size_t gone = first == pieces_.end() ? text_.size() : first->begin;
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(at_));
  at_ = 0;
  if (gone < kTextSentMax) return;
  text_.erase(0, gone);
  text_used_ -= gone;
  for (Piece& piece : pieces_) {
    if (!piece.owner) piece.begin -= gone;
  }
}

}  // namespace windlass::worker
