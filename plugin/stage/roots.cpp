#include "plugin/stage/roots.hpp"

#include <fcntl.h>
#include <linux/openat2.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <cstdlib>

namespace windlass::stage {
namespace {

constexpr int kFolderFlags = O_PATH | O_DIRECTORY;
constexpr std::uint64_t kBeneath = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;

Error outside(const Place& place) {
  Error error;
  error.code = Code::permission_denied;
  error.message =
      quoted(place.given) +
      " does not lie beneath the folders that may be touched, or a link on the way leads out of them; stage " +
      "to and from paths beneath stage.roots, without '..'";
  return error;
}

bool begins_with(const std::vector<std::string>& parts, const std::vector<std::string>& prefix) {
  return parts.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), parts.begin());
}

std::vector<std::string> real_parts(const std::string& path) {
  char real[PATH_MAX];
  if (::realpath(path.c_str(), real) == nullptr) return {};
  auto place = parse_place(real);
  return place ? place->parts : std::vector<std::string>{};
}

}  // namespace

Status Roots::open(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    auto place = path.starts_with('/') ? parse_place(path) : fail(Code::invalid_argument, "");
    if (!place) return fail(Code::invalid_argument, "the root " + quoted(path) + " is no absolute path; give one");
    const int fd = fs_.open(AT_FDCWD, place->path().c_str(), kFolderFlags, 0, 0);
    if (fd < 0) return fail_errno(-fd, "open the root", path);
    Fd folder(fd);
    const int tried = fs_.open(folder.get(), ".", kFolderFlags, 0, kBeneath);
    if (tried < 0)
      return fail(Code::failed_precondition, "roots cannot be guarded here: openat2 is refused (" +
                                                 errno_error(-tried, "open", path).message + ")");
    Fd probe(tried);
    roots_.push_back({place->parts, real_parts(place->path()), std::move(folder)});
  }
  return {};
}

Result<Roots::Start> Roots::start_of(const Place& place) const {
  if (roots_.empty()) return Start{AT_FDCWD, 0};
  const Root* best = nullptr;
  std::size_t skip = 0;
  for (const Root& root : roots_) {
    for (const auto* spelling : {&root.configured, &root.real}) {
      if (!begins_with(place.parts, *spelling) || (best != nullptr && spelling->size() <= skip)) continue;
      best = &root;
      skip = spelling->size();
    }
  }
  if (best == nullptr || place.climbs()) return fail(outside(place));
  return Start{best->folder.get(), skip};
}

int Roots::open_parts(const Start& start, const Place& place, std::size_t count, int flags) const {
  assert(count >= start.skip);
  if (roots_.empty()) return fs_.open(AT_FDCWD, place.path(count).c_str(), flags, 0, 0);
  std::string path;
  for (std::size_t i = start.skip; i < count; ++i) path += (path.empty() ? "" : "/") + place.parts[i];
  return fs_.open(start.folder, path.empty() ? "." : path.c_str(), flags, 0, kBeneath);
}

Error Roots::refusal(int number, const Place& place, std::string_view what) const {
  if (!roots_.empty() && number == EXDEV) return outside(place);
  return errno_error(number, what, place.given);
}

std::vector<int> Roots::folders() const {
  std::vector<int> folders;
  for (const Root& root : roots_) folders.push_back(root.folder.get());
  return folders;
}

bool Roots::hold(const Place& place) const {
  const std::vector<std::string> real = real_parts(place.path());
  return std::any_of(roots_.begin(), roots_.end(), [&](const Root& root) {
    return begins_with(place.parts, root.configured) || begins_with(place.parts, root.real) ||
           begins_with(real, root.real);
  });
}

std::string Roots::real_path(const Place& place) const {
  const Root* best = nullptr;
  for (const Root& root : roots_)
    if (begins_with(place.parts, root.configured) && !root.real.empty() &&
        (best == nullptr || root.configured.size() > best->configured.size()))
      best = &root;
  if (best == nullptr) return place.path();
  Place real;
  real.parts = best->real;
  real.parts.insert(real.parts.end(), place.parts.begin() + static_cast<std::ptrdiff_t>(best->configured.size()),
                    place.parts.end());
  return real.path();
}

Status Roots::allow(const Place& place) const {
  if (auto start = start_of(place); !start) return fail(start.error());
  return {};
}

Result<Fd> Roots::open_place(const Place& place, int flags) const {
  auto start = start_of(place);
  if (!start) return fail(start.error());
  if (place.folder) flags |= O_DIRECTORY;
  const int fd = open_parts(*start, place, place.parts.size(), flags);
  if (fd < 0) return fail(refusal(-fd, place, "open"));
  return Fd(fd);
}

Result<Spot> Roots::open_parent(const Place& place, bool make) const {
  auto start = start_of(place);
  if (!start) return fail(start.error());
  if (place.parts.size() <= start->skip)
    return fail(Code::invalid_argument, quoted(place.given) + " is a root itself; name what lies beneath it");
  Spot spot;
  spot.name = place.parts.back();
  const std::size_t last = place.parts.size() - 1;
  int fd = open_parts(*start, place, last, kFolderFlags);
  if (fd >= 0) {
    spot.folder = Fd(fd);
    return spot;
  }
  std::size_t depth = last;
  while (make && fd == -ENOENT && depth > start->skip) fd = open_parts(*start, place, --depth, kFolderFlags);
  if (fd < 0) return fail(refusal(-fd, place, "open the folder of"));
  if (auto made = make_folders(spot, Fd(fd), place, depth, last); !made) return fail(made.error());
  return spot;
}

Status Roots::make_folders(Spot& spot, Fd above, const Place& place, std::size_t from, std::size_t to) const {
  for (std::size_t i = from; i < to; ++i) {
    const char* name = place.parts[i].c_str();
    FileInfo info;
    if (const int result = fs_.info(above.get(), info); result < 0)
      return fail_errno(-result, "look at the folder of", place.path(i + 1));
    unsynced_.name_made_in(info.key);
    const int made = fs_.make_folder(above.get(), name, 0777);
    if (made < 0 && made != -EEXIST) return fail_errno(-made, "make the folder", place.path(i + 1));
    const int fd = fs_.open(above.get(), name, kFolderFlags | O_NOFOLLOW, 0, 0);
    if (fd < 0) return fail_errno(fd == -ENOTDIR || fd == -ELOOP ? ENOENT : -fd, "open the folder", place.path(i + 1));
    above = Fd(fd);
    ++spot.made;
  }
  spot.folder = std::move(above);
  return {};
}

Result<Fd> Roots::open_nearest(const Place& place) const {
  auto start = start_of(place);
  if (!start) return fail(start.error());
  std::size_t depth = std::max(place.parts.size(), start->skip + 1) - 1;
  int fd = open_parts(*start, place, depth, kFolderFlags);
  while (fd == -ENOENT && depth > start->skip) fd = open_parts(*start, place, --depth, kFolderFlags);
  if (fd < 0) return fail(refusal(-fd, place, "open the folder of"));
  return Fd(fd);
}

}  // namespace windlass::stage
