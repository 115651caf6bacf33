// The one table of settings: parsing, --help, environment names, --check-config and docs/config.md all come from it.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "worker/base/config.hpp"

namespace windlass::worker {

// What a value is, beyond the C++ type that holds it.
enum class SettingType {
  text,
  name,     // text without blanks, "/" and control characters, at most 200 bytes
  path,     // absolute, without ".."
  paths,    // a list of them
  texts,    // a list
  labels,   // a map of text to text
  uids,     // a list of whole numbers
  boolean,  // true or false
  count,    // a whole number
  number,
  size,  // bytes
  rate,  // bytes per second
  time,
  choice,   // one of `choices`
  address,  // tcp://host:port
  listen,   // host:port
};

using SettingField = std::variant<std::string*, std::vector<std::string>*, std::map<std::string, std::string>*,
                                  std::vector<std::uint32_t>*, bool*, std::uint64_t*, double*, std::optional<double>*,
                                  std::chrono::milliseconds*>;

struct Setting {
  std::string_view name;  // "section.key"
  SettingField (*field)(Config&);
  SettingType type;
  std::string_view help;  // whole sentences
  bool live = false;      // a reload changes it without a restart
  // Of numbers; sizes in bytes, rates in bytes/s, times in milliseconds.
  double least = 0;
  double most = std::numeric_limits<double>::max();
  std::string_view choices = {};       // "a|b|c"
  std::string_view default_told = {};  // where the default is made at start, what it is made of
};

std::span<const Setting> settings();

// Null where there is none of that name.
const Setting* find_setting(std::string_view name);
// Whether settings begin with `name` and a dot.
bool is_section(std::string_view name);
// The setting or section whose name is most like `name`.
std::string_view nearest_name(std::string_view name);

// "WINDLASS_STAGE__ROOTS" for "stage.roots".
std::string environment_name(std::string_view name);

// What is allowed, in words: "a size (64MiB, 1GB or bytes), from 1 MiB".
std::string allowed_values(const Setting& setting);

}  // namespace windlass::worker
