// The one document of a YAML text. Any thread; no state.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>

namespace windlass::worker {

// Throws YAML::Exception where the text is no YAML, and where more follows after the document: it would be passed over
// in silence, and yaml-cpp's LoadAll never ends on some texts.
[[nodiscard]] YAML::Node load_document(const std::string& text);

}  // namespace windlass::worker
