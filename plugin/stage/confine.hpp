// Takes from the calling thread, for good, what lies outside of the given folders: Landlock beneath the checks of
// roots.hpp, so that a fault in those leads nowhere either. Other threads keep their rights, and so do descriptors that
// were opened before.
#pragma once

#include <vector>

namespace windlass::stage {

struct Grounds {
  std::vector<int> folders;  // descriptors of folders beneath which files are read and written; O_PATH will do
};

// 0, or -errno: -ENOSYS or -EOPNOTSUPP where the kernel has no Landlock, or it is switched off. The thread can gain no
// rights by exec afterwards, also where it fails.
int confine_thread(const Grounds& grounds);

}  // namespace windlass::stage
