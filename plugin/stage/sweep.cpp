#include <fcntl.h>

#include "plugin/stage/run.hpp"

namespace windlass::stage {
namespace {

constexpr std::size_t kSweepDepthMax = 1001;  // as deep as trees are staged, and the top

void remove_dead_in(const Shared& shared, int folder, std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    if (!shared.names.is_dead_one_of_ours(entry.name)) continue;
    FileInfo info;
    if (shared.fs.info(folder, entry.name.c_str(), info) != 0) continue;
    if (info.type == FileType::folder)
      remove_tree(shared.fs, folder, entry.name);
    else
      shared.fs.remove(folder, entry.name.c_str(), false);
  }
}

struct Level {
  Fd folder;
  std::vector<Entry> entries;
};

void sweep_tree(const Shared& shared, Fd top) {
  std::vector<Level> stack;
  const auto enter = [&](Fd folder) {
    Level level{std::move(folder), {}};
    if (shared.fs.list(level.folder.get(), level.entries) != 0) return;
    remove_dead_in(shared, level.folder.get(), level.entries);
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
  const auto place = parse_place(entry.target);
  if (!place || place->parts.empty()) return;
  const auto spot = shared.roots.open_parent(*place, false);
  if (spot && !entry.temporary.empty()) {
    // only ever a name of ours, whatever the journal says
    if (shared.names.is_dead_one_of_ours(entry.temporary)) {
      FileInfo info;
      if (shared.fs.info(spot->folder.get(), entry.temporary.c_str(), info) != 0) return;
      if (info.type == FileType::folder)
        remove_tree(shared.fs, spot->folder.get(), entry.temporary);
      else
        shared.fs.remove(spot->folder.get(), entry.temporary.c_str(), false);
    }
    return;
  }
  if (auto top = shared.roots.open_place(*place, O_RDONLY | O_DIRECTORY); top) sweep_tree(shared, std::move(*top));
}

}  // namespace windlass::stage
