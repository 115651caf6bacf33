// What single settings cannot tell: defaults that come from the environment, and how settings stand to each other.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "worker/base/config_load.hpp"

namespace windlass::worker {

// The defaults on this machine.
Config default_config(const std::map<std::string, std::string>& environment);

// Appends a sentence for each rule that is broken, which begins with where the setting at fault was written.
void check_relations(const LoadedConfig& loaded, std::vector<std::string>& errors);

}  // namespace windlass::worker
