#include "worker/requests/answers.hpp"

#include <algorithm>
#include <cstring>

#include "proto/keyed_hash.hpp"

namespace windlass::worker {
namespace {

constexpr std::size_t kPackMax = 4096;   // bytes of an answer; larger ones stay as they are
constexpr std::size_t kRoomSpare = 512;  // and four times what is wanted: more is not kept for the next
constexpr std::size_t kFirstRoom = 64;

std::uint32_t hash_of(const proto::RequestId& id) {
  return static_cast<std::uint32_t>(proto::KeyedHash{}(id) >> 32U);
}

std::size_t packed_bytes(const Frames& frames) {
  return frames.size() * sizeof(std::uint32_t) + bytes_of(frames);
}

}  // namespace

std::size_t Answers::place_of(const proto::RequestId& id, std::uint32_t hash) const {
  const std::size_t mask = table_.size() - 1;
  std::size_t place = hash & mask;
  while (table_[place].at != kNone && (table_[place].hash != hash || ring_[table_[place].at].id != id)) {
    place = (place + 1) & mask;
  }
  return place;
}

bool Answers::put(const proto::RequestId& id, const Kept& kept, Time now) {
  if (size_ == ring_.size()) grow();
  const std::uint32_t hash = hash_of(id);
  const std::size_t place = place_of(id, hash);
  if (table_[place].at != kNone) return false;
  const std::size_t at = (first_ + size_) & (ring_.size() - 1);
  Record& record = ring_[at];
  record.id = id;
  record.hash = hash;
  record.code = kept.answer.code;
  record.type = kept.answer.type;
  record.at = now;
  record.bytes = bytes_of(kept.answer.frames);
  record.payload = kept.payload;
  if (packed_bytes(kept.answer.frames) <= kPackMax) {
    pack(kept.answer.frames, record);
  } else {
    record.packed = std::string();
    record.packed_count = 0;
    record.frames = kept.answer.frames;
  }
  table_[place] = {hash, static_cast<std::uint32_t>(at)};
  bytes_ += record.bytes;
  ++size_;
  return true;
}

std::optional<Answers::Kept> Answers::find(const proto::RequestId& id) const {
  if (size_ == 0) return std::nullopt;
  const Place& place = table_[place_of(id, hash_of(id))];
  if (place.at == kNone) return std::nullopt;
  const Record& record = ring_[place.at];
  return Kept{{record.type, record.code, unpacked(record)}, record.payload};
}

void Answers::forget_oldest() {
  Record& record = ring_[first_];
  close_gap(place_of(record.id, record.hash));
  bytes_ -= record.bytes;
  record.frames = Frames();
  first_ = (first_ + 1) & (ring_.size() - 1);
  --size_;
}

void Answers::close_gap(std::size_t gap) {
  const std::size_t mask = table_.size() - 1;
  for (std::size_t next = (gap + 1) & mask; table_[next].at != kNone; next = (next + 1) & mask) {
    // It may move where its way from home to `next` leads over the gap.
    const std::size_t home = table_[next].hash & mask;
    if (((next - home) & mask) < ((next - gap) & mask)) continue;
    table_[gap] = table_[next];
    gap = next;
  }
  table_[gap] = {};
}

void Answers::grow() {
  std::vector<Record> ring(std::max(kFirstRoom, 2 * ring_.size()));
  for (std::size_t i = 0; i < size_; ++i) ring[i] = std::move(ring_[(first_ + i) & (ring_.size() - 1)]);
  ring_ = std::move(ring);
  first_ = 0;
  table_.assign(2 * ring_.size(), {});
  for (std::size_t i = 0; i < size_; ++i) {
    table_[place_of(ring_[i].id, ring_[i].hash)] = {ring_[i].hash, static_cast<std::uint32_t>(i)};
  }
}

void Answers::pack(const Frames& frames, Record& record) {
  const std::size_t bytes = packed_bytes(frames);
  std::string& packed = record.packed;
  if (packed.capacity() < bytes || packed.capacity() > 4 * bytes + kRoomSpare) {
    packed = std::string();
    packed.reserve(bytes);
  }
  packed.clear();
  for (const Frame& frame : frames) {
    const auto size = static_cast<std::uint32_t>(frame.size());
    packed.append(reinterpret_cast<const char*>(&size), sizeof size);
  }
  for (const Frame& frame : frames) packed.append(frame.view());
  record.packed_count = static_cast<std::uint32_t>(frames.size());
}

Frames Answers::unpacked(const Record& record) {
  if (record.packed_count == 0) return record.frames;
  const auto memory = std::make_shared<const std::string>(record.packed);
  Frames frames;
  std::size_t at = record.packed_count * sizeof(std::uint32_t);
  for (std::size_t i = 0; i < record.packed_count; ++i) {
    std::uint32_t size = 0;
    std::memcpy(&size, memory->data() + i * sizeof size, sizeof size);
    frames.emplace_back(memory, std::string_view(*memory).substr(at, size));
    at += size;
  }
  return frames;
}

}  // namespace windlass::worker
