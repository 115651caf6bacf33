// Reading the kernel's small text files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace windlass::load {

// More than this of a file is not read; /proc/stat of a machine with 4,096 processors stays below.
inline constexpr std::size_t kFileBytesMax = std::size_t{4} << 20;

// The whole file, nothing where it cannot be read (errno tells why) or is longer than kFileBytesMax.
std::optional<std::string> read_file(const std::string& path);

// Views into `text`, which must outlive them. Fields are separated by blanks, empty ones left out.
std::vector<std::string_view> lines_of(std::string_view text);
std::vector<std::string_view> fields_of(std::string_view line);

// A whole decimal number with nothing around it but blanks; nothing where it is none or too large.
std::optional<std::uint64_t> number_of(std::string_view text);
std::optional<double> real_of(std::string_view text);

// The number that a file holds alone.
std::optional<std::uint64_t> read_number(const std::string& path);
// The number behind `key` in a file of lines "key number".
std::optional<std::uint64_t> keyed_number(std::string_view text, std::string_view key);

}  // namespace windlass::load
