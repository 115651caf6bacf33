// Where clients come in: a listening socket of the file system or of tcp. Never blocks. Errors are whole sentences.
// Control thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "worker/front/descriptor.hpp"

namespace windlass::worker {

class Listener {
 public:
  // `path`, with rights 0600, for processes of this user; and of `uids`, upon which the rights are 0666 and the
  // kernel's word on each peer decides. A socket that lies there is removed: the caller knows that nobody serves it.
  static tl::expected<Listener, std::string> local(const std::string& path, const std::vector<uid_t>& uids);
  // "host:port", port 0 for any.
  static tl::expected<Listener, std::string> tcp(const std::string& listen);

  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = default;
  ~Listener();  // removes its file

  struct Accepted {
    enum class Fate {
      client,
      none,            // nobody waits any more
      stranger,        // of another user: hung up on
      no_descriptors,  // somebody waits, and cannot be taken
      failed           // for another reason of the system's
    };
    Fate fate = Fate::none;
    Descriptor socket{};
    std::optional<uid_t> uid{};  // of a client by the file system
  };
  Accepted accept();

  [[nodiscard]] int fd() const { return socket_.get(); }
  // "tcp://host:port", with the real port; "ipc://path".
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  Listener() = default;
  [[nodiscard]] std::optional<uid_t> uid_of(int fd) const;

  Descriptor socket_;
  std::string address_;
  std::string path_;  // empty: tcp
  std::vector<uid_t> allowed_;
};

}  // namespace windlass::worker
