#include "plugin/stage/report.hpp"

#include <gtest/gtest.h>

#include <msgpack.hpp>

namespace windlass::stage {
namespace {

TEST(ReportTest, FitsIntoOneMessageAndCountsWhatItLeavesOut) {
  std::vector<Transfer> transfers(40);
  std::vector<Outcome> outcomes(40);
  for (Outcome& outcome : outcomes) {
    outcome.error.emplace();
    outcome.file_checksums.emplace();
    for (int i = 0; i < 10'000; ++i)
      outcome.file_checksums->emplace("folder/file-" + std::to_string(i), "xxh3:0123456789abcdef");
    for (std::size_t i = 0; i < kFailuresTold; ++i)
      outcome.failures.push_back({std::string(1000, 'p'), Code::not_found, std::string(1100, 'm')});
    outcome.failure_count = 1000;
  }
  const std::string report = encode_report(transfers, outcomes, 1);
  EXPECT_LT(report.size(), 12U << 20U);
  EXPECT_GT(report.size(), 8U << 20U);
  const auto handle = msgpack::unpack(report.data(), report.size());
  const auto ends = handle.get().as<std::map<std::string, msgpack::object>>().at("transfers");
  std::uint64_t told = 0, omitted = 0;
  for (const auto& end : ends.as<std::vector<std::map<std::string, msgpack::object>>>()) {
    told += end.at("file_checksums").via.map.size;
    if (end.contains("file_checksums_omitted")) omitted += end.at("file_checksums_omitted").as<std::uint64_t>();
    const auto error = end.at("error").as<std::map<std::string, msgpack::object>>();
    EXPECT_EQ(error.at("failure_count").as<std::uint64_t>(), 1000U);
  }
  EXPECT_EQ(told + omitted, 400'000U);
  EXPECT_GT(omitted, 0U);
}

}  // namespace
}  // namespace windlass::stage
