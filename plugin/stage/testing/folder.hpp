// A folder of a test's own, gone at its end, and what tests do with files in it.
#pragma once

#include <stdlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace windlass::stage::testing {

class Folder {
 public:
  Folder() {
    std::string path = (std::filesystem::temp_directory_path() / "stage-test-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make " + path);
    path_ = std::filesystem::canonical(path);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] std::string at(const std::string& name) const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }

  std::string write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << content;
    return at(name);
  }

  [[nodiscard]] bool has(const std::string& name) const {
    return std::filesystem::exists(std::filesystem::symlink_status(path_ / name));
  }

  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // Names of temporaries anywhere beneath; looks again where a stager at work took something away meanwhile.
  [[nodiscard]] std::vector<std::string> leftovers() const {
    std::error_code vanished;
    std::vector<std::string> found;
    do {
      found.clear();
      vanished.clear();
      std::filesystem::recursive_directory_iterator entry(path_, vanished);
      for (; entry != std::filesystem::recursive_directory_iterator(); entry.increment(vanished)) {
        const std::filesystem::path& path = entry->path();
        if (path.filename().string().starts_with(".windlass-")) found.push_back(path.string());
      }
    } while (vanished);
    return found;
  }

 private:
  std::filesystem::path path_;
};

inline std::string noise(std::size_t bytes, std::uint32_t seed = 1) {
  std::string out((bytes + 7) / 8 * 8, '\0');
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (std::size_t at = 0; at < out.size(); at += 8) {
    state ^= state << 13U, state ^= state >> 7U, state ^= state << 17U;
    std::memcpy(out.data() + at, &state, 8);
  }
  out.resize(bytes);
  return out;
}

}  // namespace windlass::stage::testing
