// What is asked for and how it ended: the data of a transfer, without behaviour.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plugin/stage/checksum.hpp"
#include "plugin/stage/decoder.hpp"
#include "plugin/stage/place.hpp"
#include "plugin/stage/result.hpp"

namespace windlass::stage {

enum class Durability : std::uint8_t { none, file, full };
enum class Symlinks : std::uint8_t { keep, skip, refuse };
enum class Kind : std::uint8_t { input, result };                      // what a transfer is to the task
enum class State : std::uint8_t { done, failed, cancelled, expired };  // numbers as in windlass_stage_state

struct Range {
  std::uint64_t first = 0;
  std::uint64_t length = 0;
};

struct Transfer {
  Place source;
  Place target;
  std::optional<Range> range;
  std::optional<std::uint64_t> size;  // of the bytes that get published
  std::optional<ChecksumWish> checksum;
  std::optional<Decompress> decompress;
  std::optional<std::uint32_t> mode;
  Kind kind = Kind::input;
  std::int64_t priority = 0;
  std::optional<std::int64_t> deadline_ms;  // from acceptance; may be negative
  Durability durability = Durability::file;
  Symlinks symlinks = Symlinks::keep;
  bool tree_atomic = false;
};

struct Request {
  std::vector<Transfer> transfers;
  bool detach = false;
};

struct Failure {
  std::string path;  // beneath the tree's top
  Code code = Code::internal;
  std::string message;
};

inline constexpr std::size_t kFailuresTold = 100;

struct Outcome {
  State state = State::failed;
  std::uint64_t bytes = 0;  // published
  std::uint64_t files = 0;
  double seconds = 0;    // from its begin to its end
  std::string checksum;  // "name:hex", or empty
  std::string engine;
  std::uint64_t resumed_bytes = 0;
  std::uint32_t retries = 0;
  std::optional<Error> error;
  std::vector<Failure> failures;  // the first kFailuresTold
  std::uint64_t failure_count = 0;
  std::optional<std::map<std::string, std::string>> file_checksums;
};

}  // namespace windlass::stage
