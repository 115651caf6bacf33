#include "plugin/stage/place.hpp"

#include <gtest/gtest.h>

namespace windlass::stage {
namespace {

TEST(Place, TakesPathsAsTheyAre) {
  const auto place = parse_place("//a/./b%20c//d/");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->path(), "/a/b%20c/d");
  EXPECT_TRUE(place->folder);
  EXPECT_FALSE(place->climbs());
  EXPECT_TRUE(parse_place("/a/../b")->climbs());
}

TEST(Place, DecodesFileUrlsOnce) {
  EXPECT_EQ(parse_place("file:///a%2520b")->path(), "/a%20b");
  EXPECT_EQ(parse_place("FILE://LocalHost/a%C3%A4")->path(), "/a\xC3\xA4");
  EXPECT_EQ(parse_place("file:/a")->path(), "/a");
  EXPECT_TRUE(parse_place("file:///a/%2e%2E/b")->climbs()) << "decoded dots climb like any others";
}

TEST(Place, RefusesWhatNamesNothing) {
  using namespace std::string_literals;
  for (const auto& wrong :
       {""s, "a/b"s, "~/a"s, "file:a"s, "file://host/a"s, "file:///a?b"s, "file:///a#b"s, "file:///%00"s,
        "file:///a%2Fb"s, "file:///a%"s, "file:///a%2"s, "file:///%zz"s, "ftp://a/b"s, "/a\0b"s}) {
    const auto place = parse_place(wrong);
    ASSERT_FALSE(place) << wrong;
    EXPECT_EQ(place.error().code, Code::invalid_argument) << wrong;
  }
}

TEST(Place, NamesTheKindsThatAreNotServed) {
  for (const char* url : {"http://a/b", "HTTPS://a/b", "s3://bucket/key", "windlass://node/path"})
    EXPECT_EQ(parse_place(url).error().code, Code::unimplemented) << url;
}

TEST(Place, KeepsTheTemporariesNames) {
  EXPECT_FALSE(check_target_name(*parse_place("/a/.windlass-x")));
  EXPECT_FALSE(check_target_name(*parse_place("/a/.windlass-x/inner")));
  EXPECT_FALSE(check_target_name(*parse_place("/")));
  EXPECT_TRUE(check_target_name(*parse_place("/a/windlass-x")));
}

TEST(Place, QuotesWhatIsNoText) {
  EXPECT_EQ(quoted("a\xFF\n\xC3\xA4"), "'a\\xff\\x0a\xC3\xA4'");
  EXPECT_EQ(quoted("\xED\xA0\x80"), "'\\xed\\xa0\\x80'") << "a lone surrogate is no UTF-8";
  EXPECT_LT(stage::quoted(std::string(5000, '\xFF')).size(), 2000U);
}

}  // namespace
}  // namespace windlass::stage
