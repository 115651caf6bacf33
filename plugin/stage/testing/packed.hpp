// What gzip and zstd make of bytes, for tests.
#pragma once

#include <string>
#include <string_view>

#include "plugin/stage/decoder.hpp"

namespace windlass::stage::testing {

// One member or frame. zstd's has a checksum. `window_log` 0: the one of the level; else the content's length is not
// told, so that all of that window is asked for.
std::string packed(Packing packing, std::string_view content, int level = 1, int window_log = 0);

// zstd's frame that holds something for others.
std::string skippable(std::string_view content);

}  // namespace windlass::stage::testing
