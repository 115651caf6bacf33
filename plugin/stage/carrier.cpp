#include "plugin/stage/carrier.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

namespace windlass::stage {
namespace {

constexpr int kTriesWithoutProgress = 100;

tl::unexpected<Error> fail_at(const Side& side, std::int64_t result) {
  return fail_errno(static_cast<int>(-result), side.kind == IoOp::Kind::read ? "read" : "write", side.path);
}

}  // namespace

void Carrier::push(const Side& side, Chunk& chunk) {
  chunk.direct = side.direct;
  const std::uint64_t end = side.direct ? aligned_up(chunk.want, side.alignment) : chunk.want;
  ++in_flight_;
  io_.push({side.kind, side.fd, chunk.data + chunk.have, static_cast<std::uint32_t>(end - chunk.have),
            side.first + chunk.at + chunk.have, chunk.tag, side.direct});
}

Result<bool> Carrier::take(Side& side, Chunk& chunk, const IoDone& done) {
  --in_flight_;
  if (done.result < 0)
    if (auto passed = passes(side, chunk, done.result); !passed) return fail(std::move(passed.error()));
  if (done.result > 0) advance(side, chunk, static_cast<std::uint64_t>(done.result));
  if (done.result == 0 && side.kind == IoOp::Kind::read)
    return fail(Code::failed_precondition,
                quoted(side.path) + " ended early: it changes while it is read; stage it when it is still");
  if (chunk.have >= chunk.want) return true;
  if (++chunk.idle > kTriesWithoutProgress) return fail_at(side, chunk.told != 0 ? chunk.told : -EIO);
  if (chunk.told != 0)
    if (auto rested = pace_.rest(chunk.idle); !rested) return fail(std::move(rested.error()));
  push(side, chunk);
  return false;
}

// An error completion, where the operation shall simply be done again.
Status Carrier::passes(Side& side, Chunk& chunk, std::int64_t result) {
  if (result == -EINTR || result == -EAGAIN || result == -ECANCELED) {
    chunk.told = result == -ECANCELED ? -EAGAIN : result;  // nobody here takes operations back
    return {};
  }
  if (chunk.direct && (result == -EINVAL || result == -EOPNOTSUPP)) {
    side.direct = false;
    pace_.plain_instead();
    if (fs_.set_flags(side.fd, side.kind == IoOp::Kind::read ? O_RDONLY : O_WRONLY) == 0) return {};
  }
  return fail_at(side, result);
}

void Carrier::advance(const Side& side, Chunk& chunk, std::uint64_t bytes) {
  const std::uint32_t before = chunk.have;
  chunk.have = static_cast<std::uint32_t>(std::min<std::uint64_t>(chunk.want, chunk.have + bytes));
  // direct I/O goes on from a boundary only
  if (chunk.have < chunk.want && side.direct) chunk.have -= chunk.have % side.alignment;
  if (chunk.have == before) return;
  chunk.idle = 0;
  chunk.told = 0;
}

}  // namespace windlass::stage
