// io_uring behind IoQueue. The one file that knows liburing is uring_queue.cpp.
#pragma once

#include <memory>

#include "plugin/stage/io_queue.hpp"
#include "plugin/stage/result.hpp"

namespace windlass::stage {

// What a kernel may say to a ring and cannot be made to: asked before each call. For tests.
class RingFaults {
 public:
  virtual ~RingFaults() = default;
  // How many of so many operations are taken now, or -errno.
  virtual int submit(unsigned count) = 0;
  // Before a call that waits and hands nothing over: 0 or -errno.
  virtual int wait() = 0;
};

// A ring for the calling thread alone, which takes reads and writes and nothing else where the kernel can restrict it
// so. The error says why there is none (EPERM, ENOSYS, ENOMEM...).
//
// Operations are never linked, so none is taken back because another failed or was short. A call that is interrupted or
// refused for the moment (EINTR, EAGAIN, EBUSY) is made again, up to a bound; beyond it, or where the kernel refuses
// for good, the queue is broken(), and plain calls do what the ring has not taken.
Result<std::unique_ptr<IoQueue>> make_uring_queue(RingFaults* faults = nullptr);

// Makes a ring, looks for the operations needed, and reads one byte through it.
Status probe_uring();

// What such a ring answers where it is asked for something else: -EACCES where it is restricted, else 0.
int ask_ring_for_more();

}  // namespace windlass::stage
