#include "worker/base/log.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "worker/base/json.hpp"

namespace windlass::worker {
namespace {

std::string logged(const LogConfig& config, void (*write)()) {
  log_configure(config);
  testing::internal::CaptureStderr();
  write();
  std::string text = testing::internal::GetCapturedStderr();
  log_configure(LogConfig{});
  return text;
}

TEST(Log, JsonLinesHoldTheFields) {
  const std::string line = logged({"info", "json"}, [] {
    log_info("a \"b\"",
             {{"node", "x\ny"}, {"bytes", std::uint64_t{7}}, {"ratio", 0.5}, {"ok", true}, {"nan", std::nan("")}});
  });
  EXPECT_EQ(line.substr(0, 9), R"({"time":")");
  const auto rest = line.find(R"("level")");
  ASSERT_NE(rest, std::string::npos);
  EXPECT_EQ(line.substr(rest),
            "\"level\":\"info\",\"event\":\"a "
            "\\\"b\\\"\",\"node\":\"x\\ny\",\"bytes\":7,\"ratio\":0.5,\"ok\":true,\"nan\":null}\n");
}

TEST(Log, TextLinesAreForPeopleAndLevelsHold) {
  const std::string lines = logged({"warn", "text"}, [] {
    log_info("unseen");
    log_error("seen", {{"why", "no {} room"}});
  });
  EXPECT_EQ(lines.find("unseen"), std::string::npos);
  EXPECT_TRUE(lines.ends_with("error seen why=\"no {} room\"\n")) << lines;
}

TEST(Json, StringsAreAlwaysValid) {
  EXPECT_EQ(json_string("a\\\t\x01\x7f"), "\"a\\\\\\t\\u0001\\u007f\"");
  EXPECT_EQ(json_string("gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\xa2"), "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\xa2\"");
  for (const char* broken : {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\x80"}) {
    const std::string made = json_string(broken);
    EXPECT_EQ(made.substr(0, 7), "\"\\ufffd") << made;
  }
}

TEST(LogLimit, LetsAThingBeSaidOncePerPeriod) {
  LogLimit limit(std::chrono::seconds{60});
  const LogLimit::Clock::time_point start{std::chrono::hours{1}};
  EXPECT_EQ(limit.pass("a", start), 0U);
  EXPECT_EQ(limit.pass("b", start), 0U);
  EXPECT_EQ(limit.pass("a", start + std::chrono::seconds{59}), std::nullopt);
  EXPECT_EQ(limit.pass("a", start + std::chrono::seconds{59}), std::nullopt);
  EXPECT_EQ(limit.pass("a", start + std::chrono::seconds{60}), 2U);
  EXPECT_EQ(limit.pass("a", start + std::chrono::seconds{61}), std::nullopt);
}

TEST(LogLimit, ManyKeysShareOneEntryAndOldOnesMakeRoom) {
  LogLimit limit(std::chrono::seconds{60});
  const LogLimit::Clock::time_point start{std::chrono::hours{1}};
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(limit.pass(std::to_string(i), start), 0U);
  EXPECT_EQ(limit.pass("one more", start), 0U);
  EXPECT_EQ(limit.pass("another", start), std::nullopt);
  EXPECT_EQ(limit.pass("later", start + std::chrono::seconds{60}), 0U);
  EXPECT_EQ(limit.pass("much later", start + std::chrono::seconds{60}), 0U);
}

}  // namespace
}  // namespace windlass::worker
