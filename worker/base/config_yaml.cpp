#include "worker/base/config_yaml.hpp"

#include <fmt/format.h>

#include <map>

#include "worker/base/yaml_document.hpp"

namespace windlass::worker {
namespace {

bool takes_map(const Setting& setting) {
  return setting.type == SettingType::labels;
}
bool takes_list(const Setting& setting) {
  return setting.type == SettingType::paths || setting.type == SettingType::texts || setting.type == SettingType::uids;
}

tl::expected<RawValue, std::string> raw_of(const YAML::Node& node) {
  RawValue raw;
  if (node.IsScalar()) {
    raw.scalar = node.Scalar();
    return raw;
  }
  raw.kind = node.IsSequence() ? RawValue::Kind::list : RawValue::Kind::map;
  const auto plain = [](const YAML::Node& item) { return item.IsScalar(); };
  const std::string nested = "lists and maps hold plain values only";
  for (const auto& item : node) {
    if (node.IsSequence()) {
      if (!plain(item)) return tl::unexpected(nested);
      raw.list.push_back(item.Scalar());
    } else {
      if (!plain(item.first) || !plain(item.second)) return tl::unexpected(nested);
      raw.map.emplace_back(item.first.Scalar(), item.second.Scalar());
    }
  }
  return raw;
}

// One pass over a document.
class Reader {
 public:
  Reader(const std::string& file, std::vector<std::string>& errors) : file_(file), errors_(errors) {}

  void read_section(const YAML::Node& section, const std::string& prefix) {
    for (const auto& item : section) {
      if (!item.first.IsScalar()) {
        complain(item.first, "a key must be plain text");
      } else {
        read_key(item.first, item.second, prefix + item.first.Scalar());
      }
    }
  }
  std::vector<ConfigEntry> take() { return std::move(entries_); }

 private:
  std::string where(const YAML::Node& node) const { return fmt::format("{}:{}", file_, node.Mark().line + 1); }
  void complain(const YAML::Node& node, const std::string& what) { errors_.push_back(where(node) + ": " + what); }

  void read_key(const YAML::Node& key, const YAML::Node& value, const std::string& name) {
    const auto [first, fresh] = seen_.emplace(name, where(key));
    if (!fresh)
      return complain(key, fmt::format("{} stands here again, first at {}; write it once", name, first->second));
    if (const Setting* setting = find_setting(name)) {
      read_value(key, value, *setting);
    } else if (!is_section(name)) {
      complain(key, fmt::format("{} is no setting; the nearest is {}", name, nearest_name(name)));
    } else if (value.IsMap()) {
      read_section(value, name + ".");
    } else if (!value.IsNull()) {
      complain(key, fmt::format("{} is a section; write its settings beneath it", name));
    }
  }
  void read_value(const YAML::Node& key, const YAML::Node& value, const Setting& setting) {
    if (value.IsNull()) return;
    if (auto raw = raw_of(value)) {
      entries_.push_back({&setting, std::move(*raw), where(key)});
    } else {
      complain(value, fmt::format("{}: {}; write {}", setting.name, raw.error(), allowed_values(setting)));
    }
  }

  const std::string& file_;
  std::vector<std::string>& errors_;
  std::vector<ConfigEntry> entries_;
  std::map<std::string, std::string> seen_;
};

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  return first == std::string_view::npos ? std::string_view{}
                                         : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string_view> split_by_comma(std::string_view text) {
  std::vector<std::string_view> parts;
  if (trimmed(text).empty()) return parts;
  for (;;) {
    const auto comma = text.find(',');
    parts.push_back(trimmed(text.substr(0, comma)));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

tl::expected<RawValue, std::string> read_brackets(const std::string& text) {
  try {
    return raw_of(load_document(text));
  } catch (const YAML::Exception& fault) {
    return tl::unexpected(fault.msg);
  }
}

}  // namespace

std::vector<ConfigEntry> read_yaml(const std::string& text, const std::string& file, std::vector<std::string>& errors) {
  Reader reader(file, errors);
  try {
    const YAML::Node document = load_document(text);
    if (document.IsNull()) return {};
    if (!document.IsMap()) {
      errors.push_back(file + ": is no map of sections; write lines such as \"stage: {roots: [/scratch]}\"");
      return {};
    }
    reader.read_section(document, "");
  } catch (const YAML::Exception& fault) {
    errors.push_back(fmt::format("{}:{}: {}", file, fault.mark.is_null() ? 1 : fault.mark.line + 1, fault.msg));
  }
  return reader.take();
}

tl::expected<RawValue, std::string> read_inline(const Setting& setting, const std::string& text) {
  const std::string_view bare = trimmed(text);
  RawValue raw;
  if ((takes_list(setting) && bare.starts_with('[')) || (takes_map(setting) && bare.starts_with('{')))
    return read_brackets(text);
  if (takes_list(setting)) {
    raw.kind = RawValue::Kind::list;
    for (const std::string_view part : split_by_comma(text)) raw.list.emplace_back(part);
    return raw;
  }
  if (takes_map(setting)) {
    raw.kind = RawValue::Kind::map;
    for (const std::string_view part : split_by_comma(text)) {
      const auto equals = part.find('=');
      if (equals == std::string_view::npos) return tl::unexpected(fmt::format("\"{}\" is no name=text", part));
      raw.map.emplace_back(trimmed(part.substr(0, equals)), trimmed(part.substr(equals + 1)));
    }
    return raw;
  }
  raw.scalar = text;
  return raw;
}

}  // namespace windlass::worker
