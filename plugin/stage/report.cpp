#include "plugin/stage/report.hpp"

#include <array>
#include <cassert>
#include <msgpack.hpp>

namespace windlass::stage {
namespace {

using Packer = msgpack::packer<msgpack::sbuffer>;
constexpr std::array<const char*, 4> kStates{"done", "failed", "cancelled", "expired"};

void pack_bin(Packer& packer, std::string_view bytes) {
  packer.pack_bin(static_cast<std::uint32_t>(bytes.size()));
  packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

// A report must fit into one message, so its lists end where their room does; their counts say what is left out.
class Room {
 public:
  explicit Room(std::size_t bytes) : bytes_(bytes) {}
  // How many of the first fit.
  template <class List, class Bytes>
  std::size_t take(const List& list, Bytes&& bytes_of) {
    constexpr std::size_t kFraming = 16;
    std::size_t count = 0;
    for (const auto& entry : list) {
      const std::size_t bytes = bytes_of(entry) + kFraming;
      if (bytes > bytes_) break;
      bytes_ -= bytes;
      ++count;
    }
    return count;
  }

 private:
  std::size_t bytes_;
};

struct Rooms {
  Room failures{kFailureBytesMax};
  Room checksums{kFileChecksumBytesMax};
};

void pack_error(Packer& packer, const Transfer& transfer, const Outcome& outcome, Room& room) {
  if (!outcome.error) {
    packer.pack_nil();
    return;
  }
  packer.pack_map(7);
  packer.pack("code");
  packer.pack(static_cast<std::uint32_t>(outcome.error->code));
  packer.pack("message");
  packer.pack(outcome.error->message);
  packer.pack("source");
  pack_bin(packer, transfer.source.given);
  packer.pack("target");
  pack_bin(packer, transfer.target.given);
  packer.pack("retryable");
  packer.pack(outcome.error->retryable);
  packer.pack("failures");
  constexpr std::size_t kNames = 24;
  const std::size_t told = room.take(
      outcome.failures, [](const Failure& failure) { return failure.path.size() + failure.message.size() + kNames; });
  packer.pack_array(static_cast<std::uint32_t>(told));
  for (std::size_t i = 0; i < told; ++i) {
    const Failure& failure = outcome.failures[i];
    packer.pack_map(3);
    packer.pack("path");
    pack_bin(packer, failure.path);
    packer.pack("code");
    packer.pack(static_cast<std::uint32_t>(failure.code));
    packer.pack("message");
    packer.pack(failure.message);
  }
  packer.pack("failure_count");
  packer.pack(outcome.failure_count);
}

void pack_checksums(Packer& packer, const std::map<std::string, std::string>& checksums, std::size_t told) {
  packer.pack_map(static_cast<std::uint32_t>(told));
  for (const auto& [path, checksum] : checksums) {
    if (told-- == 0) break;
    pack_bin(packer, path);
    packer.pack(checksum);
  }
}

void pack_outcome(Packer& packer, const Transfer& transfer, const Outcome& outcome, Rooms& rooms) {
  const std::size_t checksums = outcome.file_checksums ? outcome.file_checksums->size() : 0;
  const std::size_t told = checksums == 0 ? 0 : rooms.checksums.take(*outcome.file_checksums, [](const auto& entry) {
    return entry.first.size() + entry.second.size();
  });
  packer.pack_map(told < checksums ? 12 : 11);
  packer.pack("state");
  packer.pack(kStates[static_cast<std::size_t>(outcome.state)]);
  packer.pack("bytes");
  packer.pack(outcome.bytes);
  packer.pack("files");
  packer.pack(outcome.files);
  packer.pack("seconds");
  packer.pack(outcome.seconds);
  packer.pack("checksum");
  if (outcome.checksum.empty())
    packer.pack_nil();
  else
    packer.pack(outcome.checksum);
  packer.pack("engine");
  packer.pack(outcome.engine);
  packer.pack("resumed_bytes");
  packer.pack(outcome.resumed_bytes);
  packer.pack("from_cache");
  packer.pack(false);
  packer.pack("retries");
  packer.pack(outcome.retries);
  packer.pack("error");
  pack_error(packer, transfer, outcome, rooms.failures);
  packer.pack("file_checksums");
  if (!outcome.file_checksums) {
    packer.pack_nil();
    return;
  }
  pack_checksums(packer, *outcome.file_checksums, told);
  if (told == checksums) return;
  packer.pack("file_checksums_omitted");
  packer.pack(static_cast<std::uint64_t>(checksums - told));
}

}  // namespace

std::string encode_report(const std::vector<Transfer>& transfers, const std::vector<Outcome>& outcomes,
                          double seconds) {
  assert(transfers.size() == outcomes.size());
  msgpack::sbuffer buffer;
  Packer packer(buffer);
  packer.pack_map(2);
  packer.pack("seconds");
  packer.pack(seconds);
  packer.pack("transfers");
  packer.pack_array(static_cast<std::uint32_t>(outcomes.size()));
  Rooms rooms;
  for (std::size_t i = 0; i < outcomes.size(); ++i) pack_outcome(packer, transfers[i], outcomes[i], rooms);
  return {buffer.data(), buffer.size()};
}

}  // namespace windlass::stage
