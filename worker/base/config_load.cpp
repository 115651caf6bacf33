#include "worker/base/config_load.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "worker/base/config_check.hpp"
#include "worker/base/config_yaml.hpp"

namespace windlass::worker {
namespace {

constexpr std::uintmax_t kFileBytesMax = 1048576;

std::optional<std::string> read_text(const std::string& file, std::vector<std::string>& errors) {
  std::error_code fault;
  if (std::filesystem::is_regular_file(file, fault) && std::filesystem::file_size(file, fault) > kFileBytesMax) {
    errors.push_back(file + ": is larger than 1 MiB; that is no configuration");
    return std::nullopt;
  }
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (!stream || std::filesystem::is_directory(file, fault) || !(text << stream.rdbuf(), !stream.bad())) {
    errors.push_back(fmt::format("{}: cannot be read ({}); give the path of a file that the daemon may read", file,
                                 std::filesystem::is_directory(file, fault) ? "it is a folder" : std::strerror(errno)));
    return std::nullopt;
  }
  return text.str();
}

// What one source after the other says, into one config.
class Loader {
 public:
  explicit Loader(const ConfigSources& sources) : sources_(sources) {
    loaded_.config = default_config(sources.environment);
  }

  tl::expected<LoadedConfig, ConfigErrors> load() {
    for (const Setting& setting : settings()) loaded_.origins[std::string(setting.name)] = "default";
    read_file();
    for (const auto& [name, text] : sources_.environment) read_variable(name, text);
    for (const std::string& flag : sources_.flags) read_flag(flag);
    if (errors_.empty()) check_relations(loaded_, errors_);
    if (!errors_.empty()) return tl::unexpected(std::move(errors_));
    return std::move(loaded_);
  }

 private:
  void read_file() {
    if (!sources_.file) return;
    const auto text = read_text(*sources_.file, errors_);
    if (!text) return;
    for (const ConfigEntry& entry : read_yaml(*text, *sources_.file, errors_))
      store(*entry.setting, entry.value, entry.where);
  }
  // Variables without "__" are none of ours (WINDLASS_LIBRARY, WINDLASS_MODE).
  void read_variable(const std::string& name, const std::string& text) {
    if (!name.starts_with("WINDLASS_") || name.find("__") == std::string::npos) return;
    std::string nearest;
    for (const Setting& setting : settings()) {
      if (environment_name(setting.name) == name) return read_text_value(setting, text, name);
    }
    std::string key = name.substr(9);
    for (auto at = key.find("__"); at != std::string::npos; at = key.find("__")) key.replace(at, 2, ".");
    for (char& c : key) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    errors_.push_back(fmt::format("{}: is no setting; the nearest is {}", name, environment_name(nearest_name(key))));
  }
  void read_flag(const std::string& flag) {
    const auto equals = flag.find('=');
    const std::string name = flag.substr(0, equals);
    const Setting* setting = find_setting(std::string_view(name).substr(std::min<std::size_t>(2, name.size())));
    if (!setting) {
      errors_.push_back(fmt::format("{}: is no setting; the nearest is --{}", name, nearest_name(name.substr(2))));
    } else if (equals == std::string::npos) {
      errors_.push_back(fmt::format("{}: has no value; write {}=VALUE", name, name));
    } else {
      read_text_value(*setting, flag.substr(equals + 1), name);
    }
  }
  void read_text_value(const Setting& setting, const std::string& text, const std::string& where) {
    if (const auto raw = read_inline(setting, text)) {
      store(setting, *raw, where);
    } else {
      errors_.push_back(fmt::format("{}: {}; write {}", where, raw.error(), allowed_values(setting)));
    }
  }
  void store(const Setting& setting, const RawValue& value, const std::string& where) {
    if (const auto fault = store_value(setting, value, loaded_.config)) {
      errors_.push_back(fmt::format("{}: {}: {}", where, setting.name, *fault));
    } else {
      loaded_.origins[std::string(setting.name)] = where;
    }
  }

  const ConfigSources& sources_;
  LoadedConfig loaded_;
  ConfigErrors errors_;
};

}  // namespace

tl::expected<LoadedConfig, ConfigErrors> load_config(const ConfigSources& sources) {
  return Loader(sources).load();
}

LiveChange apply_live(Config& running, const Config& fresh) {
  LiveChange change;
  Config source = fresh;
  for (const Setting& setting : settings()) {
    if (render_value(setting, running) == render_value(setting, fresh)) continue;
    if (!setting.live) {
      change.needs_restart.emplace_back(setting.name);
      continue;
    }
    std::visit([&](auto* to) { *to = *std::get<decltype(to)>(setting.field(source)); }, setting.field(running));
    change.applied.emplace_back(setting.name);
  }
  return change;
}

}  // namespace windlass::worker
