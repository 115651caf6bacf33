#include "plugin/stage/uring_queue.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <thread>

#include "plugin/stage/fd.hpp"

namespace windlass::stage {
namespace {

class UringQueue final : public IoQueue {
 public:
  explicit UringQueue(RingFaults* faults = nullptr) : faults_(faults) {}
  UringQueue(const UringQueue&) = delete;
  UringQueue& operator=(const UringQueue&) = delete;
  ~UringQueue() override {
    if (open_) io_uring_queue_exit(&ring_);
  }

  int open() {
    int result = -EINVAL;
    for (const unsigned flags : kSetups) {  // an older kernel takes less, and serves as well
      struct io_uring_params params = {};
      params.flags = flags;
      result = io_uring_queue_init_params(kIoInFlightMax, &ring_, &params);
      disabled_ = result == 0 && (flags & IORING_SETUP_R_DISABLED) != 0;
      if (result != -EINVAL) break;
    }
    open_ = result == 0;
    return result;
  }

  int do_nothing() {
    enable();
    io_uring_prep_nop(io_uring_get_sqe(&ring_));
    struct io_uring_cqe* entry = nullptr;
    if (const int result = io_uring_submit_and_wait(&ring_, 1); result < 0) return result;
    if (const int result = io_uring_peek_cqe(&ring_, &entry); result < 0) return result;
    return entry->res;
  }

  // So much of it as RLIMIT_MEMLOCK leaves: halves until it fits.
  std::size_t pin(char* data, std::size_t bytes) override {
    for (std::size_t taken = bytes; taken >= kPinBytesMin; taken /= 2) {
      const struct iovec memory {
        data, taken
      };
      const int result = io_uring_register_buffers(&ring_, &memory, 1);
      if (result == 0) {
        pinned_ = data;
        pinned_bytes_ = taken;
        return taken;
      }
      if (result != -ENOMEM) return 0;
    }
    return 0;
  }

  [[nodiscard]] bool has_operations() {
    struct io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
    if (probe == nullptr) return false;
    const bool all =
        io_uring_opcode_supported(probe, IORING_OP_READ) != 0 && io_uring_opcode_supported(probe, IORING_OP_WRITE) != 0;
    io_uring_free_probe(probe);
    return all;
  }

  // Through the page cache the ring would hand writes to a thread of the kernel, at several times the cost.
  void push(const IoOp& op) override {
    assert(unsent_ + sent_ + ready_count_ < kIoInFlightMax);
    if (op.direct && disabled_) enable();
    struct io_uring_sqe* entry = !op.direct || broken_ ? nullptr : io_uring_get_sqe(&ring_);
    if (entry == nullptr) {
      ready_[ready_count_++] = {op.tag, do_plain(op)};
      return;
    }
    prepare(*entry, op);
    io_uring_sqe_set_data64(entry, op.tag);
    unsent_ops_[unsent_++] = op;
  }

  IoDone wait() override {
    for (bool takes = unsent_ == 0;;) {
      if (ready_count_ > 0) return ready_[--ready_count_];
      struct io_uring_cqe* entry = nullptr;
      if (takes && io_uring_peek_cqe(&ring_, &entry) == 0) return take(entry);
      assert(unsent_ + sent_ > 0);
      if (unsent_ > 0 && !takes)
        takes = send();
      else
        wait_for_one();
    }
  }

  [[nodiscard]] bool overlaps() const override { return true; }
  [[nodiscard]] bool broken() const override { return broken_; }
  [[nodiscard]] bool holds_memory() const override { return holds_memory_; }

 private:
  static constexpr std::array<unsigned, 3> kSetups{
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED, IORING_SETUP_R_DISABLED, 0};
  static constexpr std::size_t kPinBytesMin = 64 * 1024;
  static constexpr unsigned kRefusalsMax = 100;  // in a row
  static constexpr unsigned kSilenceMax = 2000;  // looks at a ring that may not be waited for any more
  static constexpr std::chrono::milliseconds kPause{1};

  // Whatever a fault writes into the ring from now on, it reads and writes open files and does nothing else.
  void enable() {
    disabled_ = false;
    std::array<struct io_uring_restriction, 4> allowed{};
    constexpr std::array<unsigned, 4> kOperations{IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READ_FIXED,
                                                  IORING_OP_WRITE_FIXED};
    for (std::size_t i = 0; i < allowed.size(); ++i) {
      allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
      allowed[i].sqe_op = static_cast<std::uint8_t>(kOperations[i]);
    }
    tell_kernel(IORING_REGISTER_RESTRICTIONS, allowed.data(), allowed.size());  // where it has them
    broken_ = tell_kernel(IORING_REGISTER_ENABLE_RINGS, nullptr, 0) < 0;
  }

  // liburing 2.3 does not export its own calls for these two.
  long tell_kernel(unsigned what, const void* data, std::size_t count) const {
    return ::syscall(SYS_io_uring_register, ring_.ring_fd, what, data, count);
  }

  void prepare(struct io_uring_sqe& entry, const IoOp& op) const {
    const bool fixed = op.data >= pinned_ && op.data + op.bytes <= pinned_ + pinned_bytes_;
    if (op.kind == IoOp::Kind::read && fixed)
      io_uring_prep_read_fixed(&entry, op.fd, op.data, op.bytes, op.offset, 0);
    else if (op.kind == IoOp::Kind::read)
      io_uring_prep_read(&entry, op.fd, op.data, op.bytes, op.offset);
    else if (fixed)
      io_uring_prep_write_fixed(&entry, op.fd, op.data, op.bytes, op.offset, 0);
    else
      io_uring_prep_write(&entry, op.fd, op.data, op.bytes, op.offset);
  }

  IoDone take(struct io_uring_cqe* entry) {
    const IoDone done{static_cast<std::uint32_t>(io_uring_cqe_get_data64(entry)), entry->res};
    io_uring_cqe_seen(&ring_, entry);
    *std::find(sent_tags_.begin(), sent_tags_.begin() + sent_, done.tag) = sent_tags_[sent_ - 1];
    --sent_;
    silence_ = 0;
    return done;
  }

  // Hands over what was pushed and waits for one completion. Whether completions come before more is handed over: all
  // is with the kernel, or it has no room for more.
  bool send() {
    const int result = submit();
    if (result > 0) {
      refusals_ = 0;
      forget(static_cast<unsigned>(result));
      return unsent_ == 0;
    }
    const bool may_pass = result == 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY;
    if (!may_pass || ++refusals_ > kRefusalsMax) {
      lose();
      return true;
    }
    if (sent_ == 0 && result != -EINTR) std::this_thread::sleep_for(kPause);
    return sent_ > 0 && result != -EINTR;
  }

  int submit() {
    const int taken = faults_ == nullptr ? static_cast<int>(unsent_) : faults_->submit(unsent_);
    if (taken <= 0) return taken;
    const unsigned held = unsent_ - static_cast<unsigned>(taken);
    ring_.sq.sqe_tail -= held;
    const int result = io_uring_submit_and_wait(&ring_, 1);
    ring_.sq.sqe_tail += held;
    return result;
  }

  // Nothing more is handed over. What the ring has is still waited for; what it has not taken is done here.
  void lose() {
    broken_ = true;
    for (unsigned i = 0; i < unsent_; ++i) ready_[ready_count_++] = {unsent_ops_[i].tag, do_plain(unsent_ops_[i])};
    unsent_ = 0;
  }

  // However long it takes, unless the kernel refuses even that: completions may come all the same, but not for ever.
  void wait_for_one() {
    struct io_uring_cqe* entry = nullptr;
    int result = faults_ == nullptr ? 0 : faults_->wait();
    if (result == 0) result = io_uring_wait_cqe(&ring_, &entry);
    if (result == 0 || result == -EINTR) return;
    lose();
    if (++silence_ <= kSilenceMax) return std::this_thread::sleep_for(kPause);
    holds_memory_ = true;
    for (; sent_ > 0; --sent_) ready_[ready_count_++] = {sent_tags_[sent_ - 1], -ENOTRECOVERABLE};
  }

  void forget(unsigned count) {
    count = std::min(count, unsent_);
    for (unsigned i = 0; i < count; ++i) sent_tags_[sent_++] = unsent_ops_[i].tag;
    std::copy(unsent_ops_.begin() + count, unsent_ops_.begin() + unsent_, unsent_ops_.begin());
    unsent_ -= count;
  }

  RingFaults* const faults_;
  struct io_uring ring_ = {};
  bool open_ = false;
  bool disabled_ = false;  // takes operations once enabled
  bool broken_ = false;
  char* pinned_ = nullptr;
  std::size_t pinned_bytes_ = 0;
  bool holds_memory_ = false;
  unsigned refusals_ = 0;
  unsigned silence_ = 0;
  unsigned unsent_ = 0;
  unsigned sent_ = 0;
  unsigned ready_count_ = 0;
  std::array<IoOp, kIoInFlightMax> unsent_ops_{};
  std::array<std::uint32_t, kIoInFlightMax> sent_tags_{};
  std::array<IoDone, kIoInFlightMax> ready_{};
};

}  // namespace

Result<std::unique_ptr<IoQueue>> make_uring_queue(RingFaults* faults) {
  auto queue = std::make_unique<UringQueue>(faults);
  if (const int result = queue->open(); result < 0) return fail_errno(-result, "set up", "io_uring");
  return queue;
}

int ask_ring_for_more() {
  UringQueue queue;
  const int result = queue.open();
  return result < 0 ? result : queue.do_nothing();
}

Status probe_uring() {
  UringQueue queue;
  if (const int result = queue.open(); result < 0) return fail_errno(-result, "set up", "io_uring");
  if (!queue.has_operations()) return fail_errno(ENOSYS, "read and write by", "io_uring");
  const Fd file(::memfd_create("windlass-probe", MFD_CLOEXEC));
  if (!file || ::pwrite(file.get(), "w", 1, 0) != 1) return fail_errno(errno, "make a file to probe", "io_uring");
  char byte = 0;
  queue.push({IoOp::Kind::read, file.get(), &byte, 1, 0, 7, true});
  const IoDone done = queue.wait();
  if (done.result != 1 || done.tag != 7 || byte != 'w')
    return fail_errno(done.result < 0 ? static_cast<int>(-done.result) : EIO, "read by", "io_uring");
  return {};
}

}  // namespace windlass::stage
