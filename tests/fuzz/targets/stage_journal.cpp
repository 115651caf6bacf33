// The stager's journal: a file from an earlier life that may hold anything. With a first byte of 0 the rest is the
// file as it is; else it is a list of records, which get the lengths and checksums that are right for them.
#include <xxhash.h>

#include <cstring>

#include "plugin/stage/journal.hpp"
#include "tests/fuzz/folder.hpp"

namespace windlass::fuzz {
namespace {

constexpr std::chrono::seconds kNow{1'000'000}, kKeep{100};
constexpr std::string_view kHeader = "windlass-stage-journal 1\n";
constexpr const char* kFile = "stage.journal.0";

std::string file_of(std::string_view bytes) {
  if (bytes.empty() || bytes[0] == 0) return std::string(bytes.substr(bytes.empty() ? 0 : 1));
  std::string file(kHeader);
  for (const std::string_view record : parts_of(bytes.substr(1))) {
    const auto length = static_cast<std::uint32_t>(record.size());
    const std::uint64_t sum = XXH3_64bits(record.data(), record.size());
    file.append(reinterpret_cast<const char*>(&length), sizeof length);
    file.append(reinterpret_cast<const char*>(&sum), sizeof sum);
    file += record;
  }
  return file;
}

std::unique_ptr<stage::Journal> open(const Folder& folder) {
  auto journal = stage::Journal::open(folder.path(), kNow, kKeep);
  require(journal.has_value(), "a journal opens whatever lies there");
  return std::move(*journal);
}

}  // namespace

void run(std::string_view bytes) {
  static const Folder folder;
  folder.clear();
  folder.write(kFile, file_of(bytes));
  std::uint64_t spoilt = 0;
  {
    const auto journal = open(folder);
    spoilt = journal->set_aside();
  }
  std::size_t dead = 0;
  {
    const auto journal = open(folder);
    require(journal->set_aside() == 0, "what was set aside once is written anew without it");
    const auto left = journal->take_dead(kNow);
    dead = left.size();
    for (const auto& one : left) journal->end(one.id);
    (void)journal->next_dead();
  }
  require(open(folder)->take_dead(kNow).empty(), "what has ended does not come back");
  require(spoilt <= 1 && dead <= bytes.size(), "no more is left than was written");
}

std::vector<std::string> seeds() {
  const Folder folder;
  {
    const auto journal = open(folder);
    stage::JournalEntry entry{"/target", ".windlass-x", "wish", {}, journal->life(0), kNow.count(), 0};
    entry.source.size = 1U << 30U;
    const auto first = journal->begin(entry);
    journal->mark(first, 123);
    entry.target = "/other";
    journal->end(journal->begin(entry));
  }
  const std::string file = folder.read(kFile);
  std::vector<std::string> records;
  for (std::size_t at = kHeader.size(); at + 12 <= file.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, file.data() + at, sizeof length);
    records.push_back(file.substr(at + 12, length));
    at += 12 + length;
  }
  return {'\0' + file, '\1' + joined(records), '\0' + std::string(kHeader), "\1"};
}

}  // namespace windlass::fuzz
