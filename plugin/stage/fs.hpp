// The one seam to the file system, apart from reads and writes of file contents (io_queue.hpp).
//
// Every call answers 0 or a positive value, or -errno; EINTR is gone through within. `folder` is a descriptor of a
// folder, or AT_FDCWD with an absolute path. Implementations are thread-safe.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace windlass::stage {

enum class FileType : std::uint8_t { regular, folder, link, special };

struct Time {
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  auto operator<=>(const Time&) const = default;
};

// Which file: survives renames, differs between any two files.
struct FileKey {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  auto operator<=>(const FileKey&) const = default;
};

struct FileInfo {
  FileKey key;
  FileType type = FileType::special;
  std::uint32_t mode = 0;  // permission bits
  std::uint64_t size = 0;
  std::uint64_t allocated = 0;  // bytes
  Time modified;
  Time changed;

  // The source's identity: any difference says that it may hold other bytes.
  [[nodiscard]] bool same_content(const FileInfo& other) const {
    return key == other.key && size == other.size && modified == other.modified && changed == other.changed;
  }
};

struct Space {
  std::uint64_t free_bytes = 0;   // to this user
  std::uint64_t free_inodes = 0;  // UINT64_MAX where the file system does not count them
  bool local_disk = false;        // direct I/O is worth a try: ext4, xfs, btrfs, f2fs
  bool server_copies = false;     // its server may copy within itself: NFS, SMB, Ceph
  bool kernel_view = false;       // procfs, sysfs and their like: no files in the sense of staging
};

// The three by the number that statfs tells.
void set_kind(Space& space, std::uint64_t magic);

struct Entry {
  std::string name;
  FileType type = FileType::special;
  bool type_known = false;
  std::uint64_t inode = 0;  // a hint: files near one another in this order tend to lie so on the disk
};

class Fs {
 public:
  virtual ~Fs() = default;

  // `resolve`: RESOLVE_* of openat2, 0 for a plain openat.
  virtual int open(int folder, const char* path, int flags, mode_t mode, std::uint64_t resolve) = 0;
  virtual int info(int folder, const char* name, FileInfo& info) = 0;  // links are not followed
  virtual int info(int fd, FileInfo& info) = 0;
  virtual int space(int fd, Space& space) = 0;
  // Which mount: another after each time the file system was mounted, in this boot; 0 where the kernel does not tell.
  virtual std::uint64_t mount(int fd) = 0;
  virtual std::uint32_t direct_alignment(int fd) = 0;         // bytes, for offset, size and memory; 0: no direct I/O
  virtual int list(int fd, std::vector<Entry>& entries) = 0;  // without "." and ".."
  virtual int read_link(int folder, const char* name, std::string& text) = 0;

  virtual int make_folder(int folder, const char* name, mode_t mode) = 0;
  virtual int make_link(const char* text, int folder, const char* name) = 0;
  virtual int remove(int folder, const char* name, bool is_folder) = 0;
  virtual int rename(int folder, const char* from, const char* to, unsigned flags) = 0;  // within one folder

  virtual int allocate(int fd, std::uint64_t bytes) = 0;
  virtual int truncate(int fd, std::uint64_t bytes) = 0;
  virtual int clone(int to, int from) = 0;
  // By whoever keeps the files, without the bytes coming here where it can. How many; may be fewer.
  virtual std::int64_t copy_range(int from, std::uint64_t from_at, int to, std::uint64_t to_at,
                                  std::uint64_t bytes) = 0;
  virtual std::int64_t seek(int fd, std::uint64_t offset, int whence) = 0;  // SEEK_DATA, SEEK_HOLE
  virtual int read_ahead(int fd, std::uint64_t bytes) = 0;                  // of its begin; waits for nothing
  virtual int set_flags(int fd, int flags) = 0;                             // fcntl F_SETFL
  virtual int set_mode(int fd, mode_t mode) = 0;                            // of O_PATH too
  virtual int set_modified(int fd, const Time& time) = 0;
  virtual int set_link_modified(int folder, const char* name, const Time& time) = 0;
  virtual int flush(int fd) = 0;  // what is else told at the close alone, as network file systems tell of a full quota
  virtual int sync(int fd) = 0;
  virtual int sync_all(int fd) = 0;  // the whole file system that holds fd
};

// The kernel's. Lives for ever; has no state.
Fs& real_fs();

}  // namespace windlass::stage
