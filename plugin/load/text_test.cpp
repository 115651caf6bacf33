#include "plugin/load/text.hpp"

#include <gtest/gtest.h>

#include "plugin/load/fixture_tree.hpp"

namespace windlass::load {
namespace {

TEST(Text, NumbersAreWholeOrAbsent) {
  EXPECT_EQ(number_of(" 12\n"), 12U);
  EXPECT_EQ(number_of("18446744073709551615"), UINT64_MAX);
  for (const char* wrong : {"", " ", "-1", "max", "12x", "1 2", "18446744073709551616", "0x10"}) {
    EXPECT_EQ(number_of(wrong), std::nullopt) << wrong;
  }
  EXPECT_EQ(real_of("1.25"), 1.25);
  EXPECT_EQ(real_of("nan"), std::nullopt);
  EXPECT_EQ(real_of("1.25%"), std::nullopt);
}

TEST(Text, FieldsAndLinesComeWithoutBlanks) {
  EXPECT_EQ(lines_of("a\nb").size(), 2U);
  EXPECT_EQ(lines_of("a\n\nb\n").size(), 3U);
  EXPECT_TRUE(lines_of("").empty());
  const auto fields = fields_of("  a\t bb  c \r");
  ASSERT_EQ(fields.size(), 3U);
  EXPECT_EQ(fields[1], "bb");
  EXPECT_TRUE(fields_of(" \t").empty());
}

TEST(Text, AFileThatIsMissingAFolderOrTooLongIsNotRead) {
  const FixtureTree tree;
  tree.put("proc/a", "7\n");
  tree.put("proc/long", std::string(kFileBytesMax + 1, 'x'));
  EXPECT_EQ(read_number(tree.proc() + "/a"), 7U);
  EXPECT_EQ(read_file(tree.proc() + "/b"), std::nullopt);
  EXPECT_EQ(read_file(tree.proc()), std::nullopt);
  EXPECT_EQ(read_file(tree.proc() + "/long"), std::nullopt);
}

}  // namespace
}  // namespace windlass::load
