// io_uring behind IoQueue. The one file that knows liburing is uring_queue.cpp.
#pragma once

#include <memory>

#include "plugin/stage/io_queue.hpp"
#include "plugin/stage/result.hpp"

namespace windlass::stage {

// A ring for the calling thread alone, which takes reads and writes and nothing else where the kernel can restrict it
// so. The error says why there is none (EPERM, ENOSYS, ENOMEM...).
Result<std::unique_ptr<IoQueue>> make_uring_queue();

// Makes a ring, looks for the operations needed, and reads one byte through it.
Status probe_uring();

// What such a ring answers where it is asked for something else: -EACCES where it is restricted, else 0.
int ask_ring_for_more();

}  // namespace windlass::stage
