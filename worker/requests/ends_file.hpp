// The ids of the STAGE requests that this daemon accepted and how they ended, in a file that outlives the process: a
// later process answers from it and begins none of them again. One append in one write each; nothing is synced, so it
// survives the process, not a power loss.
//
// Two files in turn (PATH, PATH.old) bound it. A new one begins with the ids that must not be lost with the older: all
// that run, and the latest kAnswersMax that do not any more, so that PATH.old is wanted for ends alone. It is written
// whole as PATH.new before either name moves: where the process dies in between, PATH.old holds all of it. Control
// thread.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "proto/keyed_hash.hpp"
#include "proto/messages.hpp"
#include "worker/core/limits.hpp"
#include "worker/core/payload.hpp"

namespace windlass::worker {

class EndsFile {
 public:
  struct Earlier {
    proto::RequestId id;
    std::optional<Payload> payload;     // none: accepted by a version that did not keep it
    std::optional<std::string> result;  // the body of its RESULT; none: how it ended is not known
  };

  // What one file takes beside the ids that it begins with.
  struct Limits {
    std::size_t records = kAnswersMax;
    std::size_t bytes = kEndsFileBytesMax;
  };
  // `path` belongs to this process alone while it lives. Says in a whole sentence what is wrong.
  static tl::expected<EndsFile, std::string> open(std::string path, const Limits& limits);
  static tl::expected<EndsFile, std::string> open(std::string path) { return open(std::move(path), Limits()); }
  ~EndsFile();
  EndsFile(EndsFile&& other) noexcept;
  EndsFile& operator=(EndsFile&&) = delete;

  // How many files could not be read to their end. What came before holds; the whole of it stays as PATH.aside-NUMBER.
  [[nodiscard]] unsigned set_aside() const { return set_aside_; }
  // What processes before this one left, in the order accepted; once.
  [[nodiscard]] std::vector<Earlier> take_earlier() { return std::move(earlier_); }

  void began(const proto::RequestId& id, const Payload& payload);
  // It runs no longer; nothing where it had not begun here. A result that is empty (it ended otherwise) or beyond
  // kEndBytesMax is not kept: its end is then not known.
  void ended(const proto::RequestId& id, std::string_view result);

 private:
  struct Known {  // of Earlier
    proto::RequestId id;
    std::optional<Payload> payload;
  };
  EndsFile(std::string path, const Limits& limits) : path_(std::move(path)), limits_(limits) {}
  void put_aside(const std::string& path, std::size_t whole);
  void no_longer_runs(const Known& known);
  [[nodiscard]] std::string carried() const;
  void turn();
  [[nodiscard]] bool replace() const;
  void append(std::uint32_t magic, const proto::RequestId& id, std::string_view bytes);
  void tell(const char* what);

  std::string path_;
  Limits limits_;
  int fd_ = -1;
  std::size_t bytes_ = 0;                            // of PATH
  std::size_t bytes_added_ = 0, records_added_ = 0;  // to what it began with
  proto::KeyedMap<proto::RequestId, Payload> running_;
  std::deque<Known> ended_;  // the latest, and those that ran when a process before this one ended
  bool told_ = false;        // that it cannot be written
  unsigned set_aside_ = 0;
  std::vector<Earlier> earlier_;
};

}  // namespace windlass::worker
