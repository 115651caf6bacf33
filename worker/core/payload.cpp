#include "worker/core/payload.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

namespace windlass::worker {
namespace {

constexpr std::size_t kWholeMax = 512;  // bytes that are summed in one call, without a state
constexpr std::size_t kFewMax = 2048;   // the same of several frames, with their sizes

// The type and each frame's size go in too, so that bytes can't wander from one frame to the next.
struct Prefix {
  std::uint64_t type = 0;
  std::uint64_t frames = 0;
};

Payload made_of(XXH128_hash_t hash) {
  return {hash.low64, hash.high64};
}

Payload sum_of_one(proto::Type type, std::string_view body) {
  char bytes[sizeof(Prefix) + kWholeMax];
  const Prefix prefix{static_cast<std::uint64_t>(type), 1};
  std::copy_n(reinterpret_cast<const char*>(&prefix), sizeof prefix, bytes);
  std::copy(body.begin(), body.end(), bytes + sizeof prefix);
  return made_of(XXH3_128bits(bytes, sizeof prefix + body.size()));
}

// The same of several frames, with the size of each.
Payload sum_of_few(proto::Type type, const Frames& frames) {
  char bytes[sizeof(Prefix) + kFewMax];
  const Prefix prefix{static_cast<std::uint64_t>(type), frames.size()};
  char* to = bytes;
  const auto put = [&to](const void* from, std::size_t size) {
    if (size > 0) std::memcpy(to, from, size);
    to += size;
  };
  put(&prefix, sizeof prefix);
  for (const Frame& frame : frames) {
    const std::uint64_t size = frame.size();
    put(&size, sizeof size);
    put(frame.view().data(), frame.size());
  }
  return made_of(XXH3_128bits(bytes, static_cast<std::size_t>(to - bytes)));
}

Payload sum_of_many(proto::Type type, const Frames& frames) {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  const std::unique_ptr<XXH3_state_t, Free> state(XXH3_createState());
  if (!state) throw std::bad_alloc();
  XXH3_128bits_reset(state.get());
  const Prefix prefix{static_cast<std::uint64_t>(type), frames.size()};
  XXH3_128bits_update(state.get(), &prefix, sizeof prefix);
  for (const Frame& frame : frames) {
    const std::uint64_t size = frame.size();
    XXH3_128bits_update(state.get(), &size, sizeof size);
    XXH3_128bits_update(state.get(), frame.view().data(), frame.size());
  }
  return made_of(XXH3_128bits_digest(state.get()));
}

Payload sum_of(proto::Type type, const Frames& frames) {
  if (frames.size() == 1 && frames[0].size() <= kWholeMax) return sum_of_one(type, frames[0].view());
  const bool is_few = frames.size() > 1 && frames.size() < kFewMax / 16 &&
                      bytes_of(frames) + frames.size() * sizeof(std::uint64_t) <= kFewMax;
  return is_few ? sum_of_few(type, frames) : sum_of_many(type, frames);
}

}  // namespace

Payload payload_of(proto::Type type, const Frames& frames) {
  if (type == proto::Type::stage) {
    if (const auto stage = proto::decode<proto::Stage>(frames.at(0).view())) return payload_of(*stage, frames[0]);
  }
  return sum_of(type, frames);
}

Payload payload_of(const proto::Stage& stage, const Frame& body) {
  const auto has_deadline = [](const proto::Transfer& transfer) { return transfer.deadline_ms.has_value(); };
  if (std::none_of(stage.transfers.begin(), stage.transfers.end(), has_deadline)) {
    return sum_of(proto::Type::stage, {body});
  }
  proto::Stage timeless = stage;
  for (proto::Transfer& transfer : timeless.transfers) {
    if (transfer.deadline_ms) transfer.deadline_ms = 0;
  }
  return sum_of(proto::Type::stage, {Frame(proto::encode(timeless))});
}

bool are_alike(const Frames& one, const Frames& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const Frame& a, const Frame& b) { return a.view() == b.view(); });
}

}  // namespace windlass::worker
