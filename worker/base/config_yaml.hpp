// Reads configuration text. The only place that knows YAML.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "worker/base/config_value.hpp"

namespace windlass::worker {

struct ConfigEntry {
  const Setting* setting;
  RawValue value;
  std::string where;  // "FILE:LINE"
};

// Keys nest ("stage: {roots: [...]}") or are written in one ("stage.roots: [...]"). A key without a value is as good as
// left out. Unknown and repeated keys, and what is no map, go to `errors`; what could be read is answered.
std::vector<ConfigEntry> read_yaml(const std::string& text, const std::string& file, std::vector<std::string>& errors);

// The value of a variable or flag. Lists and maps as "a,b" and "k=v,k=v", or in YAML's own brackets.
tl::expected<RawValue, std::string> read_inline(const Setting& setting, const std::string& text);

}  // namespace windlass::worker
