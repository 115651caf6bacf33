#include "worker/requests/ends_file.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "proto/keyed_hash.hpp"
#include "worker/base/log.hpp"
#include "worker/core/limits.hpp"

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

std::uint32_t check_of(const proto::RequestId& id, std::string_view content) {
  std::uint32_t hash = 2166136261U;
  const auto add = [&](std::string_view bytes) {
    for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 16777619U;
  };
  add({id.bytes.data(), id.bytes.size()});
  add(content);
  return hash;
}

using Order = proto::KeyedMap<proto::RequestId, std::size_t>;

struct Read {
  std::size_t whole = 0;  // bytes
  bool torn = false;      // there is more, which is no record
};

// Reads records up to the first that is torn.
Read read_records(const std::string& path, std::vector<EndsFile::Earlier>& found, Order& order) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::size_t at = 0;
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
  }
  return {at, at < bytes.size()};
}

}  // namespace

tl::expected<EndsFile, std::string> EndsFile::open(std::string path) {
  EndsFile file(std::move(path));
  Order order;
  std::size_t whole = 0;
  for (const std::string& name : {file.path_ + ".old", file.path_}) {
    const Read read = read_records(name, file.earlier_, order);
    whole = read.whole;
    if (read.torn) file.put_aside(name, whole);
  }
  if (auto begun = file.begin_file(); !begun) return tl::unexpected(begun.error());
  if (::ftruncate(file.fd_, static_cast<off_t>(whole)) != 0) {
    return tl::unexpected(file.path_ + " cannot be cut: " + std::strerror(errno));
  }
  file.bytes_ = whole;
  file.records_ = order.size();
  return file;
}

tl::expected<void, std::string> EndsFile::begin_file() {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0) return tl::unexpected(path_ + " cannot be opened: " + std::strerror(errno));
  bytes_ = 0;
  records_ = 0;
  return {};
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
      fd_(std::exchange(other.fd_, -1)),
      bytes_(other.bytes_),
      records_(other.records_),
      told_(other.told_),
      set_aside_(other.set_aside_),
      earlier_(std::move(other.earlier_)) {}

EndsFile::~EndsFile() {
  if (fd_ >= 0) ::close(fd_);
}

void EndsFile::began(const proto::RequestId& id, const Payload& payload) {
  append(kBegan, id, {reinterpret_cast<const char*>(&payload), sizeof payload});
}

void EndsFile::ended(const proto::RequestId& id, std::string_view result) {
  if (!result.empty() && result.size() <= kEndBytesMax) append(kEnded, id, result);
}

void EndsFile::append(std::uint32_t magic, const proto::RequestId& id, std::string_view bytes) {
  if (records_ >= kAnswersMax || bytes_ >= kEndsFileBytesMax) {
    ::close(fd_);
    std::rename(path_.c_str(), (path_ + ".old").c_str());
    if (!begin_file() && !std::exchange(told_, true)) log_warn("the ends of staging are no longer kept");
  }
  if (fd_ < 0) return;
  Head head;
  head.magic = magic;
  head.size = static_cast<std::uint32_t>(bytes.size());
  head.id = id;
  head.check = check_of(id, bytes);
  const iovec parts[2] = {{&head, sizeof head}, {const_cast<char*>(bytes.data()), bytes.size()}};
  const std::size_t wanted = sizeof head + bytes.size();
  const ssize_t written = ::writev(fd_, parts, 2);
  if (written == static_cast<ssize_t>(wanted)) {
    bytes_ += wanted;
    records_ += 1;
    return;
  }
  if (!std::exchange(told_, true)) {
    log_warn("the end of a staging call could not be kept", {{"file", path_}, {"why", std::strerror(errno)}});
  }
  if (written > 0 && ::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) {  // else what follows could not be read
    ::close(std::exchange(fd_, -1));
  }
}

}  // namespace windlass::worker
