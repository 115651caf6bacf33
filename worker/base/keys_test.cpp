#include "worker/base/keys.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace windlass::worker {
namespace {

const std::string kOne(64, '1');
const std::string kTwo(64, '2');

std::string own_text(const std::string& secret) {
  return "# a remark\nname node-1\nrole node\npublic " + kOne + "\nsecret " + secret + "\n";
}

TEST(KeysTest, HexGoesThereAndBack) {
  const std::string hex = "00ff10" + std::string(58, 'a');
  ASSERT_TRUE(key_of_hex(hex));
  EXPECT_EQ(hex_of(*key_of_hex(hex)), hex);
  for (const std::string& wrong : {std::string(), std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'A'),
                                   std::string(64, 'g'), std::string(63, 'a') + " "}) {
    EXPECT_FALSE(key_of_hex(wrong)) << wrong;
  }
}

TEST(KeysTest, ReadsAnOwnKey) {
  const auto own = parse_own_key(own_text(kTwo), "own");
  ASSERT_TRUE(own) << own.error();
  EXPECT_EQ(own->name, "node-1");
  EXPECT_EQ(own->role, KeyRole::node);
  EXPECT_EQ(hex_of(own->key), kOne);
  EXPECT_EQ(hex_of(own->secret.bytes()), kTwo);
}

TEST(KeysTest, WhatIsWrongIsToldWithoutTheSecret) {
  const std::string wrong[] = {
      own_text(kTwo + "2"),
      own_text("g" + kTwo.substr(1)),
      own_text(kTwo + " " + kTwo),
      "secret " + kTwo,
      "name n\nrole king\nsecret " + kTwo,
      "name " + kTwo + " " + kTwo + "\n",
      kTwo,
      "name n\nrole revoked\nsecret " + kTwo,
  };
  for (const std::string& text : wrong) {
    const auto own = parse_own_key(text, "FILE");
    ASSERT_FALSE(own) << text;
    EXPECT_TRUE(own.error().starts_with("FILE:")) << own.error();
    EXPECT_EQ(own.error().find("22222222"), std::string::npos) << own.error();
  }
}

TEST(KeysTest, AMovedSecretIsWipedWhereItWas) {
  SecretKey first(kTwo);
  const SecretKey second(std::move(first));
  EXPECT_EQ(hex_of(second.bytes()), kTwo);
  EXPECT_EQ(hex_of(first.bytes()), std::string(64, '0'));  // NOLINT(bugprone-use-after-move): that is the question
}

TEST(KeysTest, ReadsAList) {
  const auto keys =
      parse_allowed_keys("\n# a remark\nnode-1 node " + kOne + " any-name\r\n  boss\tscheduler " + kTwo, "");
  ASSERT_TRUE(keys) << keys.error();
  EXPECT_EQ(keys->size(), 2U);
  EXPECT_TRUE(keys->at(*key_of_hex(kOne)).any_name);
  EXPECT_EQ(keys->at(*key_of_hex(kTwo)).role, KeyRole::scheduler);
  EXPECT_FALSE(keys->at(*key_of_hex(kTwo)).any_name);
}

TEST(KeysTest, ARefusedListNamesTheLine) {
  const std::string good = "a node " + kOne + "\n";
  for (const std::string& bad : {std::string("b node"), "b king " + kTwo, "b node " + kTwo.substr(1),
                                 "b node " + kTwo + " every-name", good, "b node " + kTwo + " any-name more"}) {
    const auto keys = parse_allowed_keys(good + bad, "LIST");
    ASSERT_FALSE(keys) << bad;
    EXPECT_TRUE(keys.error().starts_with("LIST:2: ")) << keys.error();
  }
}

class KeyFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/windlass-keys-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    write("own", own_text(kTwo), 0600);
    write("allowed", "a client " + kOne + "\n", 0644);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& text, mode_t mode) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path + ".new") << text;
    ::chmod((path + ".new").c_str(), mode);
    std::filesystem::rename(path + ".new", path);
  }
  std::string folder_;
};

TEST_F(KeyFilesTest, ASecretThatOthersCanReadIsRefused) {
  EXPECT_TRUE(load_own_key(folder_));
  ::chmod((folder_ + "/own").c_str(), 0640);
  const auto own = load_own_key(folder_);
  ASSERT_FALSE(own);
  EXPECT_NE(own.error().find("chmod 600 " + folder_ + "/own"), std::string::npos) << own.error();
}

TEST_F(KeyFilesTest, AListThatOthersCanWriteIsRefused) {
  EXPECT_TRUE(AllowedFile::open(folder_));
  ::chmod((folder_ + "/allowed").c_str(), 0664);
  EXPECT_FALSE(AllowedFile::open(folder_));
}

TEST_F(KeyFilesTest, AChangedListIsReadAgain) {
  auto list = AllowedFile::open(folder_);
  ASSERT_TRUE(list);
  EXPECT_FALSE(*list->refresh());
  write("allowed", "a revoked " + kOne + "\n", 0644);
  EXPECT_TRUE(*list->refresh());
  ASSERT_NE(list->find(*key_of_hex(kOne)), nullptr);
  EXPECT_EQ(list->find(*key_of_hex(kOne))->role, KeyRole::revoked);
  EXPECT_EQ(list->find(*key_of_hex(kTwo)), nullptr);
}

TEST_F(KeyFilesTest, ABrokenListChangesNothing) {
  auto list = AllowedFile::open(folder_);
  ASSERT_TRUE(list);
  write("allowed", "nonsense\n", 0644);
  EXPECT_FALSE(list->refresh());
  EXPECT_FALSE(list->refresh()) << "and is said again";
  EXPECT_EQ(list->of_role(KeyRole::client).size(), 1U);
  std::filesystem::remove(folder_ + "/allowed");
  EXPECT_FALSE(list->refresh());
  EXPECT_EQ(list->keys().size(), 1U);
  write("allowed", "b client " + kTwo + "\n", 0644);
  EXPECT_TRUE(*list->refresh());
  EXPECT_NE(list->find(*key_of_hex(kTwo)), nullptr);
}

}  // namespace
}  // namespace windlass::worker
