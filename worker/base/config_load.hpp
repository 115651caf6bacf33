// From file, environment and flags to a Config: what is given later wins (YAML file < WINDLASS_SECTION__KEY <
// --section.key=value). Reads the file and nothing else; no state, any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "worker/base/config.hpp"

namespace windlass::worker {

struct ConfigSources {
  std::optional<std::string> file;
  std::map<std::string, std::string> environment;  // the whole of it; what begins with WINDLASS_ and holds "__" is read
  std::vector<std::string> flags;                  // "--section.key=value"
};

struct LoadedConfig {
  Config config;
  std::map<std::string, std::string> origins;  // key -> "default", "FILE:LINE", "WINDLASS_..." or "--..."
};

// Each line is a whole sentence: where, what, why, what to do.
using ConfigErrors = std::vector<std::string>;

tl::expected<LoadedConfig, ConfigErrors> load_config(const ConfigSources& sources);

// For a reload: copies what may change live from `fresh` into `running`. The keys that changed are told apart by
// whether they now hold or wait for a restart.
struct LiveChange {
  std::vector<std::string> applied;
  std::vector<std::string> needs_restart;
};
LiveChange apply_live(Config& running, const Config& fresh);

}  // namespace windlass::worker
