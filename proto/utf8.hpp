// UTF-8 as the wire's str wants it. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace windlass::proto {

// Well-formed: shortest forms only, no surrogates, nothing above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text);

// The text with each byte that is not part of well-formed UTF-8 replaced by '?': for messages that quote paths.
[[nodiscard]] std::string to_utf8(std::string_view text);

}  // namespace windlass::proto
