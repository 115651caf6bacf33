#include "plugin/match/decode.hpp"

#include <gtest/gtest.h>

#include <string>

#include "plugin/match/testing.hpp"
#include "proto/writer.hpp"

namespace windlass::match {
namespace {

class Decode : public ::testing::Test {
 protected:
  Decode() {
    made_.tasks = {{1, 2}};
    made_.offers = {{5, 6, 7}};
    made_.view();
  }

  Check decode(std::string_view bytes) {
    given_ = Constraints{};
    return decode_constraints(bytes, columns_, made_.problem, given_);
  }
  void refuses(proto::Writer& writer, const std::string& words) {
    const Check fault = decode(writer.bytes());
    ASSERT_TRUE(fault) << words;
    EXPECT_EQ(fault->kind, FaultKind::invalid_argument);
    EXPECT_NE(fault->message.find(words), std::string::npos) << fault->message;
  }

  TestProblem made_;
  std::vector<int32_t> per_task_ = {0, -1}, per_offer_ = {-1, 0, 0};
  std::vector<int64_t> begin_ = {0, 1, 1, 2}, shares_ = {5, 7};
  std::vector<Column> columns_ = {{ColumnType::i32, per_task_.data(), 2},
                                  {ColumnType::i32, per_offer_.data(), 3},
                                  {ColumnType::i64, begin_.data(), 4},
                                  {ColumnType::i64, shares_.data(), 2}};
  Constraints given_;
};

TEST_F(Decode, AWholeMapIsRead) {
  proto::Writer writer;
  writer.map(6);
  writer.str("keys").array(2).str("zone").str("arch");
  writer.str("offer_labels").map(2).str("of").unsigned_integer(1);
  writer.str("sets").array(1).map(2).integer(1).str("arm").integer(0).str("a");
  writer.str("task_labels").map(2).str("of").unsigned_integer(0);
  writer.str("sets").array(1).map(1).integer(0).map(2).str("in").array(2).str("b").str("a").str("max").integer(-3);
  writer.str("max_per").map(2).str("sets").array(1).map(1).integer(-1).integer(2).str("of").unsigned_integer(0);
  writer.str("devices").array(1).map(3).str("dimension").integer(0).str("begin").unsigned_integer(2);
  writer.str("shares").unsigned_integer(3);
  writer.str("running").array(1).map(2).str("tenant").integer(4).str("amounts").map(1).integer(0).integer(9);
  const Check fault = decode(writer.bytes());
  ASSERT_FALSE(fault) << fault->message;
  EXPECT_EQ(given_.offer_labels.set(0), nullptr);
  ASSERT_EQ(given_.offer_labels.set(1)->size(), 2u);
  EXPECT_EQ((*given_.offer_labels.set(1))[0].first, 0);
  ASSERT_TRUE(given_.task_labels.set(0));
  EXPECT_EQ((*given_.task_labels.set(0))[0].second.in->size(), 2u);
  EXPECT_EQ((*given_.task_labels.set(0))[0].second.max, -3);
  EXPECT_EQ((*given_.max_per.set(0))[0].first, kNodeKey);
  EXPECT_EQ(given_.devices[0].shares[1], 7);
  EXPECT_EQ(given_.running[0].amounts[0].second, 9);
}

TEST_F(Decode, AnUnknownKeyIsNotServed) {
  proto::Writer writer;
  writer.map(1).str("colour").nil();
  const Check fault = decode(writer.bytes());
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind, FaultKind::unimplemented);
  EXPECT_EQ(fault->field, "constraints.colour");
}

TEST_F(Decode, HugeAnnouncementsCostNothing) {
  for (const std::string& bytes : {std::string("\xDF\xFF\xFF\xFF\xFF", 5), std::string("\xDD\xFF\xFF\xFF\xFF", 5),
                                   std::string(), std::string("\x81\xA4keys\xDD\xFF\xFF\xFF\xFF", 11)}) {
    EXPECT_TRUE(decode(bytes));
  }
  EXPECT_TRUE(decode(std::string(100, '\x91')));  // too deep, and cut off
}

TEST_F(Decode, WrongShapesAreRefused) {
  refuses(proto::Writer().map(1).str("node").unsigned_integer(0), "2 entries, 3 belong");
  refuses(proto::Writer().map(1).str("tenant").unsigned_integer(9), "tenant");
  refuses(proto::Writer().map(1).str("tenant").unsigned_integer(3), "wrong type");
  refuses(proto::Writer().map(1).str("devices").array(1).map(1).str("dimension").integer(0), "begin is missing");
  refuses(proto::Writer().map(1).str("quotas").array(1).array(2).integer(0).map(1).integer(1).integer(5), "quotas");
  refuses(proto::Writer().map(1).str("locality").integer(-1), "locality");
  refuses(proto::Writer().map(1).str("running").array(1).map(1).str("nod").integer(0), "nod");
}

TEST_F(Decode, KeysMustBeListedAndOccurOnce) {
  proto::Writer unlisted;
  unlisted.map(1).str("offer_labels").map(2).str("of").unsigned_integer(1);
  unlisted.str("sets").array(1).map(1).integer(0).str("a");
  refuses(unlisted, "not in keys");
  proto::Writer twice;
  twice.map(2).str("keys").array(1).str("zone").str("offer_labels").map(1);
  twice.str("sets").array(1).map(2).integer(0).str("a").integer(0).str("b");
  refuses(twice, "occurs twice");
}

TEST_F(Decode, EveryCutOfAGoodMapIsRefusedWithoutHarm) {
  proto::Writer writer;
  writer.map(2).str("keys").array(1).str("zone").str("prefer").map(2).str("of").unsigned_integer(0);
  writer.str("sets").array(1).array(1).array(2).map(1).integer(0).map(1).str("exists").boolean(true).integer(65536);
  EXPECT_FALSE(decode(writer.bytes()));
  for (size_t count = 0; count < writer.bytes().size(); ++count) {
    EXPECT_TRUE(decode(std::string_view(writer.bytes()).substr(0, count))) << count;
  }
}

}  // namespace
}  // namespace windlass::match
