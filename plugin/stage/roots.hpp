// What paths mean: with roots, only what lies beneath one of them, whatever links say; without, what the kernel says.
//
// Roots are opened once. Afterwards paths are resolved beneath those descriptors by openat2, so neither `..`, nor
// absolute links, nor links into another root, nor a folder swapped meanwhile leads out. What lies outside is refused
// in the same words whether it exists or not. Thread-safe after open().
#pragma once

#include <string>
#include <vector>

#include "plugin/stage/fd.hpp"
#include "plugin/stage/fs.hpp"
#include "plugin/stage/place.hpp"
#include "plugin/stage/result.hpp"
#include "plugin/stage/unsynced.hpp"

namespace windlass::stage {

// A name in an opened folder, and what had to be made on the way there.
struct Spot {
  Fd folder;
  std::string name;
  std::size_t made = 0;  // so many folders, from it upwards, were made on the way
};

class Roots {
 public:
  explicit Roots(Fs& fs) : fs_(fs) {}

  // INVALID_ARGUMENT for a relative path; the errno's code where one cannot be opened.
  Status open(const std::vector<std::string>& paths);

  // Their descriptors.
  [[nodiscard]] std::vector<int> folders() const;

  // Whether it is one of the roots or lies in one.
  [[nodiscard]] bool hold(const Place& place) const;

  // Its path, with the real spelling of the root it lies in. Nothing is looked at.
  [[nodiscard]] std::string real_path(const Place& place) const;

  // Whether its path may be asked for at all; links on the way are looked at when it is opened.
  Status allow(const Place& place) const;

  // Opens what the place names. `flags` as for open(2); the last component may be a link (followed unless O_NOFOLLOW).
  Result<Fd> open_place(const Place& place, int flags) const;

  // The folder that holds the place's last component. With `make`, missing folders are made (0777 less umask).
  Result<Spot> open_parent(const Place& place, bool make) const;

  // The deepest folder on the way to the place's last component that is there already.
  Result<Fd> open_nearest(const Place& place) const;

  // What was made here and by whoever else tells it.
  [[nodiscard]] Unsynced& unsynced() const { return unsynced_; }

 private:
  struct Root {
    std::vector<std::string> configured;
    std::vector<std::string> real;
    Fd folder;
  };
  struct Start {  // where a path begins to be resolved: `skip` of its parts are behind
    int folder;
    std::size_t skip;
  };

  Result<Start> start_of(const Place& place) const;
  int open_parts(const Start& start, const Place& place, std::size_t count, int flags) const;
  Error refusal(int number, const Place& place, std::string_view what) const;
  Status make_folders(Spot& spot, Fd above, const Place& place, std::size_t from, std::size_t to) const;

  Fs& fs_;
  std::vector<Root> roots_;
  mutable Unsynced unsynced_;
};

}  // namespace windlass::stage
