#include "proto/bounded.hpp"

#include <bit>
#include <cstring>

#include "proto/utf8.hpp"

namespace windlass::proto {

// The opening of one value: `bytes` of it, then `payload` bytes (str, bin) or `count` elements (array; a map's pairs).
struct Head {
  Kind kind = Kind::none;
  std::size_t bytes = 0;
  std::uint64_t payload = 0;
  std::uint64_t count = 0;
  bool negative = false;   // integers: `bits` is an int64 below zero
  std::uint64_t bits = 0;  // value of an integer or a boolean, or the bits of a double
  const char* wrong = nullptr;
};

namespace {

std::uint64_t big_endian(const char* at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8U | static_cast<unsigned char>(at[i]);
  return value;
}

std::uint64_t sign_extended(std::uint64_t value, std::size_t bytes) {
  const auto shift = static_cast<unsigned>(64 - 8 * bytes);
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(value << shift) >> shift);
}

// What a first byte from 0xC0 to 0xDF stands for, and how many bytes of length or value follow it.
struct Form {
  Kind kind;
  std::uint8_t extra;
};

constexpr Form kForms[32] = {
    {Kind::nil, 0},     {Kind::none, 0},    {Kind::boolean, 0}, {Kind::boolean, 0},  // C0..C3
    {Kind::bin, 1},     {Kind::bin, 2},     {Kind::bin, 4},     {Kind::none, 0},     // C4..C7
    {Kind::none, 0},    {Kind::none, 0},    {Kind::number, 4},  {Kind::number, 8},   // C8..CB
    {Kind::integer, 1}, {Kind::integer, 2}, {Kind::integer, 4}, {Kind::integer, 8},  // CC..CF unsigned
    {Kind::integer, 1}, {Kind::integer, 2}, {Kind::integer, 4}, {Kind::integer, 8},  // D0..D3 signed
    {Kind::none, 0},    {Kind::none, 0},    {Kind::none, 0},    {Kind::none, 0},     // D4..D7
    {Kind::none, 0},    {Kind::str, 1},     {Kind::str, 2},     {Kind::str, 4},      // D8..DB
    {Kind::array, 2},   {Kind::array, 4},   {Kind::map, 2},     {Kind::map, 4},      // DC..DF
};

}  // namespace

const char* name_of(Kind kind) {
  constexpr const char* kNames[] = {"nothing", "nil",   "a bool",   "an integer", "a float",
                                    "a str",   "a bin", "an array", "a map"};
  return kNames[static_cast<std::size_t>(kind)];
}

namespace {

Head small_head(unsigned first) {
  Head head;
  head.bytes = 1;
  if (first < 0x80) {
    head.kind = Kind::integer;
    head.bits = first;
  } else if (first < 0x90) {
    head.kind = Kind::map;
    head.count = first & 0x0FU;
  } else if (first < 0xA0) {
    head.kind = Kind::array;
    head.count = first & 0x0FU;
  } else if (first < 0xC0) {
    head.kind = Kind::str;
    head.payload = first & 0x1FU;
  } else {  // 0xE0 and up
    head.kind = Kind::integer;
    head.negative = true;
    head.bits = sign_extended(first, 1);
  }
  return head;
}

void fill(Head& head, unsigned first, std::uint64_t value, std::size_t extra) {
  switch (head.kind) {
    case Kind::boolean:
      head.bits = first & 1U;
      break;
    case Kind::integer:
      head.bits = first >= 0xD0 ? sign_extended(value, extra) : value;
      head.negative = first >= 0xD0 && static_cast<std::int64_t>(head.bits) < 0;
      break;
    case Kind::number:
      head.bits = extra == 8 ? value
                             : std::bit_cast<std::uint64_t>(
                                   static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value))));
      break;
    case Kind::str:
    case Kind::bin:
      head.payload = value;
      break;
    default:
      head.count = value;
  }
}

// One opening at the start of `rest`; never reads past it. Counts and lengths are checked against what remains.
Head head_of(std::string_view rest) {
  Head head;
  if (rest.empty()) {
    head.wrong = "the message ends too early";
    return head;
  }
  const unsigned first = static_cast<unsigned char>(rest[0]);
  if (first < 0xC0 || first >= 0xE0) {
    head = small_head(first);
  } else {
    const Form form = kForms[first - 0xC0];
    if (form.kind == Kind::none) {
      head.wrong = first == 0xC1 ? "the byte c1 begins no value" : "extension types are not part of the protocol";
      return head;
    }
    head.bytes = 1U + form.extra;
    if (rest.size() < head.bytes) {
      head.wrong = "the message ends too early";
      return head;
    }
    head.kind = form.kind;
    fill(head, first, big_endian(rest.data() + 1, form.extra), form.extra);
  }
  const std::uint64_t least = head.payload + head.count * (head.kind == Kind::map ? 2 : 1);
  if (least > rest.size() - head.bytes) {
    head.wrong = "more is announced than the message has bytes";
    head.kind = Kind::none;
  }
  return head;
}

std::string at_byte(const char* wrong, std::size_t at) {
  return std::string(wrong) + " (byte " + std::to_string(at) + ")";
}

// Bytes of a value that the first of them tells all about: small integers, nil, booleans, short ASCII. 0: of another.
std::size_t plain_bytes(std::string_view rest) {
  if (rest.empty()) return 0;
  const unsigned first = static_cast<unsigned char>(rest[0]);
  if (first < 0x80 || first >= 0xE0 || first == 0xC0 || first == 0xC2 || first == 0xC3) return 1;
  if ((first & 0xE0U) != 0xA0U) return 0;
  const std::size_t size = first & 0x1FU;
  return size < rest.size() && is_ascii(rest.substr(1, size)) ? 1 + size : 0;
}

const char* fault_of(const Head& head, std::string_view rest) {
  if (head.wrong != nullptr) return head.wrong;
  if (head.kind == Kind::str && !is_utf8(rest.substr(head.bytes, head.payload))) return "a str is not UTF-8";
  return nullptr;
}

}  // namespace

std::optional<std::string> scan(std::string_view bytes, const ScanLimits& limits) {
  constexpr std::uint32_t kDeepest = 64;
  if (bytes.size() > limits.bytes_max) {
    return "at most " + std::to_string(limits.bytes_max) + " bytes are allowed, not " + std::to_string(bytes.size());
  }
  std::array<std::uint64_t, kDeepest> left{};  // values still to come, per level
  left[0] = 1;
  std::uint32_t depth = 0;
  std::uint64_t nodes = 0;
  std::size_t at = 0;
  for (;;) {
    while (left[depth] == 0 && depth > 0) --depth;
    if (left[depth] == 0) break;
    --left[depth];
    const std::string_view rest = bytes.substr(at);
    if (const std::size_t plain = plain_bytes(rest); plain > 0 && nodes < limits.nodes_max) {
      ++nodes;
      at += plain;
      continue;
    }
    const Head head = head_of(rest);
    if (const char* wrong = fault_of(head, rest)) return at_byte(wrong, at);
    if (++nodes > limits.nodes_max) return "more than " + std::to_string(limits.nodes_max) + " values";
    at += head.bytes + head.payload;
    if (head.kind != Kind::array && head.kind != Kind::map) continue;
    if (++depth > limits.depth_max || depth >= kDeepest) return at_byte("maps and arrays are nested too deeply", at);
    left[depth] = head.count * (head.kind == Kind::map ? 2 : 1);
  }
  if (at != bytes.size()) return at_byte("bytes follow the end of the message", at);
  return std::nullopt;
}

Head Reader::head() const {
  if (failed()) return {};
  return head_of(bytes_.substr(at_));
}

Kind Reader::kind() const {
  return head().kind;
}

void Reader::fail(std::string what) {
  if (fault_.empty()) fault_ = std::move(what);
}

void Reader::blame(std::string_view where) {
  fault_ = std::string(where) + ": " + fault_;
}

Head Reader::take(Kind wanted) {
  Head found = head();
  if (failed()) return {};
  if (found.wrong != nullptr) {
    fail(at_byte(found.wrong, at_));
    return {};
  }
  if (found.kind != wanted && !(wanted == Kind::number && found.kind == Kind::integer)) {
    fail(std::string(name_of(wanted)) + " is wanted here, not " + name_of(found.kind));
    return {};
  }
  at_ += found.bytes;
  return found;
}

int Reader::first() const {
  return failed() || at_ == bytes_.size() ? -1 : static_cast<unsigned char>(bytes_[at_]);
}

std::uint64_t Reader::unsigned_integer(std::uint64_t max) {
  if (const int small = first(); small >= 0 && small < 0x80 && static_cast<unsigned>(small) <= max) {
    ++at_;
    return static_cast<unsigned>(small);
  }
  const Head found = take(Kind::integer);
  if (failed()) return 0;
  if (found.negative) {
    fail("a number from 0 up is wanted here");
    return 0;
  }
  if (found.bits > max) {
    fail("at most " + std::to_string(max) + " is allowed here, not " + std::to_string(found.bits));
    return 0;
  }
  return found.bits;
}

std::int64_t Reader::integer(std::int64_t min, std::int64_t max) {
  const Head found = take(Kind::integer);
  if (failed()) return 0;
  const auto value = static_cast<std::int64_t>(found.bits);
  if ((!found.negative && value < 0) || value < min || value > max) {
    fail("a number from " + std::to_string(min) + " to " + std::to_string(max) + " is wanted here");
    return 0;
  }
  return value;
}

double Reader::number() {
  const Head found = take(Kind::number);
  if (failed()) return 0.0;
  if (found.kind == Kind::number) return std::bit_cast<double>(found.bits);
  return found.negative ? static_cast<double>(static_cast<std::int64_t>(found.bits)) : static_cast<double>(found.bits);
}

bool Reader::boolean() {
  return take(Kind::boolean).bits != 0;
}

std::string_view Reader::blob(Kind wanted, std::size_t bytes_max) {
  // A key or a word, which most are, has its length in its first byte.
  if (const int small = first(); wanted == Kind::str && small >= 0xA0 && small < 0xC0) {
    const auto size = static_cast<std::size_t>(small & 0x1F);
    if (size <= bytes_max && size < bytes_.size() - at_) {
      at_ += 1 + size;
      return bytes_.substr(at_ - size, size);
    }
  }
  const Head found = take(wanted);
  if (failed()) return {};
  if (found.payload > bytes_max) {
    fail("at most " + std::to_string(bytes_max) + " bytes are allowed here, not " + std::to_string(found.payload));
    return {};
  }
  const std::string_view view = bytes_.substr(at_, found.payload);
  at_ += found.payload;
  return view;
}

std::string_view Reader::str(std::size_t bytes_max) {
  return blob(Kind::str, bytes_max);
}
std::string_view Reader::bin(std::size_t bytes_max) {
  return blob(Kind::bin, bytes_max);
}

bool Reader::take_nil() {
  if (first() != 0xC0) return false;
  ++at_;
  return true;
}

// Takes the opening where its one byte, from `base` on, tells the count and nothing is wrong with it; 0: of another.
std::size_t Reader::few(int base, std::size_t bytes_each, std::size_t count_max) {
  const int small = first();
  if (small <= base || small >= base + 16) return 0;
  const auto count = static_cast<std::size_t>(small - base);
  if (count > count_max || count * bytes_each >= bytes_.size() - at_) return 0;
  ++at_;
  return count;
}

std::size_t Reader::array(std::size_t count_max) {
  if (const std::size_t count = few(0x90, 1, count_max); count > 0) return count;
  const std::size_t count = take(Kind::array).count;
  if (count > count_max)
    fail("at most " + std::to_string(count_max) + " elements are allowed, not " + std::to_string(count));
  return failed() ? 0 : count;
}

std::size_t Reader::map(std::size_t count_max) {
  if (const std::size_t count = few(0x80, 2, count_max); count > 0) return count;
  const std::size_t count = take(Kind::map).count;
  if (count > count_max)
    fail("at most " + std::to_string(count_max) + " keys are allowed, not " + std::to_string(count));
  return failed() ? 0 : count;
}

void Reader::skip() {
  for (std::uint64_t open = 1; open > 0 && !failed(); --open) {
    const Head found = head();
    if (found.wrong != nullptr) return fail(at_byte(found.wrong, at_));
    at_ += found.bytes + found.payload;
    open += found.count * (found.kind == Kind::map ? 2 : 1);
  }
}

std::string_view Reader::raw() {
  const std::size_t from = at_;
  skip();
  return failed() ? std::string_view{} : bytes_.substr(from, at_ - from);
}

bool KeySet::insert(std::string_view key) {
  if (count_ < few_.size()) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (few_[i] == key) return false;
    }
    few_[count_++] = key;
    return true;
  }
  if (many_.empty()) many_.insert(few_.begin(), few_.end());
  return many_.insert(key).second;
}

}  // namespace windlass::proto
