// A session that lives for months among labels that come and go: it keeps the texts that its offers have.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

#include "plugin/match/session.hpp"
#include "proto/writer.hpp"

namespace windlass::match {
namespace {

constexpr int kZone = 0, kTeam = 1;  // keys of a label and of a tag

proto::Writer with_keys(size_t fields) {
  proto::Writer writer;
  writer.map(fields + 1).str("keys").array(2).str("zone").str("team");
  return writer;
}

class Life {
 public:
  // Offer 0 is in this zone, and open to this team alone; offer 1 is in the zone "fixed" for good.
  void move_to(const std::string& zone, const std::string& team) {
    proto::Writer writer = with_keys(2);
    writer.str("offer_labels").map(2).str("of").unsigned_integer(0);
    writer.str("sets").array(2).map(1).integer(kZone).str(zone).map(1).integer(kZone).str("fixed");
    writer.str("offer_only").map(2).str("of").unsigned_integer(1);
    writer.str("sets").array(1).map(1).integer(kTeam).map(2);
    writer.str("in").array(1).str(team).str("not_in").array(1).str("nobody");
    const std::array<int32_t, 2> labels = {0, 1}, only = {0, -1};
    const std::array<int64_t, 2> amounts = {8, 8}, numbers = {0, 1};
    const std::array<const int64_t*, 1> offered = {amounts.data()}, asked = {nullptr};
    const std::array<Column, 2> columns = {{{ColumnType::i32, labels.data(), 2}, {ColumnType::i32, only.data(), 2}}};
    Session::Change change;
    change.rows.dimensions = 1;
    change.rows.offers = 2;
    change.rows.offer_amounts = offered.data();
    change.rows.task_amounts = asked.data();
    change.numbers = numbers;
    change.adds = session.state().present() == 0 ? 2 : 0;
    Constraints given;
    ASSERT_FALSE(session.read(writer.bytes(), columns, change.rows, given));
    change.given = &given;
    Session::Applied applied;
    ASSERT_FALSE(session.apply(change, applied));
  }

  // The offer that a task of this team gets that wants this zone; -1 where none.
  int64_t place(const std::string& zone, const std::string& team) {
    proto::Writer writer = with_keys(2);
    writer.str("task_labels").map(2).str("of").unsigned_integer(0);
    writer.str("sets").array(1).map(1).integer(kZone).map(1).str("in").array(1).str(zone);
    writer.str("task_tags").map(2).str("of").unsigned_integer(0);
    writer.str("sets").array(1).map(1).integer(kTeam).str(team);
    const std::array<int32_t, 1> first = {0};
    const std::array<int64_t, 1> amounts = {1}, numbers = {next_++};
    const std::array<const int64_t*, 1> offered = {nullptr}, asked = {amounts.data()};
    const std::array<Column, 1> columns = {{{ColumnType::i32, first.data(), 1}}};
    Session::Call call;
    call.tasks.dimensions = 1;
    call.tasks.tasks = 1;
    call.tasks.offer_amounts = offered.data();
    call.tasks.task_amounts = asked.data();
    call.numbers = numbers;
    Constraints given;
    EXPECT_FALSE(session.read(writer.bytes(), columns, call.tasks, given));
    call.given = &given;
    Session::Answer answer;
    EXPECT_FALSE(session.match(call, answer));
    Session::Change ended;
    ended.releases = numbers;
    Session::Applied applied;
    EXPECT_FALSE(session.apply(ended, applied));
    return answer.offer_number.at(0);
  }

  Session session{Session::Options{.mode = Mode::packing}};

 private:
  int64_t next_ = 0;
};

TEST(SessionTexts, AreKeptAsLongAsAnOfferHasThem) {
  Life life;
  size_t most = 0;
  for (int round = 0; round < 10'000 && !::testing::Test::HasFailure(); ++round) {
    // Some long enough to lie outside of their string.
    const std::string name = std::to_string(round) + (round % 2 == 0 ? "" : "-in-a-text-that-takes-room-of-its-own");
    life.move_to("zone-" + name, "team-" + name);
    EXPECT_EQ(life.place("zone-" + name, "team-" + name), 0) << round;
    EXPECT_EQ(life.place("zone-" + name, "other-team-" + name), -1) << round;
    EXPECT_EQ(life.place("zone-" + std::to_string(round - 1), "team-" + name), -1) << round;
    EXPECT_EQ(life.place("fixed", "anybody-" + name), 1) << round;
    most = std::max(most, life.session.texts());
  }
  EXPECT_LT(most, 1'100u);
  EXPECT_GT(most, 1'000u) << "those of a few calls may stay";
}

TEST(SessionTexts, ThatReadAsNumbersDoSoUnderANumberThatCameAgain) {
  Texts texts;
  texts.keep();
  const int32_t word = texts.number_of("word"), seven = texts.number_of("7");
  texts.forget_unused({false, true});
  EXPECT_EQ(texts.size(), 1u);
  EXPECT_EQ(texts.number_of("8"), word);
  EXPECT_EQ(texts.integer(word), 8);
  EXPECT_EQ(texts.number_of("7"), seven);
  EXPECT_EQ(texts.number_of("word"), 2);
  texts.forget_unused({false, false, false});
  EXPECT_EQ(texts.size(), 0u);
  EXPECT_LT(texts.number_of("other"), 3);
  EXPECT_EQ(texts.integer(texts.number_of("other")), std::nullopt);
  EXPECT_EQ(texts.end(), 3u);
}

}  // namespace
}  // namespace windlass::match
