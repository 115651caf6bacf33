// The little JSON that log lines and HTTP bodies need.
#pragma once

#include <string>
#include <string_view>

namespace windlass::worker {

// The text as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD, so the result is always valid JSON.
std::string json_string(std::string_view text);

}  // namespace windlass::worker
