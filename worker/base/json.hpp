// The little JSON that log lines and HTTP bodies need.
#ifndef WINDLASS_WORKER_BASE_JSON_HPP
#define WINDLASS_WORKER_BASE_JSON_HPP

#include <string>
#include <string_view>

namespace windlass::worker {

// The text as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD, so the result is always valid JSON.
std::string json_string(std::string_view text);

}  // namespace windlass::worker

#endif  // WINDLASS_WORKER_BASE_JSON_HPP
