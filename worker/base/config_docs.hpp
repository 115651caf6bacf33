// The table in words. Any thread.
#pragma once

#include <string>

#include "worker/base/config_load.hpp"

namespace windlass::worker {

std::string config_docs();  // docs/config.md
std::string config_help();  // the settings' part of --help
// Every setting with its value, as YAML that can be read back, and beside it where the value comes from.
std::string effective_config(const LoadedConfig& loaded);

}  // namespace windlass::worker
