#include "plugin/stage/checksum.hpp"

#include <openssl/evp.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cctype>
#include <new>

#include "plugin/stage/crc.hpp"

namespace windlass::stage {
namespace {

struct Form {
  std::string_view name;
  ChecksumKind kind;
  std::size_t digits;
};
constexpr std::array<Form, 5> kForms{{{"xxh3", ChecksumKind::xxh3, 16},
                                      {"crc32c", ChecksumKind::crc32c, 8},
                                      {"crc64nvme", ChecksumKind::crc64nvme, 16},
                                      {"sha256", ChecksumKind::sha256, 64},
                                      {"md5", ChecksumKind::md5, 32}}};

std::string hex_of(std::uint64_t value, int digits) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out(static_cast<std::size_t>(digits), '0');
  for (auto at = out.rbegin(); at != out.rend(); ++at, value >>= 4U) *at = kDigits[value & 15U];
  return out;
}

class Xxh3 final : public Hasher {
 public:
  Xxh3() : state_(XXH3_createState()) {
    if (state_ == nullptr) throw std::bad_alloc();
    XXH3_64bits_reset(state_);
  }
  Xxh3(const Xxh3&) = delete;
  Xxh3& operator=(const Xxh3&) = delete;
  ~Xxh3() override { XXH3_freeState(state_); }
  void add(const void* data, std::size_t bytes) override { XXH3_64bits_update(state_, data, bytes); }
  std::string hex() override { return hex_of(XXH3_64bits_digest(state_), 16); }

 private:
  XXH3_state_t* state_;
};

class Crc32c final : public Hasher {
 public:
  void add(const void* data, std::size_t bytes) override { value_ = crc32c(value_, data, bytes); }
  std::string hex() override { return hex_of(value_, 8); }

 private:
  std::uint32_t value_ = 0;
};

class Crc64 final : public Hasher {
 public:
  void add(const void* data, std::size_t bytes) override { value_ = crc64nvme(value_, data, bytes); }
  std::string hex() override { return hex_of(value_, 16); }

 private:
  std::uint64_t value_ = 0;
};

class Digest final : public Hasher {
 public:
  explicit Digest(const EVP_MD* kind) : context_(EVP_MD_CTX_new()) {
    if (context_ == nullptr || EVP_DigestInit_ex(context_, kind, nullptr) != 1) throw std::bad_alloc();
  }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;
  ~Digest() override { EVP_MD_CTX_free(context_); }
  void add(const void* data, std::size_t bytes) override { EVP_DigestUpdate(context_, data, bytes); }
  std::string hex() override {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int bytes = 0;
    EVP_DigestFinal_ex(context_, digest.data(), &bytes);
    std::string out;
    for (unsigned int i = 0; i < bytes; ++i) out += hex_of(digest[i], 2);
    return out;
  }

 private:
  EVP_MD_CTX* context_;
};

}  // namespace

std::string_view name_of(ChecksumKind kind) {
  for (const Form& form : kForms)
    if (form.kind == kind) return form.name;
  assert(false);
  return "";
}

Result<ChecksumWish> parse_checksum(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  for (const Form& form : kForms) {
    if (form.name != name) continue;
    ChecksumWish wish{form.kind, {}};
    if (colon == std::string_view::npos) return wish;
    wish.expected = text.substr(colon + 1);
    for (char& c : wish.expected) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool all_hex = wish.expected.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!all_hex || wish.expected.size() != form.digits)
      return fail(Code::invalid_argument, "checksum " + quoted(text) + ": " + std::string(form.name) + " takes " +
                                              std::to_string(form.digits) + " hex digits");
    return wish;
  }
  return fail(Code::invalid_argument,
              "checksum " + quoted(text) + " is not known; there are xxh3, crc32c, crc64nvme, sha256 and md5");
}

void Hasher::add_zeros(std::uint64_t bytes) {
  static constexpr std::array<char, 65536> kZeros{};
  for (; bytes > 0; bytes -= std::min<std::uint64_t>(bytes, kZeros.size()))
    add(kZeros.data(), static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kZeros.size())));
}

std::unique_ptr<Hasher> make_hasher(ChecksumKind kind) {
  switch (kind) {
    case ChecksumKind::xxh3:
      return std::make_unique<Xxh3>();
    case ChecksumKind::crc32c:
      return std::make_unique<Crc32c>();
    case ChecksumKind::crc64nvme:
      return std::make_unique<Crc64>();
    case ChecksumKind::sha256:
      return std::make_unique<Digest>(EVP_sha256());
    case ChecksumKind::md5:
      return std::make_unique<Digest>(EVP_md5());
  }
  assert(false);
  return nullptr;
}

}  // namespace windlass::stage
