#include "worker/front/open_files.hpp"

#include <sys/resource.h>

#include <algorithm>

#include "worker/core/limits.hpp"
#include "worker/front/front_limits.hpp"

namespace windlass::worker {

// A small limit is shared half and half.
OpenFiles share_open_files(std::size_t limit, bool with_keys) {
  const std::size_t all = limit > 2 * kDescriptorsKept ? limit - kDescriptorsKept : limit / 2;
  const std::size_t keyed = with_keys ? std::min(kKeyedConnectionsMax, all / 2) : 0;
  return {all - keyed, keyed};
}

std::size_t open_files_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, 1U << 24U));
}

}  // namespace windlass::worker
