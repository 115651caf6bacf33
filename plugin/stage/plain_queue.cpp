#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>

#include "plugin/stage/io_queue.hpp"

namespace windlass::stage {

std::int64_t do_plain(const IoOp& op) {
  const ssize_t result = op.kind == IoOp::Kind::read
                             ? ::pread(op.fd, op.data, op.bytes, static_cast<off_t>(op.offset))
                             : ::pwrite(op.fd, op.data, op.bytes, static_cast<off_t>(op.offset));
  return result < 0 ? -errno : result;
}

namespace {

class PlainQueue final : public IoQueue {
 public:
  void push(const IoOp& op) override {
    assert(count_ < kIoInFlightMax);
    done_[(first_ + count_++) % kIoInFlightMax] = {op.tag, do_plain(op)};
  }

  IoDone wait() override {
    assert(count_ > 0);
    const IoDone done = done_[first_];
    first_ = (first_ + 1) % kIoInFlightMax;
    --count_;
    return done;
  }

  [[nodiscard]] bool overlaps() const override { return false; }

 private:
  std::array<IoDone, kIoInFlightMax> done_{};
  unsigned first_ = 0;
  unsigned count_ = 0;
};

}  // namespace

std::unique_ptr<IoQueue> make_plain_queue() {
  return std::make_unique<PlainQueue>();
}

}  // namespace windlass::stage
