// Checksums of published bytes, fed in order. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "plugin/stage/result.hpp"

namespace windlass::stage {

enum class ChecksumKind : std::uint8_t { xxh3, crc32c, crc64nvme, sha256, md5 };

struct ChecksumWish {
  ChecksumKind kind = ChecksumKind::xxh3;
  std::string expected;  // lower-case hex; empty: compute and report
};

std::string_view name_of(ChecksumKind kind);

// "name" or "name:HEX"; INVALID_ARGUMENT where it is neither.
Result<ChecksumWish> parse_checksum(std::string_view text);

class Hasher {
 public:
  virtual ~Hasher() = default;
  virtual void add(const void* data, std::size_t bytes) = 0;
  // Lower-case hex of all that was added; ends the hasher.
  virtual std::string hex() = 0;
  void add_zeros(std::uint64_t bytes);
};

std::unique_ptr<Hasher> make_hasher(ChecksumKind kind);

}  // namespace windlass::stage
