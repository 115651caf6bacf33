// The file beside the socket that says who serves it. Held by the kernel's lock, so it is free once the process is
// gone, however it went; the file itself stays.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace windlass::worker {

class LockFile {
 public:
  // Takes `path`, or says in a whole sentence who holds it. The folder must be there.
  static tl::expected<LockFile, std::string> take(const std::string& path);
  ~LockFile();
  LockFile(LockFile&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  LockFile& operator=(LockFile&& other) = delete;

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace windlass::worker
