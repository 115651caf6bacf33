// A file system that shows another folder and fails on purpose: `passthrough FOLDER MOUNTPOINT` mounts it, serves until
// its standard input ends, and unmounts. Commands come a line at a time, each answered by a line (fixture.py speaks
// it):
//
//   fail OPERATION NTH ERRNO [AT]   the NTH (from 1, counted from now on) answers -ERRNO
//   short OPERATION NTH BYTES [AT]  the NTH moves so many bytes at most
//   stall OPERATION NTH [AT]        the NTH does not come back before `release`
//   hang OPERATION NTH [AT]         nor do all after it
//   release                         what is stalled goes on; nothing more is armed
//   struck                          1 where what is armed has happened, else 0
//
// OPERATION is a name of kNames or `any`, which leaves out `unlink` and `rmdir`: what is cleaned up after a fault could
// not be told from what was forgotten. With AT only reads and writes count that touch that byte. Nothing is cached, so
// each call of the process that is tested comes through here; nothing is synced, as no power is lost here.
#define FUSE_USE_VERSION 35
#include <dirent.h>
#include <fcntl.h>
#include <fuse.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

namespace {

enum class Op : std::uint8_t {
  getattr,
  readlink,
  mkdir,
  unlink,
  rmdir,
  symlink,
  rename,
  chmod,
  chown,
  truncate,
  utimens,
  create,
  open,
  read,
  write,
  flush,
  fsync,
  fallocate,
  lseek,
  readdir,
  fsyncdir,
  statfs,
};
constexpr std::array kNames{"getattr", "readlink",  "mkdir",   "unlink",  "rmdir",    "symlink", "rename", "chmod",
                            "chown",   "truncate",  "utimens", "create",  "open",     "read",    "write",  "flush",
                            "fsync",   "fallocate", "lseek",   "readdir", "fsyncdir", "statfs"};

std::optional<Op> op_of(const std::string& name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (name == kNames[i]) return static_cast<Op>(i);
  return std::nullopt;
}

struct Stretch {
  std::int64_t first = -1;
  std::int64_t bytes = 0;
};

// What is armed. Thread-safe.
class Plan {
 public:
  enum class Kind : std::uint8_t { nothing, fail, cut, stall, hang };
  struct Armed {
    Kind kind = Kind::nothing;
    std::optional<Op> op;  // none: any
    std::uint64_t nth = 0;
    std::int64_t value = 0;
    std::int64_t at = -1;
  };

  void arm(Armed armed) {
    {
      const std::lock_guard lock(mutex_);
      armed_ = armed;
      seen_ = 0;
      ++life_;
    }
    changed_.notify_all();
  }
  bool struck() {
    const std::lock_guard lock(mutex_);
    return armed_.kind != Kind::nothing && seen_ >= armed_.nth;
  }

  // At each operation: what it shall answer instead, or how many bytes at most it may move.
  struct Word {
    int error = 0;
    std::optional<std::size_t> bytes_max;
  };
  Word at(Op op, Stretch stretch = {}) {
    std::unique_lock lock(mutex_);
    if (!concerns(op, stretch) || ++seen_ < armed_.nth) return {};
    if (armed_.kind != Kind::hang && seen_ > armed_.nth) return {};
    if (armed_.kind == Kind::fail) return {static_cast<int>(-armed_.value), std::nullopt};
    if (armed_.kind == Kind::cut) return {0, static_cast<std::size_t>(armed_.value)};
    const std::uint64_t life = life_;
    changed_.wait(lock, [&] { return life_ != life; });
    return {};
  }

 private:
  [[nodiscard]] bool concerns(Op op, Stretch stretch) const {
    if (armed_.kind == Kind::nothing) return false;
    if (armed_.op ? *armed_.op != op : op == Op::unlink || op == Op::rmdir) return false;
    return armed_.at < 0 || (stretch.first <= armed_.at && armed_.at < stretch.first + stretch.bytes);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Armed armed_;
  std::uint64_t seen_ = 0;
  std::uint64_t life_ = 0;  // of the arming
};

Plan plan;
int top = -1;

const char* beneath(const char* path) {
  return path[1] == '\0' ? "." : path + 1;
}
int answer(long result) {
  return result < 0 ? -errno : static_cast<int>(result);
}
int file_of(const fuse_file_info* info) {
  return static_cast<int>(info->fh);
}

template <class Call>
int pass(Op op, Call call) {
  const Plan::Word word = plan.at(op);
  return word.error != 0 ? word.error : answer(call());
}

int on_getattr(const char* path, struct stat* out, fuse_file_info* info) {
  return pass(Op::getattr, [&] {
    return info != nullptr ? ::fstat(file_of(info), out) : ::fstatat(top, beneath(path), out, AT_SYMLINK_NOFOLLOW);
  });
}
int on_readlink(const char* path, char* text, std::size_t size) {
  const int got =
      pass(Op::readlink, [&] { return static_cast<int>(::readlinkat(top, beneath(path), text, size - 1)); });
  if (got < 0) return got;
  text[got] = '\0';
  return 0;
}
int on_mkdir(const char* path, mode_t mode) {
  return pass(Op::mkdir, [&] { return ::mkdirat(top, beneath(path), mode); });
}
int on_unlink(const char* path) {
  return pass(Op::unlink, [&] { return ::unlinkat(top, beneath(path), 0); });
}
int on_rmdir(const char* path) {
  return pass(Op::rmdir, [&] { return ::unlinkat(top, beneath(path), AT_REMOVEDIR); });
}
int on_symlink(const char* text, const char* path) {
  return pass(Op::symlink, [&] { return ::symlinkat(text, top, beneath(path)); });
}
int on_rename(const char* from, const char* to, unsigned flags) {
  return pass(Op::rename, [&] { return ::renameat2(top, beneath(from), top, beneath(to), flags); });
}
int on_chmod(const char* path, mode_t mode, fuse_file_info* info) {
  return pass(Op::chmod, [&] {
    return info != nullptr ? ::fchmod(file_of(info), mode) : ::fchmodat(top, beneath(path), mode, 0);
  });
}
int on_chown(const char* path, uid_t user, gid_t group, fuse_file_info*) {
  return pass(Op::chown, [&] { return ::fchownat(top, beneath(path), user, group, AT_SYMLINK_NOFOLLOW); });
}
int on_truncate(const char* path, off_t size, fuse_file_info* info) {
  return pass(Op::truncate, [&] {
    if (info != nullptr) return ::ftruncate(file_of(info), size);
    const int fd = ::openat(top, beneath(path), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    const int result = ::ftruncate(fd, size);
    ::close(fd);
    return result;
  });
}
int on_utimens(const char* path, const struct timespec times[2], fuse_file_info* info) {
  return pass(Op::utimens, [&] {
    return info != nullptr ? ::futimens(file_of(info), times)
                           : ::utimensat(top, beneath(path), times, AT_SYMLINK_NOFOLLOW);
  });
}

int opened(int fd, fuse_file_info* info) {
  if (fd < 0) return fd;
  info->fh = static_cast<std::uint64_t>(fd);
  info->direct_io = 1;
  return 0;
}
int on_create(const char* path, mode_t mode, fuse_file_info* info) {
  const int flags = (info->flags & ~(O_DIRECT | O_NOFOLLOW)) | O_CREAT | O_CLOEXEC;
  return opened(pass(Op::create, [&] { return ::openat(top, beneath(path), flags, mode); }), info);
}
int on_open(const char* path, fuse_file_info* info) {
  const int flags = (info->flags & ~O_DIRECT) | O_CLOEXEC;
  return opened(pass(Op::open, [&] { return ::openat(top, beneath(path), flags); }), info);
}
int on_release(const char*, fuse_file_info* info) {
  ::close(file_of(info));
  return 0;
}
int on_flush(const char*, fuse_file_info*) {
  return pass(Op::flush, [] { return 0; });
}
int on_fsync(const char*, int, fuse_file_info*) {
  return pass(Op::fsync, [] { return 0; });
}

template <class Call>
int moved(Op op, std::size_t bytes, off_t at, Call call) {
  const Plan::Word word = plan.at(op, {at, static_cast<std::int64_t>(bytes)});
  if (word.error != 0) return word.error;
  return answer(call(word.bytes_max ? std::min(bytes, *word.bytes_max) : bytes));
}
int on_read(const char*, char* data, std::size_t bytes, off_t at, fuse_file_info* info) {
  return moved(Op::read, bytes, at, [&](std::size_t count) { return ::pread(file_of(info), data, count, at); });
}
int on_write(const char*, const char* data, std::size_t bytes, off_t at, fuse_file_info* info) {
  return moved(Op::write, bytes, at, [&](std::size_t count) { return ::pwrite(file_of(info), data, count, at); });
}

int on_fallocate(const char*, int mode, off_t at, off_t bytes, fuse_file_info* info) {
  return pass(Op::fallocate, [&] { return ::fallocate(file_of(info), mode, at, bytes); });
}
off_t on_lseek(const char*, off_t at, int whence, fuse_file_info* info) {
  if (const Plan::Word word = plan.at(Op::lseek); word.error != 0) return word.error;
  const off_t found = ::lseek(file_of(info), at, whence);
  return found < 0 ? -errno : found;
}

int on_readdir(const char* path, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info*, fuse_readdir_flags) {
  return pass(Op::readdir, [&] {
    const int fd = ::openat(top, beneath(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* folder = fd < 0 ? nullptr : ::fdopendir(fd);
    if (folder == nullptr) return -1;
    while (const dirent* entry = ::readdir(folder)) {
      struct stat known {};
      known.st_ino = entry->d_ino;
      known.st_mode = static_cast<mode_t>(entry->d_type) << 12U;
      fill(buffer, entry->d_name, &known, 0, fuse_fill_dir_flags{});
    }
    ::closedir(folder);
    return 0;
  });
}
int on_fsyncdir(const char*, int, fuse_file_info*) {
  return pass(Op::fsyncdir, [] { return 0; });
}
int on_statfs(const char*, struct statvfs* out) {
  return pass(Op::statfs, [&] { return ::fstatvfs(top, out); });
}

void* on_begin(fuse_conn_info*, fuse_config* config) {
  config->use_ino = 1;
  config->hard_remove = 1;
  config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
  return nullptr;
}

fuse_operations operations() {
  fuse_operations all{};
  all.init = on_begin;
  all.getattr = on_getattr;
  all.readlink = on_readlink;
  all.mkdir = on_mkdir;
  all.unlink = on_unlink;
  all.rmdir = on_rmdir;
  all.symlink = on_symlink;
  all.rename = on_rename;
  all.chmod = on_chmod;
  all.chown = on_chown;
  all.truncate = on_truncate;
  all.utimens = on_utimens;
  all.create = on_create;
  all.open = on_open;
  all.release = on_release;
  all.flush = on_flush;
  all.fsync = on_fsync;
  all.read = on_read;
  all.write = on_write;
  all.fallocate = on_fallocate;
  all.lseek = on_lseek;
  all.readdir = on_readdir;
  all.fsyncdir = on_fsyncdir;
  all.statfs = on_statfs;
  return all;
}

std::string obey(const std::string& line) {
  std::istringstream words(line);
  std::string kind, name;
  words >> kind;
  if (kind == "struck") return plan.struck() ? "1" : "0";
  Plan::Armed armed;
  if (kind == "release") {
    plan.arm(armed);
    return "ok";
  }
  words >> name >> armed.nth;
  armed.op = op_of(name);
  armed.kind = kind == "fail"    ? Plan::Kind::fail
               : kind == "short" ? Plan::Kind::cut
               : kind == "stall" ? Plan::Kind::stall
               : kind == "hang"  ? Plan::Kind::hang
                                 : Plan::Kind::nothing;
  if (armed.kind == Plan::Kind::fail || armed.kind == Plan::Kind::cut) words >> armed.value;
  const bool known = armed.kind != Plan::Kind::nothing && (armed.op || name == "any") && armed.nth > 0 && words;
  if (!known) return "what is '" + line + "'?";
  if (std::int64_t at = 0; words >> at) armed.at = at;
  plan.arm(armed);
  return "ok";
}

void listen() {
  for (std::string line; std::getline(std::cin, line);) std::cout << obey(line) << std::endl;
  plan.arm({});
  ::kill(::getpid(), SIGTERM);
}

}  // namespace

int main(int count, char** words) {
  if (count != 3 || (top = ::open(words[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
    std::fprintf(stderr, "usage: passthrough FOLDER MOUNTPOINT\n");
    return 2;
  }
  ::umask(0);
  fuse_args args{0, nullptr, 0};
  for (const char* word : {"passthrough", "-o", "default_permissions,fsname=passthrough"})
    fuse_opt_add_arg(&args, word);
  const fuse_operations all = operations();
  fuse* served = fuse_new(&args, &all, sizeof all, nullptr);
  if (served == nullptr || fuse_mount(served, words[2]) != 0) return 1;
  fuse_set_signal_handlers(fuse_get_session(served));
  std::cout << "ready" << std::endl;
  std::thread(listen).detach();
  fuse_loop_config config{};
  config.max_idle_threads = 16;
  const int ended = fuse_loop_mt(served, &config);
  fuse_unmount(served);
  fuse_destroy(served);
  return ended < 0 ? 1 : 0;
}
