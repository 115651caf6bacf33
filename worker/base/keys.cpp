#include "worker/base/keys.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace windlass::worker {
namespace {

constexpr std::size_t kOwnBytesMax = 4096;
constexpr std::size_t kAllowedBytesMax = std::size_t{16} << 20U;
constexpr std::size_t kNameBytesMax = 255;
constexpr std::string_view kNameRule = "a name is 1 to 255 ASCII characters without spaces";
constexpr std::string_view kRoles[] = {"scheduler", "client", "observer", "node", "revoked"};

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool read_hex(std::string_view hex, KeyBytes& into) {
  if (hex.size() != 2 * into.size()) return false;
  for (std::size_t i = 0; i < into.size(); ++i) {
    const int high = digit_of(hex[2 * i]);
    const int low = digit_of(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    into[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

bool is_name(std::string_view word) {
  const auto plain = [](char c) { return c > ' ' && c <= '~'; };
  return word.size() <= kNameBytesMax && !word.starts_with('#') && std::ranges::all_of(word, plain);
}

std::optional<KeyRole> role_of(std::string_view word) {
  const auto* found = std::ranges::find(kRoles, word);
  if (found == std::end(kRoles)) return std::nullopt;
  return static_cast<KeyRole>(found - std::begin(kRoles));
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return words;
    const auto end = std::min(line.find_first_of(" \t\r", begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

// Calls `take(words, number)` for each line that says something; answers the first error.
template <class Take>
std::optional<std::string> each_line(std::string_view text, const std::string& where, Take take) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty() || words[0].starts_with('#')) continue;
    if (auto fault = take(words); !fault.empty()) return fmt::format("{}:{}: {}", where, number, fault);
  }
  return std::nullopt;
}

// Text of a file, wiped when it goes.
struct Text {
  std::string bytes;
  Text() = default;
  Text(Text&&) = default;
  Text& operator=(Text&&) = default;
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
  ~Text() { ::explicit_bzero(bytes.data(), bytes.size()); }
};

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

std::string cannot_read(const std::string& path) {
  return fmt::format("{}: cannot be read ({}); `windlass keys new` makes a folder of keys", path, std::strerror(errno));
}

// `others`: rights that nobody but the owner may have.
tl::expected<Text, std::string> read_file(const std::string& path, mode_t others, std::size_t bytes_max,
                                          struct stat& seen) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0 || ::fstat(file.fd, &seen) != 0) return tl::unexpected(cannot_read(path));
  if (!S_ISREG(seen.st_mode)) return tl::unexpected(path + ": is no file");
  if (seen.st_uid != ::geteuid() && seen.st_uid != 0) {
    return tl::unexpected(
        fmt::format("{}: belongs to uid {}, who could change it; it is to belong to uid {} or to root", path,
                    seen.st_uid, ::geteuid()));
  }
  if ((seen.st_mode & others) != 0) {
    return tl::unexpected(fmt::format("{}: its rights {:04o} let others in; chmod {} {}", path, seen.st_mode & 07777U,
                                      others == 077 ? "600" : "go-w", path));
  }
  if (static_cast<std::size_t>(seen.st_size) > bytes_max) return tl::unexpected(path + ": is too large for keys");
  Text text;
  text.bytes.resize(bytes_max + 1);  // at once: growing would leave copies behind
  std::size_t got = 0;
  while (got < text.bytes.size()) {
    const ssize_t more = ::read(file.fd, text.bytes.data() + got, text.bytes.size() - got);
    if (more < 0) return tl::unexpected(cannot_read(path));
    if (more == 0) break;
    got += static_cast<std::size_t>(more);
  }
  if (got > bytes_max) return tl::unexpected(path + ": is too large for keys");
  text.bytes.resize(got);
  return text;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec && a.st_mode == b.st_mode &&
         a.st_uid == b.st_uid;
}

}  // namespace

std::string hex_of(const KeyBytes& key) {
  std::string hex;
  for (const std::uint8_t byte : key) hex += fmt::format("{:02x}", byte);
  return hex;
}

std::optional<KeyBytes> key_of_hex(std::string_view hex) {
  KeyBytes key{};
  if (!read_hex(hex, key)) return std::nullopt;
  return key;
}

std::string_view name_of(KeyRole role) {
  return kRoles[static_cast<std::size_t>(role)];
}

SecretKey::SecretKey(std::string_view hex) {
  if (!read_hex(hex, bytes_)) bytes_.fill(0);
}

SecretKey::SecretKey(SecretKey&& other) noexcept {
  *this = std::move(other);
}

SecretKey& SecretKey::operator=(SecretKey&& other) noexcept {
  bytes_ = other.bytes_;
  if (this != &other) ::explicit_bzero(other.bytes_.data(), other.bytes_.size());
  return *this;
}

SecretKey::~SecretKey() {
  ::explicit_bzero(bytes_.data(), bytes_.size());
}

tl::expected<OwnKey, std::string> parse_own_key(std::string_view text, const std::string& where) {
  OwnKey own;
  unsigned seen = 0;
  const auto take = [&](const std::vector<std::string_view>& words) -> std::string {
    constexpr std::string_view kFields[] = {"name", "role", "public", "secret"};
    const auto* field = std::ranges::find(kFields, words[0]);
    // What stands there is not repeated: it may be a secret in the wrong place.
    if (field == std::end(kFields) || words.size() != 2) return "is to be name, role, public or secret, and one word";
    seen |= 1U << static_cast<unsigned>(field - std::begin(kFields));
    const std::string_view word = words[1];
    KeyBytes check{};
    const bool hex = read_hex(word, check);
    ::explicit_bzero(check.data(), check.size());
    if (*field == "name") {
      if (!is_name(word)) return std::string(kNameRule);
      own.name = word;
    } else if (*field == "role") {
      const auto role = role_of(word);
      if (!role || *role == KeyRole::revoked) return "role is to be scheduler, client, observer or node";
      own.role = *role;
    } else if (!hex) {
      return std::string(*field) + " is to be 64 hex digits";
    } else if (*field == "public") {
      read_hex(word, own.key);
    } else {
      own.secret = SecretKey(word);
    }
    return {};
  };
  if (auto fault = each_line(text, where, take)) return tl::unexpected(*fault);
  if (seen != 15) return tl::unexpected(where + ": name, role, public and secret are all to stand in it");
  return own;
}

tl::expected<AllowedKeys, std::string> parse_allowed_keys(std::string_view text, const std::string& where) {
  AllowedKeys keys;
  const auto take = [&](const std::vector<std::string_view>& words) -> std::string {
    const bool any_name = words.size() == 4 && words[3] == "any-name";
    if (words.size() != 3 && !any_name) return "is to be NAME ROLE PUBLIC, and any-name for a key of many nodes";
    const auto role = role_of(words[1]);
    if (!role) return "role is to be scheduler, client, observer, node or revoked";
    const auto key = key_of_hex(words[2]);
    if (!key) return "the public key is to be 64 hex digits";
    if (!is_name(words[0])) return std::string(kNameRule);
    if (!keys.try_emplace(*key, AllowedKey{std::string(words[0]), *role, any_name}).second)
      return "this key stands in the list already";
    return {};
  };
  if (auto fault = each_line(text, where, take)) return tl::unexpected(*fault);
  return keys;
}

tl::expected<OwnKey, std::string> load_own_key(const std::string& folder) {
  const std::string path = folder + "/own";
  struct stat seen {};
  const auto text = read_file(path, 077, kOwnBytesMax, seen);
  if (!text) return tl::unexpected(text.error());
  return parse_own_key(text->bytes, path);
}

tl::expected<AllowedFile, std::string> AllowedFile::open(const std::string& folder) {
  AllowedFile file(folder + "/allowed");
  if (auto read = file.refresh(); !read) return tl::unexpected(read.error());
  return file;
}

tl::expected<bool, std::string> AllowedFile::refresh() {
  struct stat now {};
  if (::stat(path_.c_str(), &now) != 0) return tl::unexpected(cannot_read(path_));
  if (same_file(now, seen_)) return false;
  const auto text = read_file(path_, 022, kAllowedBytesMax, now);
  if (!text) return tl::unexpected(text.error());
  auto keys = parse_allowed_keys(text->bytes, path_);
  if (!keys) return tl::unexpected(keys.error());
  keys_ = std::move(*keys);
  seen_ = now;
  return true;
}

const AllowedKey* AllowedFile::find(const KeyBytes& key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &found->second;
}

std::vector<KeyBytes> AllowedFile::of_role(KeyRole role) const {
  std::vector<std::pair<std::string_view, KeyBytes>> found;
  for (const auto& [key, allowed] : keys_) {
    if (allowed.role == role) found.emplace_back(allowed.name, key);
  }
  std::ranges::sort(found);
  std::vector<KeyBytes> keys;
  for (const auto& [name, key] : found) keys.push_back(key);
  return keys;
}

}  // namespace windlass::worker
