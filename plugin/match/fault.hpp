// What is wrong with a request, and where. Values only; made by the checks, read by the C interface.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace windlass::match {

enum class FaultKind { invalid_argument, unimplemented, aborted };
enum class Side { none, tasks, offers, options };

struct Fault {
  FaultKind kind = FaultKind::invalid_argument;
  Side side = Side::none;
  int64_t row = -1;     // from 0; -1 where the fault is of no row
  std::string field;    // dimensions stand by number: "amounts.3"
  std::string message;  // what is there and what is allowed
};

// The answer of a check: empty where all is well.
using Check = std::optional<Fault>;

inline Fault invalid(Side side, int64_t row, std::string field, std::string message) {
  return Fault{FaultKind::invalid_argument, side, row, std::move(field), std::move(message)};
}

inline Fault unimplemented(std::string field, std::string message) {
  return Fault{FaultKind::unimplemented, Side::options, -1, std::move(field), std::move(message)};
}

}  // namespace windlass::match
