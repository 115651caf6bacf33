// The two files of a folder of keys. After a first byte of 'o' the text of `own`, else that of `allowed`.
#include "worker/base/keys.hpp"

#include <algorithm>

#include "tests/fuzz/fuzz.hpp"

namespace windlass::fuzz {
namespace {

using worker::hex_of;
using worker::KeyBytes;
using worker::name_of;

const std::string kWhere = "keys/file";

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

// No word of 64 hex digits of the text stands in what is said of it: it might be the secret.
void require_untold(std::string_view text, std::string_view said) {
  std::size_t run = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    run = is_hex(text[at]) ? run + 1 : 0;
    if (run < 64) continue;
    require(said.find(text.substr(at + 1 - 64, 64)) == std::string_view::npos, "an error holds no key");
  }
}

template <class Parsed>
bool refused(const Parsed& parsed, std::string_view text) {
  if (parsed) return false;
  require(parsed.error().starts_with(kWhere) && parsed.error().size() > kWhere.size() + 2,
          "a refusal says where and why");
  require_untold(text, parsed.error());
  return true;
}

void own(std::string_view text) {
  const auto parsed = worker::parse_own_key(text, kWhere);
  if (refused(parsed, text)) return;
  require(parsed->role != worker::KeyRole::revoked, "nobody's own key is a revoked one");
  const std::string written = "name " + parsed->name + "\nrole " + std::string(name_of(parsed->role)) + "\npublic " +
                              hex_of(parsed->key) + "\nsecret " + hex_of(parsed->secret.bytes()) + "\n";
  const auto again = worker::parse_own_key(written, kWhere);
  require(again && again->name == parsed->name && again->role == parsed->role && again->key == parsed->key &&
              again->secret.bytes() == parsed->secret.bytes(),
          "what is read is written and read alike");
}

bool same(const worker::AllowedKeys& one, const worker::AllowedKeys& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.name == b.second.name && a.second.role == b.second.role &&
           a.second.any_name == b.second.any_name;
  });
}

void allowed(std::string_view text) {
  const auto parsed = worker::parse_allowed_keys(text, kWhere);
  if (refused(parsed, text)) return;
  std::string written;
  for (const auto& [key, entry] : *parsed) {
    written += entry.name + " " + std::string(name_of(entry.role)) + " " + hex_of(key);
    written += entry.any_name ? " any-name\n" : "\n";
  }
  const auto again = worker::parse_allowed_keys(written, kWhere);
  require(again && same(*parsed, *again), "what is read is written and read alike");
}

}  // namespace

void run(std::string_view bytes) {
  if (bytes.empty()) return;
  const std::string_view text = bytes.substr(1);
  bytes[0] == 'o' ? own(text) : allowed(text);
}

std::vector<std::string> seeds() {
  const std::string one(64, 'a'), two(64, '0');
  return {"oname node-1\nrole node\npublic " + one + "\nsecret " + two + "\n",
          "o# a remark\r\n\n secret " + two + "\t\nrole scheduler\nname boss\npublic " + one,
          "oname x\nrole node\npublic " + two + "\nsecret " + two + " " + two + "\n",
          "aboss scheduler " + one + "\nfleet node " + two + " any-name\n",
          "a# who is whom\r\n\tann client " + one + "\n\ndash observer " + two + "\n",
          "aann revoked " + one + "\nann client " + one + "\n"};
}

}  // namespace windlass::fuzz
