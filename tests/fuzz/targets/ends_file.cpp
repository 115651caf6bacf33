// The daemon's file of staging's ends. With a first byte of 0 the rest is the file; else it is a list of records, id
// and result each, which get the heads that are right for them.
#include "worker/requests/ends_file.hpp"

#include <algorithm>
#include <cstring>

#include "proto/codec.hpp"
#include "tests/fuzz/folder.hpp"

namespace windlass::fuzz {
namespace {

using worker::EndsFile;

std::vector<EndsFile::Earlier> read(const Folder& folder) {
  auto file = EndsFile::open(folder.at("ends"));
  require(file.has_value(), "a file of ends opens whatever it holds");
  return file->take_earlier();
}

// As the daemon itself writes them, since only it knows how.
void write_records(const Folder& folder, std::string_view bytes) {
  auto file = EndsFile::open(folder.at("ends"));
  require(file.has_value(), "a file of ends can be made");
  for (const std::string_view record : parts_of(bytes)) {
    proto::RequestId id;
    std::memcpy(id.bytes.data(), record.data(), std::min(record.size(), id.bytes.size()));
    if (record.size() <= id.bytes.size()) {
      file->began(id, {record.size(), 7});
    } else {
      file->ended(id, record.substr(id.bytes.size()));
    }
  }
}

}  // namespace

void run(std::string_view bytes) {
  static const Folder folder;
  folder.clear();
  if (bytes.empty()) return;
  if (bytes[0] == 0) {
    folder.write("ends", bytes.substr(1));
  } else {
    write_records(folder, bytes.substr(1));
  }
  const auto first = read(folder);
  const auto second = read(folder);
  require(first.size() == second.size(), "what could be read is read again");
  for (std::size_t i = 0; i < first.size(); ++i) {
    require(first[i].id == second[i].id && first[i].result == second[i].result && first[i].payload == second[i].payload,
            "and alike");
  }
  proto::RequestId fresh;
  fresh.bytes.fill('n');
  {
    auto file = EndsFile::open(folder.at("ends"));
    file->began(fresh, {1, 2});
    file->ended(fresh, "end");
  }
  const auto third = read(folder);
  require(std::any_of(third.begin(), third.end(),
                      [&](const auto& entry) { return entry.id == fresh && entry.result == "end"; }),
          "what is written behind a torn end is found");
}

std::vector<std::string> seeds() {
  const Folder folder;
  const std::string one(16, 'a'), two(16, 'b');
  const std::string records = joined(std::vector<std::string>{one, two, one + "result", two + "other result"});
  write_records(folder, records);
  return {'\0' + folder.read("ends"), '\1' + records, std::string(1, '\0'), "\1"};
}

}  // namespace windlass::fuzz
