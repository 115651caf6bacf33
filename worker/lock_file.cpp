#include "worker/lock_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace windlass::worker {

tl::expected<LockFile, std::string> LockFile::take(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return tl::unexpected("the lock " + path + " cannot be opened: " + std::strerror(errno));
  LockFile lock(fd);
  char text[32] = {};
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const ssize_t bytes = ::pread(fd, text, sizeof text - 1, 0);
    std::string pid(text, bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    pid.erase(pid.find_last_not_of('\n') + 1);
    return tl::unexpected("another windlassd, process " + (pid.empty() ? "unknown" : pid) + ", holds " + path +
                          ": stop it, or choose another local.socket");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return tl::unexpected("the lock " + path + " cannot be written: " + std::strerror(errno));
  }
  return lock;
}

LockFile::~LockFile() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace windlass::worker
