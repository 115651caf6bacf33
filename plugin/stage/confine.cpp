#include "plugin/stage/confine.hpp"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "plugin/stage/fd.hpp"

namespace windlass::stage {
namespace {

// The kernel's interface (Documentation/userspace-api/landlock.rst), of which the headers here know less.
constexpr long kCreateRuleset = 444;
constexpr long kAddRule = 445;
constexpr long kRestrictSelf = 446;
constexpr std::uint32_t kVersionOnly = 1;
constexpr int kPathBeneath = 1;

constexpr std::uint64_t kWriteFile = 1U << 1U;
constexpr std::uint64_t kReadFile = 1U << 2U;
constexpr std::uint64_t kReadDir = 1U << 3U;
constexpr std::uint64_t kRemoveDir = 1U << 4U;
constexpr std::uint64_t kRemoveFile = 1U << 5U;
constexpr std::uint64_t kMakeDir = 1U << 7U;
constexpr std::uint64_t kMakeRegular = 1U << 8U;
constexpr std::uint64_t kMakeLink = 1U << 12U;
constexpr std::uint64_t kTruncate = 1U << 14U;

// All rights on files that a version knows; those of later versions stay as they are.
constexpr std::array<std::uint64_t, 5> kKnown{
    (1U << 13U) - 1,  // 1: execute ... make links
    (1U << 14U) - 1,  // 2: names move between folders
    (1U << 15U) - 1,  // 3: truncate
    (1U << 15U) - 1,  // 4
    (1U << 16U) - 1,  // 5: ioctl on devices
};
constexpr std::uint64_t kAllowed =
    kWriteFile | kReadFile | kReadDir | kRemoveDir | kRemoveFile | kMakeDir | kMakeRegular | kMakeLink | kTruncate;

struct Ruleset {
  std::uint64_t handled;
};
struct __attribute__((packed)) Beneath {
  std::uint64_t allowed;
  std::int32_t folder;
};

}  // namespace

int confine_thread(const Grounds& grounds) {
  const long version = ::syscall(kCreateRuleset, nullptr, 0, kVersionOnly);
  if (version < 1) return version < 0 ? -errno : -ENOSYS;
  const auto known =
      static_cast<std::size_t>(version) > kKnown.size() ? kKnown.size() : static_cast<std::size_t>(version);
  const Ruleset ruleset{kKnown[known - 1]};
  const Fd rules(static_cast<int>(::syscall(kCreateRuleset, &ruleset, sizeof ruleset, 0)));
  if (!rules) return -errno;
  for (const int folder : grounds.folders) {
    const Beneath beneath{kAllowed & ruleset.handled, folder};
    if (::syscall(kAddRule, rules.get(), kPathBeneath, &beneath, 0) != 0) return -errno;
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  return ::syscall(kRestrictSelf, rules.get(), 0) == 0 ? 0 : -errno;
}

}  // namespace windlass::stage
