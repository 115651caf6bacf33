#include "worker/requests/ends_file.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "proto/keyed_hash.hpp"
#include "worker/base/log.hpp"

namespace windlass::worker {
namespace {

constexpr std::uint32_t kBegan = 0x31474542;  // "BEG1": accepted; its Payload follows
constexpr std::uint32_t kEnded = 0x31444E45;  // "END1": its result follows; nothing: accepted, by an older version

struct Head {
  std::uint32_t magic = 0;
  std::uint32_t size = 0;  // of what follows
  proto::RequestId id;
  std::uint32_t check = 0;
};
static_assert(sizeof(Head) == 28);

constexpr std::size_t kBeginBytes = sizeof(Head) + sizeof(Payload);
constexpr std::size_t kCarriedMax = kAnswersMax + kStagesMax;  // records that a file begins with

std::uint32_t check_of(const proto::RequestId& id, std::string_view content) {
  std::uint32_t hash = 2166136261U;
  const auto add = [&](std::string_view bytes) {
    for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 16777619U;
  };
  add({id.bytes.data(), id.bytes.size()});
  add(content);
  return hash;
}

Head head_of(std::uint32_t magic, const proto::RequestId& id, std::string_view content) {
  return {magic, static_cast<std::uint32_t>(content.size()), id, check_of(id, content)};
}

std::string_view bytes_of(const Payload& payload) {
  return {reinterpret_cast<const char*>(&payload), sizeof payload};
}

std::string old_of(const std::string& path) {
  return path + ".old";
}
std::string new_of(const std::string& path) {
  return path + ".new";
}

int open_file(const std::string& path, int flags) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

using Order = proto::KeyedMap<proto::RequestId, std::size_t>;

struct Read {
  std::size_t whole = 0;  // bytes
  std::size_t records = 0;
  bool torn = false;  // there is more, which is no record
};

// Reads records up to the first that is torn.
Read read_records(const std::string& path, std::vector<EndsFile::Earlier>& found, Order& order) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::size_t at = 0;
  std::size_t records = 0;
  while (bytes.size() - at >= sizeof(Head)) {
    Head head;
    std::memcpy(&head, bytes.data() + at, sizeof head);
    const bool began = head.magic == kBegan && head.size == sizeof(Payload);
    if ((!began && head.magic != kEnded) || head.size > bytes.size() - at - sizeof head) break;
    const std::string_view content(bytes.data() + at + sizeof head, head.size);
    if (head.check != check_of(head.id, content)) break;
    const auto [entry, is_new] = order.emplace(head.id, found.size());
    if (is_new) found.push_back({head.id, std::nullopt, std::nullopt});
    EndsFile::Earlier& earlier = found[entry->second];
    if (began) {
      std::memcpy(&earlier.payload.emplace(), content.data(), sizeof(Payload));
    } else if (!content.empty()) {
      earlier.result = content;
    }
    at += sizeof head + head.size;
    ++records;
  }
  return {at, records, at < bytes.size()};
}

}  // namespace

tl::expected<EndsFile, std::string> EndsFile::open(std::string path, const Limits& limits) {
  EndsFile file(std::move(path), limits);
  ::unlink(new_of(file.path_).c_str());  // of a process that died over it: PATH or PATH.old has what it has
  Order order;
  Read read;
  for (const std::string& name : {old_of(file.path_), file.path_}) {
    read = read_records(name, file.earlier_, order);
    if (read.torn) file.put_aside(name, read.whole);
  }
  for (const Earlier& earlier : file.earlier_) file.no_longer_runs({earlier.id, earlier.payload});
  file.fd_ = open_file(file.path_, 0);
  if (file.fd_ < 0) return tl::unexpected(file.path_ + " cannot be opened: " + std::strerror(errno));
  if (::ftruncate(file.fd_, static_cast<off_t>(read.whole)) != 0) {
    return tl::unexpected(file.path_ + " cannot be cut: " + std::strerror(errno));
  }
  file.bytes_ = read.whole;
  // What it began with is not known: what all of that may be is left out, so that a start turns no file too early.
  file.records_added_ = read.records - std::min(read.records, kCarriedMax);
  file.bytes_added_ = read.whole - std::min(read.whole, kCarriedMax * kBeginBytes);
  return file;
}

// A copy, for whoever looks into it: the file itself goes on behind its last whole record.
void EndsFile::put_aside(const std::string& path, std::size_t whole) {
  ++set_aside_;
  std::error_code fault;
  std::string aside;
  for (int number = 1; number < 1000; ++number) {
    aside = path + ".aside-" + std::to_string(number);
    if (std::filesystem::copy_file(path, aside, fault) || !std::filesystem::exists(aside)) break;
  }
  std::filesystem::resize_file(path, whole, fault);
  log_warn("a file of the state could not be read to its end and was set aside", {{"file", path}, {"as", aside}});
}

EndsFile::EndsFile(EndsFile&& other) noexcept
    : path_(std::move(other.path_)),
      limits_(other.limits_),
      fd_(std::exchange(other.fd_, -1)),
      bytes_(other.bytes_),
      bytes_added_(other.bytes_added_),
      records_added_(other.records_added_),
      running_(std::move(other.running_)),
      ended_(std::move(other.ended_)),
      told_(other.told_),
      set_aside_(other.set_aside_),
      earlier_(std::move(other.earlier_)) {}

EndsFile::~EndsFile() {
  if (fd_ >= 0) ::close(fd_);
}

void EndsFile::began(const proto::RequestId& id, const Payload& payload) {
  append(kBegan, id, bytes_of(payload));
  running_.insert_or_assign(id, payload);
}

void EndsFile::ended(const proto::RequestId& id, std::string_view result) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  no_longer_runs({id, found->second});
  running_.erase(found);
  if (!result.empty() && result.size() <= kEndBytesMax) append(kEnded, id, result);
}

void EndsFile::no_longer_runs(const Known& known) {
  ended_.push_back(known);
  if (ended_.size() > kAnswersMax) ended_.pop_front();
}

// The ids that the next file begins with. One that begins again stands behind its first time.
std::string EndsFile::carried() const {
  std::string bytes;
  bytes.reserve((ended_.size() + running_.size()) * kBeginBytes);
  const auto add = [&](std::uint32_t magic, const proto::RequestId& id, std::string_view content) {
    const Head head = head_of(magic, id, content);
    bytes.append(reinterpret_cast<const char*>(&head), sizeof head).append(content);
  };
  for (const auto& [id, payload] : ended_) payload ? add(kBegan, id, bytes_of(*payload)) : add(kEnded, id, {});
  for (const auto& [id, payload] : running_) add(kBegan, id, bytes_of(payload));
  return bytes;
}

// Goes on in a new file. Where none can be made it stays with the one it has, for as much again.
void EndsFile::turn() {
  bytes_added_ = records_added_ = 0;
  const std::string bytes = carried();
  const iovec all{const_cast<char*>(bytes.data()), bytes.size()};
  const int fresh = open_file(new_of(path_), O_TRUNC);
  const bool written = fresh >= 0 && ::writev(fresh, &all, 1) == static_cast<ssize_t>(bytes.size());
  if (!written || !replace()) {
    tell("the file of staging's ends cannot be made anew, and grows");
    if (fresh >= 0) ::close(fresh);
    ::unlink(new_of(path_).c_str());
    return;
  }
  ::close(std::exchange(fd_, fresh));
  bytes_ = bytes.size();
}

bool EndsFile::replace() const {
  const std::string old = old_of(path_);
  if (std::rename(path_.c_str(), old.c_str()) != 0) return false;
  if (std::rename(new_of(path_).c_str(), path_.c_str()) == 0) return true;
  std::rename(old.c_str(), path_.c_str());
  return false;
}

void EndsFile::append(std::uint32_t magic, const proto::RequestId& id, std::string_view bytes) {
  if (fd_ < 0) return;
  if (records_added_ >= limits_.records || bytes_added_ >= limits_.bytes) turn();
  const Head head = head_of(magic, id, bytes);
  const iovec parts[2] = {{const_cast<Head*>(&head), sizeof head}, {const_cast<char*>(bytes.data()), bytes.size()}};
  const std::size_t wanted = sizeof head + bytes.size();
  const ssize_t written = ::writev(fd_, parts, 2);
  if (written == static_cast<ssize_t>(wanted)) {
    bytes_ += wanted;
    bytes_added_ += wanted;
    ++records_added_;
    return;
  }
  tell("the end of a staging call could not be kept");
  if (written > 0 && ::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) {  // else what follows could not be read
    ::close(std::exchange(fd_, -1));
  }
}

void EndsFile::tell(const char* what) {
  if (!std::exchange(told_, true)) log_warn(what, {{"file", path_}, {"why", std::strerror(errno)}});
}

}  // namespace windlass::worker
