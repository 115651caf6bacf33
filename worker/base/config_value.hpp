// Values of settings: from what was written to what the Config holds, and back to text.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "worker/base/config_table.hpp"

namespace windlass::worker {

// What stands in a file, a variable or a flag, before it is understood.
struct RawValue {
  enum class Kind { scalar, list, map };
  Kind kind = Kind::scalar;
  std::string scalar;
  std::vector<std::string> list;
  std::vector<std::pair<std::string, std::string>> map;
};

// Puts the value into the config. The error says what is wrong and what is allowed, without place and name.
std::optional<std::string> store_value(const Setting& setting, const RawValue& value, Config& config);

// The value as YAML that reads back as the same.
std::string render_value(const Setting& setting, const Config& config);
// A bound of the setting in its own unit: "64MiB", "10s", "5".
std::string render_number(const Setting& setting, double value);

// Bytes of "64MiB", "1.5GB" or "1024". Milliseconds of "10s", "500ms", "2m", "24h", "7d" or, without a unit, of
// seconds.
std::optional<double> parse_size(std::string_view text);
std::optional<double> parse_time_ms(std::string_view text);

// "host:port" as its parts; a v6 host stands in brackets and comes without them.
struct HostPort {
  std::string host;
  std::uint16_t port;
  bool loopback() const;
};
std::optional<HostPort> parse_host_port(std::string_view text);

}  // namespace windlass::worker
