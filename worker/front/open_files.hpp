// How the limit of open files is shared, so that no part of the daemon takes what another needs: some are kept for the
// files that it reads and writes, the rest is for connections. Where tcp has keys, its listener, whose sockets are
// ZeroMQ's and so cannot wait for a descriptor, has a part of its own; else all are the front's.
#pragma once

#include <cstddef>

namespace windlass::worker {

// Of connections.
struct OpenFiles {
  std::size_t front = 0;
  std::size_t keyed = 0;
};
[[nodiscard]] OpenFiles share_open_files(std::size_t limit, bool with_keys);

// Of this process, as it is now.
[[nodiscard]] std::size_t open_files_limit();

}  // namespace windlass::worker
