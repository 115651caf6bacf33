#include <fcntl.h>

#include "plugin/stage/run.hpp"

namespace windlass::stage {
namespace {

constexpr std::size_t kSweepDepthMax = 1001;  // as deep as trees are staged, and the top

void remove_temporary(const Shared& shared, int folder, const std::string& name) {
  FileInfo info;
  if (shared.fs.info(folder, name.c_str(), info) != 0) return;
  if (info.type == FileType::folder)
    remove_tree(shared.fs, folder, name);
  else
    shared.fs.remove(folder, name.c_str(), false);
}

struct Level {
  Fd folder;
  std::vector<Entry> entries;
};

void sweep_tree(const Shared& shared, Fd top, const std::string& prefix) {
  std::vector<Level> stack;
  const auto enter = [&](Fd folder) {
    Level level{std::move(folder), {}};
    if (shared.fs.list(level.folder.get(), level.entries) != 0) return;
    for (const Entry& entry : level.entries)
      if (entry.name.starts_with(prefix)) remove_temporary(shared, level.folder.get(), entry.name);
    stack.push_back(std::move(level));
  };
  enter(std::move(top));
  while (!stack.empty()) {
    Level& level = stack.back();
    if (level.entries.empty()) {
      stack.pop_back();
      continue;
    }
    const Entry entry = std::move(level.entries.back());
    level.entries.pop_back();
    if ((entry.type_known && entry.type != FileType::folder) || stack.size() > kSweepDepthMax) continue;
    const int fd = shared.fs.open(level.folder.get(), entry.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, 0);
    if (fd >= 0) enter(Fd(fd));
  }
}

}  // namespace

void sweep(const Shared& shared, const JournalEntry& entry) {
  // only ever a name of a temporary, whatever the journal says
  if (!entry.temporary.starts_with(kTemporaryPrefix) || entry.temporary.find('/') != std::string::npos) return;
  const auto place = parse_place(entry.target);
  if (!place || place->parts.empty()) return;
  if (entry.temporary.ends_with('.')) {
    if (auto top = shared.roots.open_place(*place, O_RDONLY | O_DIRECTORY); top)
      sweep_tree(shared, std::move(*top), entry.temporary);
  } else if (const auto spot = shared.roots.open_parent(*place, false); spot) {
    remove_temporary(shared, spot->folder.get(), entry.temporary);
  }
}

}  // namespace windlass::stage
