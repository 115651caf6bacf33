#include "plugin/stage/publish.hpp"

#include <fcntl.h>
#include <sys/random.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <ctime>
#include <utility>

namespace windlass::stage {
namespace {

std::string hex(std::uint64_t value) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += kDigits[value >> static_cast<unsigned>(shift) & 15U];
  return out;
}

std::uint64_t start_number() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, GRND_NONBLOCK) == sizeof number) return number;
  struct timespec now {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

// Letters, digits, '.' and '_' stay; all else, '-' too, is escaped, so that one owner's prefix is never another's.
std::string suitable(std::string_view owner) {
  constexpr std::size_t kOwnerMax = 120;
  std::string out;
  for (const char c : owner.substr(0, kOwnerMax / 3)) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '.' || c == '_')
      out += c;
    else
      out += "%" + hex(byte).substr(14);
  }
  return out;
}

}  // namespace

TemporaryNames::TemporaryNames(std::string_view owner)
    : prefix_(std::string(kTemporaryPrefix) + suitable(owner) + "-" + hex(start_number()) + ".") {}

std::string TemporaryNames::next() {
  return prefix_ + std::to_string(number_.fetch_add(1));
}

Temporary::Temporary(Temporary&& other) noexcept
    : fs_(std::exchange(other.fs_, nullptr)),
      folder_(other.folder_),
      name_(std::move(other.name_)),
      is_folder_(other.is_folder_) {}

Temporary::~Temporary() {
  if (fs_ == nullptr) return;
  if (!is_folder_)
    fs_->remove(folder_, name_.c_str(), false);
  else if (remove_tree(*fs_, folder_, name_) < 0)
    remove_tree(*fs_, folder_, name_);  // it takes many steps, and what stopped one of them may be over
}

Result<Fd> make_temporary(Fs& fs, int folder, const std::string& name, std::string_view target_path) {
  const int fd = fs.open(folder, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, 0);
  if (fd >= 0) return Fd(fd);
  // a disk that fails may have made it before it says so
  if (fd != -EEXIST) fs.remove(folder, name.c_str(), false);
  return fail_errno(-fd, "make a temporary beside", target_path);
}

namespace {

struct OpenFolder {
  Fd fd;
  std::string name;
  std::vector<Entry> entries;
};

int enter(Fs& fs, int above, const std::string& name, std::vector<OpenFolder>& stack) {
  const Fd seen(fs.open(above, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, 0));
  if (!seen) return -ENOENT;
  fs.set_mode(seen.get(), 0700);  // so that it can be listed, and what is in it removed
  OpenFolder folder{Fd(fs.open(seen.get(), ".", O_RDONLY | O_DIRECTORY, 0, 0)), name, {}};
  if (!folder.fd) return -EACCES;
  const int result = fs.list(folder.fd.get(), folder.entries);
  stack.push_back(std::move(folder));
  return result;
}

}  // namespace

int remove_tree(Fs& fs, int folder, const std::string& name) {
  std::vector<OpenFolder> stack;
  int first_fault = enter(fs, folder, name, stack);
  const auto note = [&](int result) {
    if (result < 0 && first_fault == 0) first_fault = result;
  };
  while (!stack.empty()) {
    OpenFolder& top = stack.back();
    if (top.entries.empty()) {
      const std::string done = std::move(top.name);
      stack.pop_back();
      note(fs.remove(stack.empty() ? folder : stack.back().fd.get(), done.c_str(), true));
      continue;
    }
    const Entry entry = std::move(top.entries.back());
    top.entries.pop_back();
    const int result = fs.remove(top.fd.get(), entry.name.c_str(), false);
    if (result == -EISDIR || result == -EPERM)
      note(enter(fs, top.fd.get(), entry.name, stack));
    else
      note(result);
  }
  return first_fault;
}

Status check_space(Fs& fs, int folder, const SpaceLimits& limits, std::uint64_t bytes, std::string_view target_path) {
  if (limits.free_min == 0 && limits.inodes_min == 0) return {};
  Space space;
  if (const int result = fs.space(folder, space); result < 0)
    return fail_errno(-result, "ask for the room at", target_path);
  const bool short_of_bytes = space.free_bytes < limits.free_min || space.free_bytes - limits.free_min < bytes;
  const bool short_of_inodes = space.free_inodes <= limits.inodes_min;
  if (!(limits.free_min > 0 && short_of_bytes) && !(limits.inodes_min > 0 && short_of_inodes)) return {};
  Error error;
  error.code = Code::resource_exhausted;
  error.retryable = true;
  error.message = "no room for " + quoted(target_path) + ": it takes " + std::to_string(bytes) + " bytes, and of the " +
                  std::to_string(space.free_bytes) + " bytes free there " + std::to_string(limits.free_min) +
                  " stay free (stage.free_min), of the inodes " + std::to_string(limits.inodes_min) +
                  " (stage.inodes_min); make room and stage again";
  return fail(std::move(error));
}

Status sync_folder(Fs& fs, int folder, std::string_view path) {
  const int fd = fs.open(folder, ".", O_RDONLY | O_DIRECTORY, 0, 0);
  if (fd < 0) return fail_errno(-fd, "open the folder to sync of", path);
  const Fd readable(fd);
  if (const int result = fs.sync(fd); result < 0) return fail_errno(-result, "sync the folder of", path);
  return {};
}

namespace {

int open_to_sync(Fs& fs, int folder, const std::string& name) {
  const int fd = fs.open(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, 0);
  return fd != -EACCES ? fd : fs.open(folder, name.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0, 0);
}

}  // namespace

int sync_named(Fs& fs, int folder, const std::string& name) {
  const int fd = open_to_sync(fs, folder, name);
  if (fd == -EACCES) return sync_all_of(fs, folder, name);
  if (fd < 0) return fd;
  return fs.sync(Fd(fd).get());
}

int sync_all_of(Fs& fs, int folder, const std::string& name) {
  int fd = fs.open(folder, ".", O_RDONLY | O_DIRECTORY, 0, 0);
  if (fd == -EACCES) fd = open_to_sync(fs, folder, name);
  if (fd < 0) return fd;
  return fs.sync_all(Fd(fd).get());
}

Status sync_way(Fs& fs, Unsynced& unsynced, const Spot& spot, std::string_view path,
                std::optional<std::uint64_t> synced_whole) {
  FileKey below{};
  Fd at;
  for (std::size_t level = 0;; ++level) {
    const int fd = fs.open(at ? at.get() : spot.folder.get(), level == 0 ? "." : "..", O_PATH | O_DIRECTORY, 0, 0);
    const bool needed = level <= spot.made;
    if (fd == -EACCES && !needed) return {};
    if (fd < 0) return fail_errno(-fd, "look above the folder of", path);
    at = Fd(fd);
    FileInfo info;
    if (const int result = fs.info(fd, info); result < 0) return fail_errno(-result, "look above the folder of", path);
    if (info.key == below) return {};  // the root's parent is itself
    below = info.key;
    if (info.key.device == synced_whole) continue;
    const auto stamp = unsynced.stamp(info.key);
    if (!needed && !stamp) continue;
    if (auto synced = sync_folder(fs, fd, path); !synced) return synced;
    if (stamp) unsynced.synced(info.key, *stamp);
  }
}

Result<TargetKey> target_key(Fs& fs, int folder, const std::string& name, std::string_view path) {
  FileInfo info;
  if (const int result = fs.info(folder, info); result < 0) return fail_errno(-result, "look at the folder of", path);
  return TargetKey{info.key, name};
}

}  // namespace windlass::stage
