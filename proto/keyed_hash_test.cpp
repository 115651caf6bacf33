// Keys that all meet under a hash without a key, as whoever knows the function makes them: here they must not. What a
// table does is counted, in comparisons, and not timed; each case first shows that the count sees what it is to see.
#include "proto/keyed_hash.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "proto/bounded.hpp"
#include "proto/messages.hpp"

namespace windlass::proto {
namespace {

// How many keys are passed when each is looked for once, had every bucket to be walked to its end.
template <class Table>
std::size_t comparisons(const Table& table) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < table.bucket_count(); ++i) sum += table.bucket_size(i) * table.bucket_size(i);
  return sum;
}

template <class Key, class Unkeyed = std::hash<Key>>
void expect_flood_only_without_key(const std::vector<Key>& keys) {
  const std::unordered_set<Key, Unkeyed> open(keys.begin(), keys.end());
  const KeyedSet<Key> keyed(keys.begin(), keys.end());
  ASSERT_EQ(keyed.size(), keys.size());
  EXPECT_GE(comparisons(open), keys.size() * keys.size() / 2) << "these keys flood nothing: the test sees nothing";
  EXPECT_LE(comparisons(keyed), 4 * keys.size());
}

constexpr std::size_t kMany = 4'000;

std::uint64_t inverse(std::uint64_t odd) {
  std::uint64_t found = odd;
  for (int i = 0; i < 6; ++i) found *= 2 - odd * found;
  return found;
}

// Sixteen ASCII bytes each, all with one value of libstdc++'s hash of bytes: MurmurHash64A (Appleby) with a seed that
// everybody knows, each step of which can be undone.
std::vector<std::string> meeting_texts() {
  constexpr std::uint64_t kMul = 0xc6a4a7935bd1e995U;
  const auto mixed = [](std::uint64_t value) { return value ^ value >> 47U; };
  const std::uint64_t begin = 0xc70f6907U ^ 16 * kMul;
  const std::uint64_t back = inverse(kMul);
  std::mt19937_64 random(1);
  std::vector<std::string> texts;
  while (texts.size() < kMany) {
    const std::uint64_t first = random() & 0x7F7F7F7F7F7F7F7FU;
    const std::uint64_t after_first = (begin ^ mixed(first * kMul) * kMul) * kMul;
    const std::uint64_t second = mixed((after_first ^ 0x1234567890ABCDEFU) * back) * back;
    if ((second & 0x8080808080808080U) != 0) continue;
    std::string text(16, '\0');
    std::memcpy(text.data(), &first, sizeof first);
    std::memcpy(text.data() + sizeof first, &second, sizeof second);
    texts.push_back(std::move(text));
  }
  return texts;
}

TEST(KeyedHash, TextsThatMeetWithoutAKeyDoNotMeet) {
  const std::vector<std::string> texts = meeting_texts();
  for (const std::string& text : texts) {
    ASSERT_EQ(std::hash<std::string>{}(text), std::hash<std::string>{}(texts[0]));
  }
  expect_flood_only_without_key<std::string>(texts);
  expect_flood_only_without_key<std::string_view>({texts.begin(), texts.end()});
}

// What names its buckets by a remainder takes multiples.
TEST(KeyedHash, NumbersThatMeetWithoutAKeyDoNotMeet) {
  const std::size_t buckets = std::unordered_set<std::int32_t>(kMany).bucket_count();
  std::vector<std::int32_t> small;
  std::vector<std::int64_t> large;
  for (std::size_t i = 0; i < kMany; ++i) {
    small.push_back(static_cast<std::int32_t>(i * buckets));
    large.push_back(static_cast<std::int64_t>(i * buckets));
  }
  std::unordered_set<std::int32_t> open(buckets);
  open.insert(small.begin(), small.end());
  ASSERT_EQ(open.bucket_count(), buckets);
  EXPECT_EQ(open.bucket_size(0), kMany);
  EXPECT_LE(comparisons(KeyedSet<std::int32_t>(small.begin(), small.end(), buckets)), 4 * kMany);
  EXPECT_LE(comparisons(KeyedSet<std::int64_t>(large.begin(), large.end(), buckets)), 4 * kMany);
}

struct OpenIdHash {
  std::size_t operator()(const RequestId& id) const {
    std::uint64_t parts[2];
    std::memcpy(parts, id.bytes.data(), sizeof parts);
    return parts[0] ^ parts[1] * 0x9E3779B97F4A7C15U;
  }
};

TEST(KeyedHash, IdsThatMeetWithoutAKeyDoNotMeet) {
  std::vector<RequestId> ids(kMany);
  for (std::size_t i = 0; i < kMany; ++i) {
    const std::uint64_t parts[2] = {i * 0x9E3779B97F4A7C15U, i};
    std::memcpy(ids[i].bytes.data(), parts, sizeof parts);
  }
  expect_flood_only_without_key<RequestId, OpenIdHash>(ids);
}

TEST(KeyedHash, AFixedKeyIsTheSameEachTime) {
  fix_hash_key(5);
  const std::uint64_t text = keyed_hash("label");
  const std::uint64_t number = keyed_hash(7U);
  fix_hash_key(6);
  EXPECT_NE(keyed_hash("label"), text);
  EXPECT_NE(keyed_hash(7U), number);
  fix_hash_key(5);
  EXPECT_EQ(keyed_hash("label"), text);
  EXPECT_EQ(keyed_hash(7U), number);
}

// A message of so many keys: told by its head alone, before any of them is kept.
std::string map_of(const std::vector<std::string>& keys) {
  std::string bytes{'\xdf'};
  for (const unsigned shift : {24U, 16U, 8U, 0U}) bytes.push_back(static_cast<char>(keys.size() >> shift));
  for (const std::string& key : keys) bytes += static_cast<char>(0xA0U | key.size()) + key + '\0';
  return bytes;
}

TEST(KeyedHash, AMapOfMoreKeysThanThereMayBeIsRefusedAtItsHead) {
  const std::vector<std::string> texts = meeting_texts();
  const auto fault_of = [&](std::size_t count) {
    const std::string bytes = map_of({texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(count)});
    EXPECT_FALSE(scan(bytes));
    Reader reader(bytes);
    std::size_t taken = 0;
    read_map(reader, [&](std::string_view) { return ++taken, false; });
    EXPECT_EQ(taken, reader.failed() ? 0 : count);
    return reader.fault();
  };
  EXPECT_EQ(fault_of(kKeysMax), "");
  EXPECT_EQ(fault_of(kKeysMax + 1), "at most 1024 keys are allowed, not 1025");
  EXPECT_EQ(fault_of(kMany), "at most 1024 keys are allowed, not 4000");
}

}  // namespace
}  // namespace windlass::proto
