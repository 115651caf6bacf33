// io_uring behind IoQueue. The one file that knows liburing is uring_queue.cpp.
#pragma once

#include <memory>

#include "plugin/stage/io_queue.hpp"
#include "plugin/stage/result.hpp"

namespace windlass::stage {

// A ring for the calling thread alone. The error says why there is none (EPERM, ENOSYS, ENOMEM...).
Result<std::unique_ptr<IoQueue>> make_uring_queue();

// Makes a ring, looks for the operations needed, and reads one byte through it.
Status probe_uring();

}  // namespace windlass::stage
