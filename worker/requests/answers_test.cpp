#include "worker/requests/answers.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <map>
#include <random>

namespace windlass::worker {
namespace {

using namespace std::chrono_literals;

proto::RequestId id_of(std::uint64_t number) {
  proto::RequestId id;
  std::memcpy(id.bytes.data() + 8, &number, sizeof number);
  return id;
}

std::vector<std::string> texts_of(const Answer& answer) {
  std::vector<std::string> texts;
  for (const Frame& frame : answer.frames) texts.emplace_back(frame.view());
  return texts;
}

Answers::Kept kept_of(const std::vector<std::string>& texts, std::uint64_t sum) {
  Answers::Kept kept;
  for (const std::string& text : texts) kept.answer.frames.emplace_back(text);
  kept.payload = Payload{sum, ~sum};
  return kept;
}

TEST(Answers, AreFoundUntilTheyAreForgottenTheOldestFirst) {
  Answers answers;
  EXPECT_FALSE(answers.find(id_of(1)));
  Answers::Kept error;
  error.answer = error_answer(proto::Code::not_found, "it is not here");
  EXPECT_TRUE(answers.put(id_of(1), error, Time{} + 1s));
  EXPECT_TRUE(answers.put(id_of(2), kept_of({"body", "", "column"}, 7), Time{} + 2s));
  EXPECT_FALSE(answers.put(id_of(2), kept_of({"another"}, 8), Time{} + 3s)) << "the first one stays";
  ASSERT_TRUE(answers.find(id_of(1)));
  EXPECT_EQ(answers.find(id_of(1))->answer.code, proto::Code::not_found);
  EXPECT_EQ(answers.find(id_of(1))->answer.type, proto::Type::error);
  EXPECT_FALSE(answers.find(id_of(1))->payload);
  EXPECT_EQ(texts_of(answers.find(id_of(2))->answer), (std::vector<std::string>{"body", "", "column"}));
  EXPECT_EQ(answers.find(id_of(2))->payload, (Payload{7, ~std::uint64_t{7}}));
  EXPECT_EQ(answers.oldest(), Time{} + 1s);
  answers.forget_oldest();
  EXPECT_FALSE(answers.find(id_of(1)));
  EXPECT_EQ(answers.oldest(), Time{} + 2s);
  EXPECT_EQ(answers.bytes(), 10U);
  EXPECT_EQ(answers.size(), 1U);
}

TEST(Answers, WhatIsFoundOutlivesItsPlace) {
  Answers answers;
  answers.put(id_of(1), kept_of({"small"}, 1), Time{});
  answers.put(id_of(2), kept_of({std::string(100'000, 'x')}, 2), Time{});
  const auto small = answers.find(id_of(1));
  const auto large = answers.find(id_of(2));
  answers.forget_oldest();
  answers.forget_oldest();
  for (std::uint64_t i = 10; i < 200; ++i) answers.put(id_of(i), kept_of({"other"}, i), Time{});
  EXPECT_EQ(texts_of(small->answer), std::vector<std::string>{"small"});
  EXPECT_EQ(texts_of(large->answer), std::vector<std::string>{std::string(100'000, 'x')});
}

// Against a map; few ids, so that they come again, and sizes on both sides of what is packed.
TEST(Answers, BehavesAsAMapAndAQueueDo) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 chance(seed);
    Answers answers;
    std::map<std::uint64_t, std::vector<std::string>> model;
    std::deque<std::uint64_t> ages;
    std::size_t bytes = 0;
    const std::size_t most = 1 + chance() % 300;
    for (int step = 0; step < 3000; ++step) {
      const std::uint64_t number = chance() % (2 * most);
      std::vector<std::string> texts(chance() % 4);
      for (std::string& text : texts) text.assign(chance() % (chance() % 20 == 0 ? 6000 : 60), static_cast<char>(step));
      const bool fresh = model.try_emplace(number, texts).second;
      ASSERT_EQ(answers.put(id_of(number), kept_of(texts, number), Time{} + std::chrono::seconds(step)), fresh);
      if (fresh) {
        ages.push_back(number);
        for (const std::string& text : texts) bytes += text.size();
      }
      while (ages.size() > most || (chance() % 50 == 0 && !ages.empty())) {
        for (const std::string& text : model[ages.front()]) bytes -= text.size();
        model.erase(ages.front());
        ages.pop_front();
        answers.forget_oldest();
      }
      ASSERT_EQ(answers.size(), ages.size());
      ASSERT_EQ(answers.bytes(), bytes);
      const std::uint64_t wanted = chance() % (2 * most);
      const auto found = answers.find(id_of(wanted));
      ASSERT_EQ(found.has_value(), model.contains(wanted));
      if (found) {
        EXPECT_EQ(texts_of(found->answer), model[wanted]);
        EXPECT_EQ(found->payload, (Payload{wanted, ~wanted}));
      }
    }
  }
}

}  // namespace
}  // namespace windlass::worker
