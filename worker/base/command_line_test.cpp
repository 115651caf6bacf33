#include "worker/base/command_line.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace windlass::worker {
namespace {

struct Outcome {
  int code = -1;  // -1: start
  std::string out, err;
  std::optional<Start> start;
};

Outcome run(std::vector<const char*> arguments,
            std::vector<const char*> environment = {"XDG_RUNTIME_DIR=/run/user/1"}) {
  arguments.insert(arguments.begin(), "windlassd");
  environment.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  auto answer = read_command_line(static_cast<int>(arguments.size()), arguments.data(), environment.data());
  Outcome outcome;
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  if (const auto* exit = std::get_if<Exit>(&answer))
    outcome.code = exit->code;
  else
    outcome.start = std::get<Start>(std::move(answer));
  return outcome;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string text_of(const std::string& path) {
  std::ifstream file(std::string(WINDLASS_SOURCE_DIR) + "/" + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(CommandLine, StartsWithItsSettings) {
  const Outcome outcome = run({"--node.name=n7", "--config=/dev/null"}, {"WINDLASS_LOG__LEVEL=warn", "odd"});
  ASSERT_TRUE(outcome.start) << outcome.err;
  EXPECT_EQ(outcome.start->loaded.config.node.name, "n7");
  EXPECT_EQ(outcome.start->loaded.config.log.level, "warn");
  EXPECT_EQ(outcome.start->sources.file, "/dev/null");
}

TEST(CommandLine, CheckTellsWhatHoldsAndWhereItComesFrom) {
  const Outcome outcome = run({"--check-config", "--stage.threads=3"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(has(outcome.out, "stage.threads: 3")) << outcome.out;
  EXPECT_TRUE(has(outcome.out, "# --stage.threads\n")) << outcome.out;
  EXPECT_TRUE(has(outcome.out, "local.socket: /run/user/1/windlass.sock")) << outcome.out;
}

TEST(CommandLine, AConfigurationThatCannotHoldFails) {
  for (std::vector<const char*> flags :
       {std::vector<const char*>{"--check-config", "--stage.threads=0"}, {"--stage.threads=0"}, {"--stage.thread=1"}}) {
    const Outcome outcome = run(flags);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_TRUE(has(outcome.err, "--stage.thread")) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(CommandLine, WhatIsNoFlagIsUsage) {
  for (const char* wrong : {"--chek-config", "file.yaml", "-x", "--", "--config"}) {
    const Outcome outcome = run({wrong});
    EXPECT_EQ(outcome.code, 2) << wrong;
    EXPECT_TRUE(has(outcome.err, wrong) && has(outcome.err, "usage: windlassd")) << outcome.err;
  }
}

TEST(CommandLine, HelpAndVersion) {
  EXPECT_EQ(run({"--version"}).out, "windlassd " WINDLASS_VERSION "\n");
  const Outcome outcome = run({"--help"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(has(outcome.out, "--stage.bytes_in_flight_max=VALUE")) << outcome.out;
  EXPECT_EQ(run({"--help", "--stage.threads=0"}).code, 0);
}

TEST(CommandLine, TheManualsPagesAreThoseOfTheTables) {
  EXPECT_EQ(run({"--print-config-docs"}).out, text_of("docs/config.md")) << "write the left side to docs/config.md";
  EXPECT_EQ(run({"--print-metrics-docs"}).out, text_of("docs/metrics.md")) << "write the left side to docs/metrics.md";
}

TEST(CommandLine, TheExampleConfigurationHolds) {
  const std::string flag = "--config=" WINDLASS_SOURCE_DIR "/deploy/windlass.yaml";
  const Outcome outcome = run({"--check-config", flag.c_str()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

}  // namespace
}  // namespace windlass::worker
