#include "worker/base/config_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "worker/base/json.hpp"

namespace windlass::worker {
namespace {

using Type = SettingType;

struct Unit {
  std::string_view name;
  double factor;
};
constexpr Unit kSizes[] = {{"TiB", 1099511627776.0},
                           {"GiB", 1073741824.0},
                           {"MiB", 1048576.0},
                           {"KiB", 1024.0},
                           {"TB", 1e12},
                           {"GB", 1e9},
                           {"MB", 1e6},
                           {"kB", 1e3},
                           {"KB", 1e3},
                           {"B", 1},
                           {"", 1}};
constexpr Unit kTimes[] = {{"d", 86400e3}, {"h", 3600e3}, {"min", 60e3}, {"m", 60e3}, {"ms", 1}, {"s", 1e3}, {"", 1e3}};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// A number and what stands behind it.
std::optional<std::pair<double, std::string_view>> leading_number(std::string_view text) {
  text = trimmed(text);
  double number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc{} || !std::isfinite(number)) return std::nullopt;
  return std::pair{number, trimmed(text.substr(static_cast<std::size_t>(end - text.data())))};
}

std::optional<double> with_unit(std::string_view text, std::span<const Unit> units) {
  const auto parts = leading_number(text);
  if (!parts) return std::nullopt;
  const auto unit = std::ranges::find(units, parts->second, &Unit::name);
  return unit == units.end() ? std::nullopt : std::optional(parts->first * unit->factor);
}

std::optional<double> parse_number(const Setting& setting, std::string_view text) {
  switch (setting.type) {
    case Type::size:
      return parse_size(text);
    case Type::rate:
      return parse_size(text.ends_with("/s") ? text.substr(0, text.size() - 2) : text);
    case Type::time:
      return parse_time_ms(text);
    default:
      break;
  }
  const auto parts = leading_number(text);
  return parts && parts->second.empty() ? std::optional(parts->first) : std::nullopt;
}

std::string refusal(const Setting& setting, std::string_view found) {
  return fmt::format("{} is not allowed; write {}", json_string(found), allowed_values(setting));
}

// Within the range, and whole where the setting is.
std::optional<double> checked_number(const Setting& setting, std::string_view text) {
  auto number = parse_number(setting, text);
  if (!number) return std::nullopt;
  if (setting.type == Type::size || setting.type == Type::rate || setting.type == Type::time)
    number = std::round(*number);
  if (*number < setting.least || *number > setting.most || *number < 0) return std::nullopt;
  if (setting.type != Type::number && *number != std::floor(*number)) return std::nullopt;
  return number;
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

bool path_allowed(std::string_view path) {
  if (!path.starts_with('/') || path.size() > 4095 || path.find('\0') != std::string_view::npos) return false;
  return fmt::format("{}/", path).find("/../") == std::string::npos;
}

std::string path_of(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

std::string without(std::string_view prefix, std::string_view text) {
  return std::string(text.starts_with(prefix) ? text.substr(prefix.size()) : text);
}

bool name_allowed(std::string_view name) {
  return !name.empty() && name.size() <= 200 && !has_control(name) &&
         name.find_first_of("/ ") == std::string_view::npos;
}

bool address_allowed(std::string_view address) {
  if (!address.starts_with("tcp://")) return false;
  const auto parts = parse_host_port(address.substr(6));
  return parts && parts->port != 0;
}

// One text, as far as its type allows it; empty is allowed where it says "off".
std::optional<std::string> checked_text(const Setting& setting, const std::string& text) {
  switch (setting.type) {
    case Type::name:
      return name_allowed(text) ? std::optional(text) : std::nullopt;
    case Type::path: {
      const std::string path = path_of(without("ipc://", text));
      return path.empty() || path_allowed(path) ? std::optional(path) : std::nullopt;
    }
    case Type::paths:
      return path_allowed(text) ? std::optional(path_of(text)) : std::nullopt;
    case Type::address:
      return text.empty() || address_allowed(text) ? std::optional(text) : std::nullopt;
    case Type::listen: {
      const std::string listen = without("tcp://", text);
      return listen.empty() || parse_host_port(listen) ? std::optional(listen) : std::nullopt;
    }
    case Type::choice: {
      const bool known = !text.empty() && text.find('|') == std::string::npos &&
                         fmt::format("|{}|", setting.choices).find("|" + text + "|") != std::string::npos;
      return known ? std::optional(text) : std::nullopt;
    }
    default:
      return has_control(text) ? std::nullopt : std::optional(text);
  }
}

// Stores a RawValue in the field; each overload is one C++ type of Config.
struct Store {
  const Setting& setting;
  const RawValue& value;

  std::optional<std::string> operator()(std::string* field) const {
    const auto text = checked_text(setting, value.scalar);
    if (!text) return refusal(setting, value.scalar);
    *field = *text;
    return std::nullopt;
  }
  std::optional<std::string> operator()(bool* field) const {
    if (value.scalar != "true" && value.scalar != "false") return refusal(setting, value.scalar);
    *field = value.scalar == "true";
    return std::nullopt;
  }
  std::optional<std::string> operator()(std::uint64_t* field) const {
    return number([&](double n) { *field = static_cast<std::uint64_t>(n); });
  }
  std::optional<std::string> operator()(double* field) const {
    return number([&](double n) { *field = n; });
  }
  std::optional<std::string> operator()(std::optional<double>* field) const {
    return number([&](double n) { *field = n; });
  }
  std::optional<std::string> operator()(std::chrono::milliseconds* field) const {
    return number([&](double n) { *field = std::chrono::milliseconds(static_cast<std::int64_t>(n)); });
  }
  std::optional<std::string> operator()(std::vector<std::string>* field) const {
    std::vector<std::string> items;
    for (const std::string& item : value.list) {
      const auto text = checked_text(setting, item);
      if (!text) return refusal(setting, item);
      items.push_back(*text);
    }
    *field = std::move(items);
    return std::nullopt;
  }
  std::optional<std::string> operator()(std::vector<std::uint32_t>* field) const {
    std::vector<std::uint32_t> items;
    for (const std::string& item : value.list) {
      const auto number = checked_number(setting, item);
      if (!number) return refusal(setting, item);
      items.push_back(static_cast<std::uint32_t>(*number));
    }
    *field = std::move(items);
    return std::nullopt;
  }
  std::optional<std::string> operator()(std::map<std::string, std::string>* field) const {
    std::map<std::string, std::string> items;
    for (const auto& [name, text] : value.map) {
      if (name.empty() || has_control(name) || has_control(text)) return refusal(setting, name);
      if (!items.emplace(name, text).second)
        return fmt::format("{} stands there twice; write it once", json_string(name));
    }
    *field = std::move(items);
    return std::nullopt;
  }

 private:
  template <typename Put>
  std::optional<std::string> number(Put put) const {
    const auto found = checked_number(setting, value.scalar);
    if (!found) return refusal(setting, value.scalar);
    put(*found);
    return std::nullopt;
  }
};

RawValue::Kind kind_of(SettingType type) {
  switch (type) {
    case Type::paths:
    case Type::texts:
    case Type::uids:
      return RawValue::Kind::list;
    case Type::labels:
      return RawValue::Kind::map;
    default:
      return RawValue::Kind::scalar;
  }
}

// Plain where YAML cannot take it for anything else, quoted otherwise.
std::string yaml_text(const std::string& text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '.' ||
           c == '_' || c == '-';
  });
  const bool ambiguous =
      text == "true" || text == "false" || text == "null" || text == "-" || leading_number(text).has_value();
  return plain && !ambiguous ? text : json_string(text);
}

struct Render {
  const Setting& setting;

  std::string operator()(const std::string* field) const { return yaml_text(*field); }
  std::string operator()(const bool* field) const { return *field ? "true" : "false"; }
  std::string operator()(const std::uint64_t* field) const {
    return render_number(setting, static_cast<double>(*field));
  }
  std::string operator()(const double* field) const { return render_number(setting, *field); }
  std::string operator()(const std::optional<double>* field) const {
    return *field ? render_number(setting, **field) : "null";
  }
  std::string operator()(const std::chrono::milliseconds* field) const {
    return render_number(setting, static_cast<double>(field->count()));
  }
  std::string operator()(const std::vector<std::string>* field) const {
    std::vector<std::string> items;
    for (const std::string& item : *field) items.push_back(yaml_text(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  std::string operator()(const std::vector<std::uint32_t>* field) const {
    return fmt::format("[{}]", fmt::join(*field, ", "));
  }
  std::string operator()(const std::map<std::string, std::string>* field) const {
    std::vector<std::string> items;
    for (const auto& [name, text] : *field) items.push_back(yaml_text(name) + ": " + yaml_text(text));
    return fmt::format("{{{}}}", fmt::join(items, ", "));
  }
};

constexpr Unit kTimesTold[] = {{"h", 3600e3}, {"m", 60e3}, {"s", 1e3}};

// In the largest of the units that leaves a whole number.
std::string in_units(double value, std::span<const Unit> units, std::string_view smallest) {
  for (const Unit& unit : units) {
    const double count = value / unit.factor;
    if (count >= 1 && count == std::floor(count)) return fmt::format("{:.0f}{}", count, unit.name);
  }
  return fmt::format("{:.0f}{}", value, smallest);
}

}  // namespace

std::optional<double> parse_size(std::string_view text) {
  return with_unit(text, kSizes);
}
std::optional<double> parse_time_ms(std::string_view text) {
  return with_unit(text, kTimes);
}

bool HostPort::loopback() const {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::optional<HostPort> parse_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || fault != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  if (host.empty() || host.find_first_of("/ []\t\n") != std::string_view::npos) return std::nullopt;
  return HostPort{std::string(host), port};
}

std::optional<std::string> store_value(const Setting& setting, const RawValue& value, Config& config) {
  if (value.kind != kind_of(setting.type)) {
    constexpr std::string_view kKinds[] = {"a single value", "a list", "a map"};
    return fmt::format("{} is not allowed; write {}", kKinds[static_cast<int>(value.kind)], allowed_values(setting));
  }
  return std::visit(Store{setting, value}, setting.field(config));
}

std::string render_value(const Setting& setting, const Config& config) {
  Config copy = config;
  return std::visit(Render{setting}, setting.field(copy));
}

std::string render_number(const Setting& setting, double value) {
  switch (setting.type) {
    case Type::size:
    case Type::rate:
      return in_units(value, std::span(kSizes).first(4), "");
    case Type::time:
      return in_units(value, kTimesTold, "ms");
    default:
      return fmt::format("{}", value);
  }
}

}  // namespace windlass::worker
