// Where a source or a target lies, read from the bytes of the request. No I/O. Local files are the one kind served;
// others are recognised so that they can be refused by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plugin/stage/result.hpp"

namespace windlass::stage {

inline constexpr std::string_view kTemporaryPrefix = ".windlass-";

enum class PlaceKind : std::uint8_t { local, http, s3, node };

struct Place {
  PlaceKind kind = PlaceKind::local;
  std::string given;               // as it stood in the request
  std::vector<std::string> parts;  // local: the components of the absolute path; no empty ones, no "."
  bool folder = false;             // local: a slash or "/." at the end says that it is a folder

  // "/" and the first `count` parts.
  [[nodiscard]] std::string path(std::size_t count) const;
  [[nodiscard]] std::string path() const { return path(parts.size()); }
  [[nodiscard]] bool climbs() const;  // has a ".." component
};

// Codes INVALID_ARGUMENT (malformed), UNIMPLEMENTED (a kind that is not served).
Result<Place> parse_place(std::string_view given);

// INVALID_ARGUMENT where it is the top folder, or bears or goes through the name of a temporary.
Status check_target_name(const Place& target);

}  // namespace windlass::stage
