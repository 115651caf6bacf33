#include "worker/bridge/offers.hpp"

#include <gtest/gtest.h>

#include "proto/bounded.hpp"

namespace windlass::worker {
namespace {

std::map<std::string, std::string> words_of(const std::string& record, const std::string& under = "") {
  std::map<std::string, std::string> words;
  proto::Reader reader(record);
  proto::read_map(reader, [&](std::string_view key) {
    if (reader.kind() == proto::Kind::str) {
      words[std::string(key)] = reader.str();
    } else if (reader.kind() == proto::Kind::map && key == under) {
      words = words_of(std::string(reader.raw()));
    } else if (reader.kind() == proto::Kind::integer) {
      words[std::string(key)] = std::to_string(reader.integer());
    } else if (reader.kind() == proto::Kind::number) {
      words[std::string(key)] = std::to_string(reader.number());
    } else {
      return false;
    }
    return true;
  });
  EXPECT_FALSE(reader.failed()) << reader.fault();
  return words;
}

TEST(Offers, AreOneOfCoresAndMemoryWhereThereIsNoFile) {
  Config config;
  config.node.name = "n";
  config.node.labels = {{"zone", "a"}};
  const auto offers = load_offers(config, 1.5, 1'000'000);
  ASSERT_TRUE(offers);
  ASSERT_EQ(offers->size(), 1U);
  EXPECT_FALSE(proto::scan(offers->front()));
  EXPECT_EQ(words_of(offers->front())["name"], "n");
  EXPECT_EQ(words_of(offers->front(), "resources")["cpu"], "1.500000");
  EXPECT_EQ(words_of(offers->front(), "labels")["zone"], "a");
}

TEST(Offers, ComeFromYamlAndJson) {
  NodeConfig node;
  node.name = "n";
  node.labels = {{"zone", "a"}, {"rack", "7"}};
  const auto offers = parse_offers(
      R"([{"resources": {"cpu": 2, "gpu": 0.5}, "labels": {"zone": "b"}}, {"name": "x", "node": "m", "cpu": "4"}])",
      node);
  ASSERT_TRUE(offers) << offers.error();
  ASSERT_EQ(offers->size(), 2U);
  for (const std::string& offer : *offers) EXPECT_FALSE(proto::scan(offer));
  EXPECT_EQ(words_of(offers->at(0))["name"], "n/0");
  EXPECT_EQ(words_of(offers->at(0))["node"], "n");
  EXPECT_EQ(words_of(offers->at(0), "resources")["cpu"], "2");
  EXPECT_EQ(words_of(offers->at(0), "labels")["zone"], "b");
  EXPECT_EQ(words_of(offers->at(0), "labels")["rack"], "7");
  EXPECT_EQ(words_of(offers->at(1))["name"], "x");
  EXPECT_EQ(words_of(offers->at(1))["node"], "m");
}

TEST(Offers, NameWhatIsWrong) {
  NodeConfig node;
  node.name = "n";
  for (const char* text :
       {"{}", "[1]", "[{name: a}, {name: a}]", "[{name: a, cpu: 1, cpu: 2}]", "[{", "[{labels: [a]}]"}) {
    const auto offers = parse_offers(text, node);
    EXPECT_FALSE(offers) << text;
    EXPECT_TRUE(offers || !offers.error().empty());
  }
  Config config;
  config.offers.file = "/nowhere/offers.yaml";
  EXPECT_FALSE(load_offers(config, 1, 1));
}

}  // namespace
}  // namespace windlass::worker
