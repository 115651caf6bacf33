#include "proto/bounded.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "proto/utf8.hpp"

namespace windlass::proto {
namespace {

using namespace std::string_literals;

TEST(Scan, TakesOneWholeValue) {
  EXPECT_FALSE(scan("\x80"s));
  EXPECT_FALSE(
      scan("\x81\xa1"
           "a\x93\x01\xc0\xc3"s));
  EXPECT_TRUE(scan(""s));
  EXPECT_TRUE(scan("\x80\x80"s)) << "rest bytes";
  EXPECT_TRUE(
      scan("\x81\xa1"
           "a"s))
      << "a key without its value";
}

TEST(Scan, FiveBytesThatAnnounceFourBillionElementsAreRefused) {
  for (const std::string& bytes :
       {"\xdd\xff\xff\xff\xff"s, "\xdf\xff\xff\xff\xff"s, "\xc6\xff\xff\xff\xff"s, "\xdb\xff\xff\xff\xff"s}) {
    EXPECT_TRUE(scan(bytes));
    Reader reader(bytes);
    reader.skip();
    EXPECT_TRUE(reader.failed());
  }
}

TEST(Scan, RefusesDepthNodesSizesExtensionsAndBadText) {
  EXPECT_FALSE(scan(std::string(15, '\x91') + "\x90"));
  EXPECT_TRUE(scan(std::string(16, '\x91') + "\x90"));
  EXPECT_TRUE(scan(std::string(100'000, '\x91')));
  EXPECT_TRUE(scan("\x93\x01\x02\x03"s, {.nodes_max = 3}));
  EXPECT_FALSE(scan("\x93\x01\x02\x03"s, {.nodes_max = 4}));
  EXPECT_TRUE(scan("\x93\x01\x02\x03"s, {.bytes_max = 3}));
  EXPECT_TRUE(scan("\xd4\x01\x02"s)) << "fixext";
  EXPECT_TRUE(scan("\xc1"s));
  EXPECT_TRUE(scan("\xa2\xc3\x28"s)) << "not UTF-8";
  EXPECT_FALSE(scan("\xc4\x02\xc3\x28"s)) << "bin may hold anything";
}

TEST(Scan, EveryCutOfAMessageIsRefused) {
  const std::string whole =
      "\x83\xa1"
      "a\xcb\x3f\xf0\0\0\0\0\0\0\xa1"
      "b\xc4\x03xyz\xa1"
      "c\x92\xd1\xff\x00\xda\x00\x02hi"s;
  ASSERT_FALSE(scan(whole));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_TRUE(scan(std::string_view(whole).substr(0, bytes))) << bytes;
}

TEST(Reader, ReadsEachKind) {
  const std::string bytes =
      "\x9c\x05\xff\xcc\xff\xd1\xff\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\0\0\0\0\0\0\0\xca\x3f\xc0\0\0\xcb\x3f\xf8\0\0\0\0\0\0\xc3\xa2hi\xc4\x01\0\xc0"s;
  ASSERT_FALSE(scan(bytes));
  Reader reader(bytes);
  EXPECT_EQ(reader.array(), 12U);
  EXPECT_EQ(reader.unsigned_integer(), 5U);
  EXPECT_EQ(reader.integer(), -1);
  EXPECT_EQ(reader.integer(), 255);
  EXPECT_EQ(reader.integer(), -256);
  EXPECT_EQ(reader.unsigned_integer(), UINT64_MAX);
  EXPECT_EQ(reader.integer(), INT64_MIN);
  EXPECT_EQ(reader.number(), 1.5);
  EXPECT_EQ(reader.number(), 1.5);
  EXPECT_TRUE(reader.boolean());
  EXPECT_EQ(reader.str(), "hi");
  EXPECT_EQ(reader.bin(), "\0"s);
  EXPECT_TRUE(reader.take_nil());
  EXPECT_TRUE(reader.at_end());
  EXPECT_FALSE(reader.failed());
}

TEST(Reader, RefusesWrongKindsAndRanges) {
  const auto fails = [](const std::string& bytes, auto&& read) {
    Reader reader(bytes);
    read(reader);
    return reader.failed();
  };
  EXPECT_TRUE(fails("\xff"s, [](Reader& r) { r.unsigned_integer(); }));
  EXPECT_TRUE(fails("\x09"s, [](Reader& r) { r.unsigned_integer(8); }));
  EXPECT_TRUE(fails("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"s, [](Reader& r) { r.integer(); }));
  EXPECT_TRUE(fails("\xc3"s, [](Reader& r) { r.unsigned_integer(); }));
  EXPECT_TRUE(fails("\x01"s, [](Reader& r) { r.boolean(); }));
  EXPECT_TRUE(
      fails("\xa1"
            "a"s,
            [](Reader& r) { r.bin(); }));
  EXPECT_TRUE(
      fails("\xa3"
            "abc"s,
            [](Reader& r) { r.str(2); }));
  EXPECT_TRUE(fails("\x93\x01\x02\x03"s, [](Reader& r) { r.array(2); }));
  EXPECT_FALSE(fails("\x01"s, [](Reader& r) { r.number(); })) << "an integer is a number";
}

TEST(Reader, StaysAtItsFirstFault) {
  const std::string bytes =
      "\x92\x01\xa1"
      "a"s;
  Reader reader(bytes);
  reader.str();
  const std::string first = reader.fault();
  EXPECT_EQ(reader.array(), 0U);
  EXPECT_EQ(reader.integer(), 0);
  EXPECT_EQ(reader.fault(), first);
}

TEST(ReadMap, PassesOverUnknownKeysAndRefusesDoubles) {
  std::uint64_t a = 0;
  const auto take = [&](Reader& reader) {
    read_map(reader, [&](std::string_view key) {
      if (key != "a") return false;
      a = reader.unsigned_integer();
      return true;
    });
  };
  const std::string good =
      "\x82\xa1"
      "x\x92\x01\x02\xa1"
      "a\x07"s;
  Reader reader(good);
  take(reader);
  EXPECT_FALSE(reader.failed());
  EXPECT_EQ(a, 7U);
  const std::string twice =
      "\x82\xa1"
      "a\x01\xa1"
      "a\x02"s;
  Reader doubled(twice);
  take(doubled);
  EXPECT_TRUE(doubled.failed());
  const std::string wrong =
      "\x81\xa1"
      "a\xa1z"s;
  Reader named(wrong);
  take(named);
  EXPECT_EQ(named.fault().substr(0, 3), "a: ");
}

TEST(KeySet, FindsDoublesAmongMany) {
  std::vector<std::string> keys;
  for (int i = 0; i < 500; ++i) keys.push_back("key" + std::to_string(i));
  KeySet seen;
  for (const std::string& key : keys) EXPECT_TRUE(seen.insert(key));
  for (const std::string& key : keys) EXPECT_FALSE(seen.insert(key));
}

TEST(Utf8, KnowsWellFormedText) {
  for (const char* good : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) EXPECT_TRUE(is_utf8(good));
  for (const char* bad : {"\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3"}) {
    EXPECT_FALSE(is_utf8(bad));
    EXPECT_TRUE(is_utf8(to_utf8(bad)));
  }
  EXPECT_EQ(to_utf8("a\xff"
                    "b"),
            "a?b");
}

}  // namespace
}  // namespace windlass::proto
