// The load section of windlass.h, as a caller sees it.
#include <gtest/gtest.h>

#include <cstring>
#include <msgpack.hpp>

#include "plugin/include/windlass/windlass.h"
#include "plugin/load/fixture_tree.hpp"

namespace windlass::load {
namespace {

template <typename T>
T sized() {
  T made{};
  made.size = sizeof made;
  return made;
}

class LoadInterface : public testing::Test {
 protected:
  LoadInterface() {
    tree_.put_machine();
    options_.proc = proc_.c_str();
    options_.sys = sys_.c_str();
  }

  FixtureTree tree_;
  std::string proc_ = tree_.proc();
  std::string sys_ = tree_.sys();
  windlass_load_options options_ = sized<windlass_load_options>();
  windlass_error error_ = sized<windlass_error>();
  windlass_load_sampler* sampler_ = nullptr;
};

TEST_F(LoadInterface, SamplesIntoAStructAndAReport) {
  const char* roots[] = {"/"};
  options_.roots = roots;
  options_.roots_count = 1;
  ASSERT_EQ(windlass_load_open(&options_, &sampler_, &error_), WINDLASS_OK) << error_.message;
  auto load = sized<windlass_load>();
  windlass_bytes report{};
  ASSERT_EQ(windlass_load_sample(sampler_, &load, &report, &error_), WINDLASS_OK);
  EXPECT_EQ(load.cores, 4);
  EXPECT_EQ(load.memory_available_bytes, 4096 * kMiB);
  EXPECT_EQ(load.memory_total_bytes, 8192 * kMiB);
  const auto handle = msgpack::unpack(static_cast<const char*>(report.data), report.count);
  const auto map = handle.get().as<std::map<std::string, msgpack::object>>();
  EXPECT_EQ(map.at("cores").as<double>(), 4);
  EXPECT_EQ((map.at("roots").as<std::map<std::string, msgpack::object>>().count("/")), 1U);
  windlass_load_close(sampler_);
}

TEST_F(LoadInterface, BothAnswersMayBeLeftOutAndOldStructsAreShort) {
  ASSERT_EQ(windlass_load_open(&options_, &sampler_, nullptr), WINDLASS_OK);
  EXPECT_EQ(windlass_load_sample(sampler_, nullptr, nullptr, nullptr), WINDLASS_OK);
  auto load = sized<windlass_load>();
  load.size = offsetof(windlass_load, memory_available_bytes);
  load.memory_available_bytes = 77;
  EXPECT_EQ(windlass_load_sample(sampler_, &load, nullptr, nullptr), WINDLASS_OK);
  EXPECT_EQ(load.cores, 4);
  EXPECT_EQ(load.memory_available_bytes, 77U) << "written beyond the caller's struct";
  windlass_load_close(sampler_);
  windlass_load_close(nullptr);
}

TEST_F(LoadInterface, WrongOptionsAreRefusedInWords) {
  const auto refused = [&](const char* field) {
    sampler_ = reinterpret_cast<windlass_load_sampler*>(this);
    EXPECT_EQ(windlass_load_open(&options_, &sampler_, &error_), WINDLASS_INVALID_ARGUMENT);
    EXPECT_EQ(sampler_, nullptr);
    EXPECT_STREQ(error_.field, field);
    EXPECT_EQ(error_.side, WINDLASS_SIDE_OPTIONS);
  };
  options_.roots_count = 1;
  refused("roots");
  const char* roots[] = {"relative"};
  options_.roots = roots;
  refused("roots");
  roots[0] = nullptr;
  refused("roots");
  options_.size = 0;
  refused("size");
  EXPECT_EQ(windlass_load_open(nullptr, &sampler_, &error_), WINDLASS_INVALID_ARGUMENT);
  EXPECT_EQ(windlass_load_open(&options_, nullptr, &error_), WINDLASS_INVALID_ARGUMENT);
  EXPECT_EQ(windlass_load_sample(nullptr, nullptr, nullptr, &error_), WINDLASS_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace windlass::load
