#include "plugin/load/report.hpp"

#include <gtest/gtest.h>

#include <msgpack.hpp>

namespace windlass::load {
namespace {

TEST(Report, IsAMapWithTheKeysOfTheWire) {
  Report report;
  report.cores = 1.5;
  report.memory_total_bytes = 7;
  report.psi["io"].full_avg60 = 2.5;
  report.disk["sda"].busy_ratio = 0.5;
  report.net["lo"].transmit_bytes_per_s = 3;
  report.roots["/x"] = {11, 12};
  report.degraded = {"why"};
  std::vector<char> bytes{'o', 'l', 'd'};
  pack_report(report, bytes);

  const auto handle = msgpack::unpack(bytes.data(), bytes.size());
  const auto map = handle.get().as<std::map<std::string, msgpack::object>>();
  ASSERT_EQ(map.size(), 9U);
  using Numbers = std::map<std::string, std::map<std::string, double>>;
  EXPECT_EQ(map.at("cores").as<double>(), 1.5);
  EXPECT_EQ(map.at("cpu_ratio").as<double>(), 0);
  EXPECT_EQ(map.at("cpu_ratio").type, msgpack::type::FLOAT64) << "a float stays one, whole or not";
  EXPECT_EQ(map.at("memory_total_bytes").as<std::uint64_t>(), 7U);
  EXPECT_EQ(map.at("memory_available_bytes").as<std::uint64_t>(), 0U);
  EXPECT_EQ(map.at("psi").as<Numbers>(),
            (Numbers{{"io", {{"some_avg10", 0}, {"some_avg60", 0}, {"full_avg10", 0}, {"full_avg60", 2.5}}}}));
  EXPECT_EQ(map.at("disk").as<Numbers>(),
            (Numbers{{"sda", {{"read_bytes_per_s", 0}, {"write_bytes_per_s", 0}, {"busy_ratio", 0.5}}}}));
  EXPECT_EQ(map.at("net").as<Numbers>(), (Numbers{{"lo", {{"receive_bytes_per_s", 0}, {"transmit_bytes_per_s", 3}}}}));
  EXPECT_EQ(map.at("roots").as<Numbers>(), (Numbers{{"/x", {{"free_bytes", 11}, {"free_inodes", 12}}}}));
  EXPECT_EQ(map.at("degraded").as<std::vector<std::string>>(), std::vector<std::string>{"why"});
}

}  // namespace
}  // namespace windlass::load
