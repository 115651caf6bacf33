// The folder of keys that `security.keys` names, as files: `own` (one key with its secret half) and `allowed` (who may
// speak to us). docs/security.md tells the form; scheduler_bridge/windlass/_keys.py writes it. No socket. Errors are
// whole sentences that never hold a secret. Any thread.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace windlass::worker {

using KeyBytes = std::array<std::uint8_t, 32>;

// 64 hex digits, as keys are written everywhere.
std::string hex_of(const KeyBytes& key);
std::optional<KeyBytes> key_of_hex(std::string_view hex);

// Wiped when it goes; can be neither copied nor printed.
class SecretKey {
 public:
  SecretKey() = default;
  explicit SecretKey(std::string_view hex);  // all zero where `hex` is none
  explicit SecretKey(const KeyBytes& bytes) : bytes_(bytes) {}
  SecretKey(SecretKey&& other) noexcept;
  SecretKey& operator=(SecretKey&& other) noexcept;
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;
  ~SecretKey();
  [[nodiscard]] const KeyBytes& bytes() const { return bytes_; }

 private:
  KeyBytes bytes_{};
};

// `revoked` stays in the list so that its use is told apart from that of a stranger's.
enum class KeyRole : std::uint8_t { scheduler, client, observer, node, revoked };
std::string_view name_of(KeyRole role);

struct OwnKey {
  std::string name;
  KeyRole role = KeyRole::node;
  KeyBytes key{};
  SecretKey secret;
};

// What a socket that dials with a key needs. Borrowed.
struct DialKeys {
  const OwnKey& own;
  KeyBytes server;  // the other side's public half
};

struct AllowedKey {
  std::string name;
  KeyRole role = KeyRole::revoked;
  bool any_name = false;  // of a node: it may register under any name
};
using AllowedKeys = std::map<KeyBytes, AllowedKey>;

// Of the text of a file; `where` begins the error's sentence.
tl::expected<OwnKey, std::string> parse_own_key(std::string_view text, const std::string& where);
tl::expected<AllowedKeys, std::string> parse_allowed_keys(std::string_view text, const std::string& where);

// Reads FOLDER/own, which nobody else may be able to read.
tl::expected<OwnKey, std::string> load_own_key(const std::string& folder);

// FOLDER/allowed, which nobody else may be able to write, read again whenever it changes.
class AllowedFile {
 public:
  static tl::expected<AllowedFile, std::string> open(const std::string& folder);

  // Looks whether the file has changed. true: it was read anew; an error: it could not be, and what was known stays.
  tl::expected<bool, std::string> refresh();
  [[nodiscard]] const AllowedKeys& keys() const { return keys_; }
  // Null for a stranger's.
  [[nodiscard]] const AllowedKey* find(const KeyBytes& key) const;
  // The keys of this role, by name.
  [[nodiscard]] std::vector<KeyBytes> of_role(KeyRole role) const;

 private:
  explicit AllowedFile(std::string path) : path_(std::move(path)) {}

  std::string path_;
  struct stat seen_ {};
  AllowedKeys keys_;
};

}  // namespace windlass::worker
