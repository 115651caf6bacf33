#include "proto/codec.hpp"

#include <gtest/gtest.h>

#include "proto/writer.hpp"

namespace windlass::proto {
namespace {

template <class Body>
std::string fault_of(const std::string& bytes) {
  const auto body = decode<Body>(bytes);
  return body ? "" : body.error().message;
}

RequestId some_id() {
  RequestId id;
  id.bytes.fill('i');
  return id;
}

TEST(Header, NeedsVersionTypeAndId) {
  Header header;
  header.t = 4;
  header.id = some_id();
  ASSERT_TRUE(decode_header(encode(header)));
  EXPECT_FALSE(decode_header(Writer().map(2).str("v").unsigned_integer(1).str("t").unsigned_integer(4).take()));
  EXPECT_FALSE(decode_header(Writer().map(0).take()));
  EXPECT_FALSE(decode_header(Writer().array(0).take()));
  EXPECT_FALSE(decode_header(""));
}

TEST(Header, KeepsTheIdOfWhatItRefuses) {
  const std::string id(16, 'i');
  const std::string bytes = Writer().map(2).str("v").str("one").str("id").bin(id).take();
  EXPECT_FALSE(decode_header(bytes));
  ASSERT_TRUE(id_of(bytes));
  EXPECT_EQ(*id_of(bytes), some_id());
  EXPECT_FALSE(id_of(Writer().map(1).str("id").bin("short").take()));
  EXPECT_FALSE(id_of("\xdf\xff\xff\xff\xff"));
}

TEST(Header, IsAtMostFourKiB) {
  Header header;
  header.id = some_id();
  const std::string large = Writer()
                                .map(4)
                                .str("v")
                                .unsigned_integer(1)
                                .str("t")
                                .unsigned_integer(4)
                                .str("id")
                                .bin(std::string(16, 'i'))
                                .str("x")
                                .bin(std::string(kHeaderBytesMax, ' '))
                                .take();
  EXPECT_FALSE(decode_header(large));
  EXPECT_FALSE(id_of(large));
}

TEST(Header, CutsFarDeadlines) {
  Header header;
  header.id = some_id();
  header.dl = UINT64_MAX;
  EXPECT_EQ(decode_header(encode(header))->dl, kDeadlineMsMax);
}

TEST(Bodies, PassOverUnknownKeysButInAStage) {
  EXPECT_EQ(fault_of<Progress>(Writer().map(2).str("bytes").unsigned_integer(1).str("later").array(1).nil().take()),
            "");
  const std::string stage = Writer().map(2).str("transfers").array(0).str("later").nil().take();
  EXPECT_NE(fault_of<Stage>(stage).find("\"later\""), std::string::npos);
  const std::string transfer = Writer()
                                   .map(1)
                                   .str("transfers")
                                   .array(1)
                                   .map(3)
                                   .str("source")
                                   .bin("a")
                                   .str("target")
                                   .bin("b")
                                   .str("chekcsum")
                                   .str("md5")
                                   .take();
  EXPECT_EQ(fault_of<Stage>(transfer).substr(0, 13), "transfers: 0:");
}

TEST(Bodies, RefuseDoublesAndWrongTypes) {
  EXPECT_NE(
      fault_of<Progress>(Writer().map(2).str("bytes").unsigned_integer(1).str("bytes").unsigned_integer(2).take()), "");
  EXPECT_NE(fault_of<Progress>(Writer().map(1).str("bytes").str("1").take()), "");
  EXPECT_NE(fault_of<Progress>(Writer().map(1).str("bytes").integer(-1).take()), "");
  EXPECT_NE(fault_of<Progress>(Writer().map(1).str("bytes").number(1.0).take()), "");
  EXPECT_NE(fault_of<Progress>(Writer().map(1).unsigned_integer(7).nil().take()), "");
}

TEST(Bodies, StageTakesTenThousandTransfers) {
  const auto with = [](std::size_t count) {
    Writer writer;
    writer.map(1).str("transfers").array(count);
    for (std::size_t i = 0; i < count; ++i) writer.map(2).str("source").bin("a").str("target").bin("b");
    return writer.take();
  };
  EXPECT_EQ(fault_of<Stage>(with(kTransfersMax)), "");
  EXPECT_NE(fault_of<Stage>(with(kTransfersMax + 1)), "");
}

TEST(Bodies, MatchHoldsColumnsToTheirTypesAndCounts) {
  Match match;
  match.tasks = 2;
  match.offers = 3;
  match.dimensions = 1;
  match.columns = {{ColumnType::i8, 2}, {ColumnType::i8, 3}};
  match.task_amounts = {0};
  match.offer_amounts = {1};
  EXPECT_EQ(fault_of<Match>(encode(match)), "");
  Match swapped = match;
  swapped.task_amounts = {1};
  EXPECT_NE(fault_of<Match>(encode(swapped)), "");
  Match beyond = match;
  beyond.offer_amounts = {2};
  EXPECT_NE(fault_of<Match>(encode(beyond)), "");
  Match typed = match;
  typed.priority = 0;
  EXPECT_NE(fault_of<Match>(encode(typed)), "") << "priorities are i4";
  Match few = match;
  few.dimensions = 2;
  EXPECT_NE(fault_of<Match>(encode(few)), "");
  Match weights = match;
  weights.weights = {1, 2};
  EXPECT_NE(fault_of<Match>(encode(weights)), "");
}

TEST(Bodies, RowsWithoutAColumnAreBounded) {
  for (std::uint64_t Match::*rows : {&Match::tasks, &Match::offers}) {
    Match match;
    match.*rows = kBareRowsMax;
    EXPECT_EQ(fault_of<Match>(encode(match)), "");
    match.*rows = kBareRowsMax + 1;
    EXPECT_NE(fault_of<Match>(encode(match)), "");
    match.columns = {{ColumnType::i4, match.tasks}, {ColumnType::i8, match.offers}};
    match.priority = 0;
    match.price = 1;
    EXPECT_EQ(fault_of<Match>(encode(match)), "") << "bytes stand for them";
  }
}

TEST(Bodies, ColumnsAreComparedWithTheirFrames) {
  const std::vector<ColumnSpec> columns = {{ColumnType::i4, 2}, {ColumnType::u8, 1}};
  EXPECT_FALSE(check_columns(columns, std::vector<std::size_t>{8, 8}));
  EXPECT_TRUE(check_columns(columns, std::vector<std::size_t>{8, 4}));
  EXPECT_TRUE(check_columns(columns, std::vector<std::size_t>{8}));
}

TEST(Bodies, WelcomeKeepsItsTimesInOrder) {
  Welcome welcome;
  EXPECT_EQ(fault_of<Welcome>(encode(welcome)), "");
  welcome.beat_ms = 0;
  EXPECT_NE(fault_of<Welcome>(encode(welcome)), "");
  welcome.beat_ms = 5000;
  EXPECT_NE(fault_of<Welcome>(encode(welcome)), "");
}

TEST(Writer, KeepsFloatsFloatsAndMakesTextValid) {
  EXPECT_EQ(Writer().number(2.0).take(), std::string("\xcb\x40\0\0\0\0\0\0\0", 9));
  EXPECT_EQ(Writer().str("a\xff").take(),
            "\xa2"
            "a?");
}

TEST(Traceparent, IsToldFromOtherText) {
  EXPECT_TRUE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  EXPECT_FALSE(is_traceparent("00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  EXPECT_FALSE(is_traceparent(""));
}

}  // namespace
}  // namespace windlass::proto
