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
      R"([{"resources": {"cpu": 2, "gpu": 0.5}, "labels": {"zone": "b"}}, {"name": "n/x", "node": "m", "cpu": 4}])",
      node);
  ASSERT_TRUE(offers) << offers.error();
  ASSERT_EQ(offers->size(), 2U);
  for (const std::string& offer : *offers) EXPECT_FALSE(proto::scan(offer));
  EXPECT_EQ(words_of(offers->at(0))["name"], "n/0");
  EXPECT_EQ(words_of(offers->at(0))["node"], "n");
  EXPECT_EQ(words_of(offers->at(0), "resources")["cpu"], "2");
  EXPECT_EQ(words_of(offers->at(0), "labels")["zone"], "b");
  EXPECT_EQ(words_of(offers->at(0), "labels")["rack"], "7");
  EXPECT_EQ(words_of(offers->at(1))["name"], "n/x");
  EXPECT_EQ(words_of(offers->at(1))["node"], "m");
}

TEST(Offers, MayLeaveOutWhatTheyLike) {
  NodeConfig node;
  node.name = "n";
  node.price = 0.5;
  for (const char* text :
       {"[]", "[{}]", "[{name: , node: , price: , labels: , resources: , cpu: 1}]", "[{resources: {cpu: 1}, lables: }]",
        "[{devices: {gpu: [0.5, 1], fpga: }, staged: {a: 1}, only: {team: {in: [a, 1], exists: true, min: 2.0}, b: "
        "[x], c: 1}}]",
        "[{cpu: -1e-8, labels: {a: 1.0, b: true, c: ''}}]"}) {
    const auto offers = parse_offers(text, node);
    ASSERT_TRUE(offers) << text << ": " << offers.error();
    for (const std::string& offer : *offers) {
      EXPECT_FALSE(proto::scan(offer)) << text;
      EXPECT_EQ(words_of(offer)["name"], "n");
      EXPECT_EQ(words_of(offer)["node"], "n");
      EXPECT_EQ(words_of(offer)["price"], "0.500000");
    }
  }
}

TEST(Offers, HaveSoManyDimensionsTogether) {
  NodeConfig node;
  node.name = "n";
  std::string text;
  for (int record = 0; record < 2; ++record) {
    text += "- name: n/" + std::to_string(record) + "\n  resources:\n";
    for (int k = 0; k < 128 + record; ++k) text += "    d" + std::to_string(record) + "-" + std::to_string(k) + ": 1\n";
  }
  const auto offers = parse_offers(text, node);
  ASSERT_FALSE(offers);
  EXPECT_NE(offers.error().find("257 dimensions"), std::string::npos) << offers.error();
}

TEST(Offers, NameWhatIsWrong) {
  NodeConfig node;
  node.name = "n";
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "a list of records"},
      {"[1]", "record 0 (n) is to be a map"},
      {"[{name: n}, {name: n}]", "record 1 (n): the name stands there twice"},
      {"[{name: a}]", "record 0 (a).name is to be n"},
      {"[{name: [n]}]", "name is to be a text"},
      {"[{cpu: 1, cpu: 2}]", "the key cpu stands there twice"},
      {"[{labels: {a: 1, a: 2}}]", "record 0 (n).labels: the key a stands there twice"},
      {"[{", "line 1"},
      {"[{labels: [a]}]", "labels is to be a map"},
      {"[{resources: {cpu: 1}, lables: {zone: a}}]",
       "record 0 (n): lables is no field; beside `resources` there may be"},
      {"[{resources: {cpu: 1}, lables: {zone: a}}]", "is labels meant?"},
      {"[{resources: {cpu: 1}, memory: 4}]", "memory is no field"},
      {"[{cpu: '4'}]", "cpu is \"4\"; allowed is a number from 0"},
      {"[{resources: {cpu: 64G}}]", "cpu is \"64G\"; allowed is a number from 0"},
      {"[{resources: [4]}]", "resources is an array"},
      {"[{cpu: -1}]", "cpu is -1"},
      {"[{cpu: true}]", "cpu is true"},
      {"[{cpu: .inf}]", "cpu is \".inf\""},
      {"[{labels: {version: 1.5}}]",
       "labels.version is 1.5; allowed is a text (a number with a point is one in quotes)"},
      {"[{only: {team: {oneof: [a]}}}]", "only.team.oneof"},
      {"[{only: {team: {min: 1.5}}}]", "only.team.min is 1.5"},
      {"[{devices: {gpu: 2}}]", "devices.gpu is 2; allowed is a list of free shares"},
      {"[{devices: {gpu: [2]}}]", "devices.gpu is 2"},
      {"[{gpu: 1, devices: {gpu: [1]}}]", "devices.gpu is an amount of this record, too"},
      {"[{gpu: 1}, {devices: {gpu: [1]}}]", "record 1 (n/1): devices.gpu is an amount of n/0"},
      {"[{devices: {gpu: [1]}}, {gpu: 1}]", "record 1 (n/1): gpu is an amount, but stands under `devices` of n/0"},
      {"[{price: free}]", "price is \"free\""},
      {"[{staged: [1]}]", "staged is 1"},
      {"[{node: ''}]", "node is empty"},
  };
  for (const auto& [text, why] : cases) {
    const auto offers = parse_offers(text, node);
    ASSERT_FALSE(offers) << text;
    EXPECT_NE(offers.error().find(why), std::string::npos) << text << ": " << offers.error();
  }
  Config config;
  config.offers.file = "/nowhere/offers.yaml";
  EXPECT_FALSE(load_offers(config, 1, 1));
}

}  // namespace
}  // namespace windlass::worker
