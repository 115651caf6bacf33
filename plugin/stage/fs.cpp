#include "plugin/stage/fs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

namespace windlass::stage {
namespace {

// glibc's struct statx ends before the fields of direct I/O; the kernel's layout has them at this place.
struct DirectFields {
  std::uint32_t memory_alignment;
  std::uint32_t offset_alignment;
};
constexpr unsigned kStatxDirect = 0x2000;
constexpr std::size_t kStatxDirectAt = 0x98;
constexpr unsigned kStatxUniqueMount = 0x4000;
constexpr std::size_t kStatxMountAt = 0x90;
static_assert(sizeof(struct statx) >= kStatxDirectAt + sizeof(DirectFields));

template <class Call>
auto answer(Call call) -> decltype(call()) {
  decltype(call()) result{};
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result < 0 ? static_cast<decltype(call())>(-errno) : result;
}

FileType type_of_mode(mode_t mode) {
  if (S_ISREG(mode)) return FileType::regular;
  if (S_ISDIR(mode)) return FileType::folder;
  return S_ISLNK(mode) ? FileType::link : FileType::special;
}

void fill(FileInfo& info, const struct stat& from) {
  info.key = {from.st_dev, from.st_ino};
  info.type = type_of_mode(from.st_mode);
  info.mode = from.st_mode & 0777U;
  info.size = static_cast<std::uint64_t>(from.st_size);
  info.allocated = static_cast<std::uint64_t>(from.st_blocks) * 512;
  info.modified = {from.st_mtim.tv_sec, from.st_mtim.tv_nsec};
  info.changed = {from.st_ctim.tv_sec, from.st_ctim.tv_nsec};
}

constexpr std::uint64_t kXfsMagic = 0x58465342;
constexpr std::array<std::uint64_t, 4> kLocalDisks{EXT4_SUPER_MAGIC, kXfsMagic, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC};
constexpr std::uint64_t kSmb2Magic = 0xFE534D42;
constexpr std::uint64_t kCifsMagic = 0xFF534D42;
constexpr std::uint64_t kCephMagic = 0x00C36400;
constexpr std::array<std::uint64_t, 4> kServers{NFS_SUPER_MAGIC, kSmb2Magic, kCifsMagic, kCephMagic};
constexpr std::array<std::uint64_t, 9> kKernelViews{PROC_SUPER_MAGIC, SYSFS_MAGIC,        DEBUGFS_MAGIC,
                                                    TRACEFS_MAGIC,    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
                                                    SECURITYFS_MAGIC, BPF_FS_MAGIC,       DEVPTS_SUPER_MAGIC};

template <std::size_t N>
bool one_of(const std::array<std::uint64_t, N>& magics, std::uint64_t magic) {
  return std::find(magics.begin(), magics.end(), magic) != magics.end();
}

class RealFs final : public Fs {
 public:
  int open(int folder, const char* path, int flags, mode_t mode, std::uint64_t resolve) override {
    if (resolve == 0) return answer([&] { return ::openat(folder, path, flags | O_CLOEXEC, mode); });
    struct open_how how = {};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.mode = mode;
    how.resolve = resolve;
    // EAGAIN: something beneath was renamed meanwhile; a few rounds settle it
    for (int round = 0;; ++round) {
      const auto fd = answer([&] { return ::syscall(SYS_openat2, folder, path, &how, sizeof how); });
      if (fd != -EAGAIN || round == 100) return static_cast<int>(fd);
    }
  }

  int info(int folder, const char* name, FileInfo& info) override {
    struct stat from {};
    const int result = answer([&] { return ::fstatat(folder, name, &from, AT_SYMLINK_NOFOLLOW); });
    if (result == 0) fill(info, from);
    return result;
  }

  int info(int fd, FileInfo& info) override {
    struct stat from {};
    const int result = answer([&] { return ::fstat(fd, &from); });
    if (result == 0) fill(info, from);
    return result;
  }

  int space(int fd, Space& space) override {
    struct statfs from {};
    if (const int result = answer([&] { return ::fstatfs(fd, &from); }); result != 0) return result;
    const auto unit = from.f_frsize != 0 ? from.f_frsize : from.f_bsize;
    space.free_bytes = static_cast<std::uint64_t>(from.f_bavail) * static_cast<std::uint64_t>(unit);
    space.free_inodes = from.f_files == 0 ? std::numeric_limits<std::uint64_t>::max() : from.f_ffree;
    set_kind(space, static_cast<std::uint64_t>(static_cast<unsigned long>(from.f_type)) & 0xFFFFFFFFU);
    return 0;
  }

  std::uint32_t direct_alignment(int fd) override {
    struct statx from {};
    if (::statx(fd, "", AT_EMPTY_PATH, kStatxDirect, &from) != 0 || (from.stx_mask & kStatxDirect) == 0) return 0;
    DirectFields fields{};
    std::memcpy(&fields, reinterpret_cast<const char*>(&from) + kStatxDirectAt, sizeof fields);
    return fields.offset_alignment == 0 ? 0 : std::max(fields.memory_alignment, fields.offset_alignment);
  }

  std::uint64_t mount(int fd) override {
    struct statx from {};
    if (::statx(fd, "", AT_EMPTY_PATH, kStatxUniqueMount, &from) != 0) return 0;
    std::uint64_t number = 0;
    std::memcpy(&number, reinterpret_cast<const char*>(&from) + kStatxMountAt, sizeof number);
    return (from.stx_mask & kStatxUniqueMount) == 0 ? 0 : number;
  }

  int list(int fd, std::vector<Entry>& entries) override {
    const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return -errno;
    DIR* folder = ::fdopendir(own);
    if (folder == nullptr) {
      const int number = errno;
      ::close(own);
      return -number;
    }
    ::rewinddir(folder);
    errno = 0;
    while (const dirent* entry = ::readdir(folder)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") entries.push_back(entry_of(*entry));
      errno = 0;
    }
    const int number = errno;
    ::closedir(folder);
    return -number;
  }

  int read_link(int folder, const char* name, std::string& text) override {
    text.resize(4096);
    const auto bytes = answer([&] { return ::readlinkat(folder, name, text.data(), text.size()); });
    if (bytes < 0) return static_cast<int>(bytes);
    text.resize(static_cast<std::size_t>(bytes));
    return 0;
  }

  int make_folder(int folder, const char* name, mode_t mode) override {
    return answer([&] { return ::mkdirat(folder, name, mode); });
  }
  int make_link(const char* text, int folder, const char* name) override {
    return answer([&] { return ::symlinkat(text, folder, name); });
  }
  int remove(int folder, const char* name, bool is_folder) override {
    return answer([&] { return ::unlinkat(folder, name, is_folder ? AT_REMOVEDIR : 0); });
  }
  int rename(int folder, const char* from, const char* to, unsigned flags) override {
    return answer([&] { return ::renameat2(folder, from, folder, to, flags); });
  }

  int allocate(int fd, std::uint64_t bytes) override {
    return answer([&] { return ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)); });
  }
  int truncate(int fd, std::uint64_t bytes) override {
    return answer([&] { return ::ftruncate(fd, static_cast<off_t>(bytes)); });
  }
  int clone(int to, int from) override {
    return answer([&] { return ::ioctl(to, FICLONE, from); });
  }
  std::int64_t copy_range(int from, std::uint64_t from_at, int to, std::uint64_t to_at, std::uint64_t bytes) override {
    auto source = static_cast<loff_t>(from_at);
    auto target = static_cast<loff_t>(to_at);
    return answer([&] { return std::int64_t{::copy_file_range(from, &source, to, &target, bytes, 0)}; });
  }
  std::int64_t seek(int fd, std::uint64_t offset, int whence) override {
    return answer([&] { return static_cast<std::int64_t>(::lseek(fd, static_cast<off_t>(offset), whence)); });
  }
  int read_ahead(int fd, std::uint64_t bytes) override {
    return -::posix_fadvise(fd, 0, static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
  }
  int set_flags(int fd, int flags) override {
    return answer([&] { return ::fcntl(fd, F_SETFL, flags); });
  }
  int set_mode(int fd, mode_t mode) override {
    const int result = answer([&] { return ::fchmod(fd, mode); });
    if (result != -EBADF) return result;
    const std::string path = "/proc/self/fd/" + std::to_string(fd);  // opened with O_PATH
    return answer([&] { return ::chmod(path.c_str(), mode); });
  }
  int set_modified(int fd, const Time& time) override {
    const struct timespec times[2] = {{0, UTIME_OMIT}, {time.seconds, time.nanoseconds}};
    return answer([&] { return ::futimens(fd, times); });
  }
  int set_link_modified(int folder, const char* name, const Time& time) override {
    const struct timespec times[2] = {{0, UTIME_OMIT}, {time.seconds, time.nanoseconds}};
    return answer([&] { return ::utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW); });
  }
  int flush(int fd) override {
    const int twin = answer([&] { return ::fcntl(fd, F_DUPFD_CLOEXEC, 0); });
    if (twin < 0) return twin;
    return ::close(twin) == 0 || errno == EINTR ? 0 : -errno;
  }
  int sync(int fd) override {
    return answer([&] { return ::fsync(fd); });
  }
  int sync_all(int fd) override {
    return answer([&] { return ::syncfs(fd); });
  }

 private:
  static Entry entry_of(const dirent& from) {
    Entry entry{from.d_name, FileType::special, from.d_type != DT_UNKNOWN, from.d_ino};
    if (from.d_type == DT_REG) entry.type = FileType::regular;
    if (from.d_type == DT_DIR) entry.type = FileType::folder;
    if (from.d_type == DT_LNK) entry.type = FileType::link;
    return entry;
  }
};

}  // namespace

void set_kind(Space& space, std::uint64_t magic) {
  space.local_disk = one_of(kLocalDisks, magic);
  space.server_copies = one_of(kServers, magic);
  space.kernel_view = one_of(kKernelViews, magic);
}

Fs& real_fs() {
  static RealFs fs;
  return fs;
}

}  // namespace windlass::stage
