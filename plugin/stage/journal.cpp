#include "plugin/stage/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <msgpack.hpp>
#include <thread>

#include "proto/bounded.hpp"

namespace windlass::stage {
namespace {

using Packer = msgpack::packer<msgpack::sbuffer>;

constexpr std::string_view kHeader = "windlass-stage-journal 1\n";
constexpr std::size_t kFrameBytes = 12;  // length and checksum before each record
constexpr std::uint32_t kRecordBytesMax = 65'536;
constexpr std::uint64_t kLogBytesMax = 8U << 20U;           // then it is written anew
constexpr auto kLockWait = std::chrono::milliseconds(100);  // for a process that is just dying

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::string framed(std::string_view payload) {
  const auto bytes = static_cast<std::uint32_t>(payload.size());
  const std::uint64_t sum = XXH3_64bits(payload.data(), payload.size());
  std::string out(kFrameBytes, '\0');
  std::memcpy(out.data(), &bytes, sizeof bytes);
  std::memcpy(out.data() + sizeof bytes, &sum, sizeof sum);
  return out.append(payload);
}

// The payload of the record at the begin of `bytes`, which is moved behind it.
std::optional<std::string_view> unframed(std::string_view& bytes) {
  std::uint32_t length = 0;
  std::uint64_t sum = 0;
  if (bytes.size() < kFrameBytes) return std::nullopt;
  std::memcpy(&length, bytes.data(), sizeof length);
  std::memcpy(&sum, bytes.data() + sizeof length, sizeof sum);
  if (length > kRecordBytesMax || length > bytes.size() - kFrameBytes) return std::nullopt;
  const std::string_view payload = bytes.substr(kFrameBytes, length);
  if (XXH3_64bits(payload.data(), payload.size()) != sum) return std::nullopt;
  bytes.remove_prefix(kFrameBytes + length);
  return payload;
}

void pack_bin(Packer& packer, const char* key, std::string_view bytes) {
  packer.pack(key);
  packer.pack_bin(static_cast<std::uint32_t>(bytes.size()));
  packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

std::string begin_record(JournalId id, const JournalEntry& entry) {
  msgpack::sbuffer buffer;
  Packer packer(buffer);
  packer.pack_map(8);
  packer.pack("begin");
  packer.pack(id);
  pack_bin(packer, "target", entry.target);
  pack_bin(packer, "temporary", entry.temporary);
  pack_bin(packer, "wish", entry.wish);
  pack_bin(packer, "life", entry.life);
  packer.pack("begun");
  packer.pack(entry.begun_s);
  packer.pack("written");
  packer.pack(entry.written);
  packer.pack("source");
  const FileInfo& source = entry.source;
  packer.pack(std::array<std::int64_t, 7>{
      static_cast<std::int64_t>(source.key.device), static_cast<std::int64_t>(source.key.inode),
      static_cast<std::int64_t>(source.size), source.modified.seconds, source.modified.nanoseconds,
      source.changed.seconds, source.changed.nanoseconds});
  return {buffer.data(), buffer.size()};
}

std::string short_record(const char* kind, JournalId id, std::uint64_t written) {
  msgpack::sbuffer buffer;
  Packer packer(buffer);
  packer.pack_map(2);
  packer.pack(kind);
  packer.pack(id);
  packer.pack("written");
  packer.pack(written);
  return {buffer.data(), buffer.size()};
}

struct Record {
  JournalId begin = 0, mark = 0, end = 0;
  JournalEntry entry;
};

void read_source(proto::Reader& reader, FileInfo& source) {
  if (reader.array(7) != 7) return reader.fail("seven numbers are an identity");
  source.key.device = static_cast<std::uint64_t>(reader.integer());
  source.key.inode = static_cast<std::uint64_t>(reader.integer());
  source.size = static_cast<std::uint64_t>(reader.integer());
  source.modified = {reader.integer(), 0};
  source.modified.nanoseconds = reader.integer();
  source.changed = {reader.integer(), 0};
  source.changed.nanoseconds = reader.integer();
}

std::optional<Record> read_record(std::string_view payload) {
  Record record;
  proto::Reader reader(payload);
  proto::read_map(reader, [&](std::string_view key) {
    JournalEntry& entry = record.entry;
    if (key == "begin")
      record.begin = reader.unsigned_integer();
    else if (key == "mark")
      record.mark = reader.unsigned_integer();
    else if (key == "end")
      record.end = reader.unsigned_integer();
    else if (key == "target")
      entry.target = reader.bin();
    else if (key == "temporary")
      entry.temporary = reader.bin();
    else if (key == "wish")
      entry.wish = reader.bin();
    else if (key == "life")
      entry.life = reader.bin();
    else if (key == "begun")
      entry.begun_s = reader.integer();
    else if (key == "written")
      entry.written = reader.unsigned_integer();
    else if (key == "source")
      read_source(reader, entry.source);
    else
      return false;
    return true;
  });
  if (reader.failed()) return std::nullopt;
  return record;
}

}  // namespace

Journal::Journal(std::string folder, Wall resume_keep)
    : folder_(std::move(folder)), resume_keep_(resume_keep), boot_(boot_id()) {}

std::string Journal::log_path(int number) const {
  return folder_ + "/stage.journal." + std::to_string(number);
}

Result<std::unique_ptr<Journal>> Journal::open(const std::string& folder, Wall now, Wall resume_keep) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(folder, error);
  if (error) return fail_errno(error.value(), "make the folder of the state", folder);
  if (made) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  std::unique_ptr<Journal> journal(new Journal(folder, resume_keep));
  for (int number = 0; number < kLogsMax; ++number) {
    Fd held = journal->lock(number, number == 0 ? kLockWait : std::chrono::milliseconds(0));
    if (!held && errno != EWOULDBLOCK) return fail_errno(errno, "lock the journal in", folder);
    if (!held) continue;
    if (!journal->lock_) {
      journal->lock_ = std::move(held);
      journal->path_ = journal->log_path(number);
    }
    if (std::filesystem::exists(journal->log_path(number), error)) journal->adopt(journal->log_path(number));
    if (!std::filesystem::exists(journal->log_path(number + 1) + ".lock", error)) break;  // no other was ever there
  }
  if (!journal->lock_)
    return fail(Code::failed_precondition,
                "the state in " + stage::quoted(folder) + " is in use by too many; give each its own");
  journal->sort_left(now);
  journal->rewrite();
  if (!journal->log_) return fail_errno(errno, "write the journal", journal->path_);
  return journal;
}

Fd Journal::lock(int number, std::chrono::milliseconds wait) const {
  Fd file(::open((log_path(number) + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  const auto until = std::chrono::steady_clock::now() + wait;
  while (file && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() >= until) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return file;
}

// Takes over what a log holds; it goes, unless it is to be this one's own and is written anew.
void Journal::adopt(const std::string& path) {
  Entries entries;
  read(path, entries);
  for (auto& [id, entry] : entries) live_.emplace(next_++, std::move(entry));
  if (path == path_) return;
  rewrite();  // first, so that what is adopted is in one of the two at every moment
  ::unlink(path.c_str());
}

void Journal::read(const std::string& path, Entries& entries) {
  std::ifstream file(path, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  std::string_view rest = whole;
  if (!rest.starts_with(kHeader)) return put_aside(path);
  rest.remove_prefix(kHeader.size());
  while (!rest.empty()) {
    const auto payload = unframed(rest);
    auto record = payload ? read_record(*payload) : std::nullopt;
    if (!record) return put_aside(path);  // what was read before it holds
    if (record->begin != 0)
      entries[record->begin] = std::move(record->entry);
    else if (const auto at = entries.find(record->mark); at != entries.end())
      at->second.written = std::max(at->second.written, record->entry.written);
    entries.erase(record->end);
  }
}

bool Journal::too_old(const JournalEntry& entry, Wall now) const {
  return entry.begun_s + resume_keep_.count() <= now.count();
}

void Journal::sort_left(Wall now) {
  for (const auto& [id, entry] : live_) {
    const bool resumable =
        entry.written > 0 && !boot_.empty() && entry.life.starts_with(boot_ + " ") && !too_old(entry, now);
    if (!resumable || !left_.emplace(entry.target, id).second) dead_.push_back(id);
  }
}

void Journal::put_aside(const std::string& path) {
  ++set_aside_;
  for (int number = 1; number < 1000; ++number) {
    const std::string name = path + ".aside-" + std::to_string(number);
    if (::link(path.c_str(), name.c_str()) == 0 || errno != EEXIST) return;
  }
}

void Journal::rewrite() {
  std::string whole(kHeader);
  for (const auto& [id, entry] : live_) whole += framed(begin_record(id, entry));
  const std::string fresh = path_ + ".new";
  ::unlink(fresh.c_str());
  Fd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
  if (!file || ::write(file.get(), whole.data(), whole.size()) != static_cast<ssize_t>(whole.size()) ||
      ::rename(fresh.c_str(), path_.c_str()) != 0)
    return;  // the old one goes on
  log_ = std::move(file);
  bytes_ = whole.size();
}

void Journal::append(const std::string& payload) {
  const std::string record = framed(payload);
  if (::write(log_.get(), record.data(), record.size()) == static_cast<ssize_t>(record.size())) {
    bytes_ += record.size();
    if (bytes_ > kLogBytesMax) rewrite();
    return;
  }
  // A full disk: without this record a leftover may stay or a resume be lost, but those after it must be readable.
  [[maybe_unused]] const int cut = ::ftruncate(log_.get(), static_cast<off_t>(bytes_));
}

JournalId Journal::begin(JournalEntry entry) {
  const std::lock_guard lock(mutex_);
  const JournalId id = next_++;
  append(begin_record(id, entry));
  live_.emplace(id, std::move(entry));
  return id;
}

void Journal::mark(JournalId id, std::uint64_t written) {
  const std::lock_guard lock(mutex_);
  live_.at(id).written = written;
  append(short_record("mark", id, written));
}

void Journal::end(JournalId id) {
  const std::lock_guard lock(mutex_);
  live_.erase(id);
  append(short_record("end", id, 0));
}

std::optional<Journal::Wall> Journal::next_dead() {
  const std::lock_guard lock(mutex_);
  std::optional<Wall> next;
  for (const auto& [target, id] : left_) {
    const Wall dies = Wall(live_.at(id).begun_s) + resume_keep_;
    if (!next || dies < *next) next = dies;
  }
  return next;
}

std::vector<Journal::Left> Journal::take_dead(Wall now) {
  const std::lock_guard lock(mutex_);
  std::erase_if(left_, [&](const auto& left) {
    const bool old = too_old(live_.at(left.second), now);
    if (old) dead_.push_back(left.second);
    return old;
  });
  std::vector<Left> out;
  for (const JournalId id : dead_) out.push_back({id, live_.at(id)});
  dead_.clear();
  return out;
}

std::optional<Journal::Left> Journal::take(const std::string& target) {
  const std::lock_guard lock(mutex_);
  const auto at = left_.find(target);
  if (at == left_.end()) return std::nullopt;
  Left left{at->second, live_.at(at->second)};
  left_.erase(at);
  return left;
}

std::string Journal::wish_of(const Transfer& transfer) {
  const Range range = transfer.range.value_or(Range{0, UINT64_MAX});
  std::string wish = transfer.source.path() + '\0' + std::to_string(range.first) + ' ' + std::to_string(range.length);
  if (transfer.decompress) wish += " decompress " + std::to_string(static_cast<int>(*transfer.decompress));
  return wish;
}

}  // namespace windlass::stage
