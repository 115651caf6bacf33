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

void pack_error(Packer& packer, const Transfer& transfer, const Outcome& outcome) {
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
  packer.pack_array(static_cast<std::uint32_t>(outcome.failures.size()));
  for (const Failure& failure : outcome.failures) {
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

void pack_outcome(Packer& packer, const Transfer& transfer, const Outcome& outcome) {
  packer.pack_map(11);
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
  pack_error(packer, transfer, outcome);
  packer.pack("file_checksums");
  if (!outcome.file_checksums) {
    packer.pack_nil();
    return;
  }
  packer.pack_map(static_cast<std::uint32_t>(outcome.file_checksums->size()));
  for (const auto& [path, checksum] : *outcome.file_checksums) {
    pack_bin(packer, path);
    packer.pack(checksum);
  }
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
  for (std::size_t i = 0; i < outcomes.size(); ++i) pack_outcome(packer, transfers[i], outcomes[i]);
  return {buffer.data(), buffer.size()};
}

}  // namespace windlass::stage
