#include "plugin/stage/mounts.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace windlass::stage {
namespace {

constexpr std::uint64_t kNoMount = UINT64_MAX;  // in place of an id

std::string read_whole(int fd) {
  std::string text;
  char part[16'384];
  ::lseek(fd, 0, SEEK_SET);
  for (;;) {
    const auto bytes = ::read(fd, part, sizeof part);
    if (bytes <= 0) return text;
    text.append(part, static_cast<std::size_t>(bytes));
  }
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

// Blanks, line ends and backslashes are written \ooo.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 3 < text.size();
    out +=
        escape ? static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')) : text[i];
    if (escape) i += 3;
  }
  return out;
}

bool lies_in(std::string_view path, std::string_view folder) {
  return folder == "/" || (path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/'));
}

}  // namespace

// ID PARENT MAJOR:MINOR ROOT PATH ...
std::vector<Mount> parse_mounts(std::string_view text) {
  std::vector<Mount> mounts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto id = number(take_word(line));
    take_word(line);
    const std::string_view device = take_word(line);
    take_word(line);
    const std::string_view path = take_word(line);
    const std::size_t colon = device.find(':');
    if (!id || colon == std::string_view::npos || !path.starts_with('/')) continue;
    const auto major = number(device.substr(0, colon));
    const auto minor = number(device.substr(colon + 1));
    if (major && minor)
      mounts.push_back({*id, makedev(static_cast<unsigned>(*major), static_cast<unsigned>(*minor)), unescaped(path)});
  }
  return mounts;
}

Mounts::Mounts() : list_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {
  struct stat root {};
  if (::stat("/", &root) == 0) root_ = root.st_dev;
  if (list_) read();
}

// Within a chroot that is no place of a mount the list does not tell of "/".
void Mounts::read() {
  mounts_ = parse_mounts(read_whole(list_.get()));
  if (std::ranges::none_of(mounts_, [](const Mount& mount) { return mount.path == "/"; })) {
    mounts_.push_back({kNoMount, root_, "/"});
  }
}

void Mounts::refresh() {
  const std::lock_guard lock(mutex_);
  struct pollfd changed = {list_.get(), POLLPRI, 0};
  if (list_ && ::poll(&changed, 1, 0) > 0) read();
}

// The deepest, and of those at one place the last, which hides the others.
const Mount* Mounts::mount_of(std::string_view path) const {
  const Mount* best = nullptr;
  for (const Mount& mount : mounts_)
    if (lies_in(path, mount.path) && (best == nullptr || mount.path.size() >= best->path.size())) best = &mount;
  return best;
}

Device Mounts::device_of(std::string_view path) {
  const std::lock_guard lock(mutex_);
  const Mount* mount = mount_of(path);
  return mount == nullptr ? 0 : mount->device;
}

Device Mounts::device_of(int fd) {
  constexpr std::string_view kField = "mnt_id:";
  const Fd file(::open(("/proc/self/fdinfo/" + std::to_string(fd)).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  const std::string told = read_whole(file.get());
  const std::size_t at = told.find(kField);
  if (at == std::string::npos) return 0;
  const std::size_t begin = told.find_first_not_of(" \t", at + kField.size());
  const auto id = number(std::string_view(told).substr(begin, told.find('\n', begin) - begin));
  const std::lock_guard lock(mutex_);
  const auto mount = std::find_if(mounts_.begin(), mounts_.end(), [&](const Mount& one) { return one.id == id; });
  return mount == mounts_.end() ? 0 : mount->device;
}

Device Mounts::device_beneath(int folder, const std::string& path) {
  std::string top = "/";
  if (folder != AT_FDCWD) {
    char text[4096];
    const auto bytes = ::readlink(("/proc/self/fd/" + std::to_string(folder)).c_str(), text, sizeof text);
    if (bytes <= 0 || text[0] != '/') return 0;
    top.assign(text, static_cast<std::size_t>(bytes));
  }
  const std::lock_guard lock(mutex_);
  const Mount* own = mount_of(top);
  const Mount* mount = mount_of(folder == AT_FDCWD ? path : (top == "/" ? "" : top) + "/" + path);
  if (own == nullptr || mount == nullptr) return 0;
  const auto beneath = [&](const Mount& one) { return one.path != top && lies_in(one.path, top); };
  const bool sure = mount != own || std::none_of(mounts_.begin(), mounts_.end(), beneath);
  return sure ? mount->device : 0;
}

}  // namespace windlass::stage
