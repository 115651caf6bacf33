// The ids of the STAGE requests that this daemon accepted and how they ended, in a file that outlives the process: a
// later process answers from it and begins none of them again. One append in one write each; nothing is synced, so it
// survives the process, not a power loss. Two files in turn (PATH, PATH.old) bound it. Control thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "proto/messages.hpp"
#include "worker/core/payload.hpp"

namespace windlass::worker {

class EndsFile {
 public:
  struct Earlier {
    proto::RequestId id;
    std::optional<Payload> payload;     // none: accepted by a version that did not keep it
    std::optional<std::string> result;  // the body of its RESULT; none: how it ended is not known
  };

  // `path` belongs to this process alone while it lives. Says in a whole sentence what is wrong.
  static tl::expected<EndsFile, std::string> open(std::string path);
  ~EndsFile();
  EndsFile(EndsFile&& other) noexcept;
  EndsFile& operator=(EndsFile&&) = delete;

  // How many files could not be read to their end. What came before holds; the whole of it stays as PATH.aside-NUMBER.
  [[nodiscard]] unsigned set_aside() const { return set_aside_; }
  // What processes before this one left, in the order accepted; once.
  [[nodiscard]] std::vector<Earlier> take_earlier() { return std::move(earlier_); }

  void began(const proto::RequestId& id, const Payload& payload);
  // A result beyond kEndBytesMax is not kept: its end is then not known.
  void ended(const proto::RequestId& id, std::string_view result);

 private:
  explicit EndsFile(std::string path) : path_(std::move(path)) {}
  tl::expected<void, std::string> begin_file();
  void put_aside(const std::string& path, std::size_t whole);
  void append(std::uint32_t magic, const proto::RequestId& id, std::string_view bytes);

  std::string path_;
  int fd_ = -1;
  std::size_t bytes_ = 0;
  std::size_t records_ = 0;
  bool told_ = false;  // that it cannot be written
  unsigned set_aside_ = 0;
  std::vector<Earlier> earlier_;
};

}  // namespace windlass::worker
