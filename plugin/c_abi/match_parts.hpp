// What the calls of matching share: requests to problems, faults to errors, results. For the files of c_abi/ only.
#pragma once

#include <cstdint>
#include <vector>

#include "plugin/include/windlass/windlass.h"
#include "plugin/match/decode.hpp"
#include "plugin/match/matcher.hpp"

struct windlass_match_result {
  windlass::match::Placement placement;
  std::vector<int64_t> offer_number{};  // of a session
  uint64_t version = 0;
  bool of_session = false;
};

namespace windlass::c_abi {

windlass_code fail_with(windlass_error* error, const match::Fault& fault);
match::Check bad_option(const char* field, const char* message);
match::Check read_options(const windlass_match_request& request, match::Problem& problem);
// Views of what `constraints` refers to.
match::Check read_columns(const windlass_column* columns, uint64_t count, std::vector<match::Column>& into);
match::EngineChoice engine_choice();

}  // namespace windlass::c_abi
