#include "worker/sockets/security.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

namespace windlass::worker {
namespace {

// A folder of keys whose list names bridges.
class SecurityTest : public testing::Test {
 protected:
  SecurityTest() {
    folder_ = (std::filesystem::temp_directory_path() / "windlass-security-XXXXXX").string();
    if (::mkdtemp(folder_.data()) == nullptr) std::abort();
    write("own", "name n\nrole node\npublic " + hex('a') + "\nsecret " + hex('b') + "\n");
  }
  ~SecurityTest() override { std::filesystem::remove_all(folder_); }

  static std::string hex(char digit) { return std::string(64, digit); }

  void write(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path + ".new") << text;
    ::chmod((path + ".new").c_str(), 0600);
    std::filesystem::rename(path + ".new", path);
  }

  // The bridges' keys, by a digit each; in capitals those that are revoked.
  void list(const std::string& digits) {
    std::string text;
    for (const char digit : digits) {
      const bool revoked = digit >= 'A' && digit <= 'F';
      const char small = revoked ? static_cast<char>(digit - 'A' + 'a') : digit;
      text += std::string("boss ") + (revoked ? "revoked " : "scheduler ") + hex(small) + "\n";
    }
    write("allowed", text);
    if (security_) security_->turn(now_ += std::chrono::seconds(2));
  }

  void open(const std::string& pinned = "") {
    SecurityConfig config;
    config.keys = folder_;
    config.bridge_key = pinned;
    auto opened = Security::open(config);
    ASSERT_TRUE(opened) << opened.error();
    security_ = std::move(*opened);
  }

  // The digit of the key of the next dial; "-" where there is none.
  std::string next() {
    const auto key = security_->next_bridge_key();
    return key ? hex_of(*key).substr(0, 1) : "-";
  }

  // Those of so many dials.
  std::string dials(int count) {
    std::string digits;
    for (int i = 0; i < count; ++i) digits += next();
    return digits;
  }

  std::string folder_;
  std::unique_ptr<Security> security_;
  Time now_{};
};

TEST_F(SecurityTest, KeysThatAreNotAnsweredTakeTurns) {
  list("123");
  open();
  EXPECT_EQ(dials(4), "1231");
}

TEST_F(SecurityTest, TheKeyThatWasAnsweredIsTriedFirstAndOnce) {
  list("12");
  open();
  EXPECT_EQ(dials(2), "12");
  security_->bridge_answered();
  EXPECT_EQ(dials(3), "212") << "the one that was there, then the others in turn";
}

TEST_F(SecurityTest, KnowsWhetherTheBridgeMayHaveAnotherKey) {
  list("1A");
  open();
  EXPECT_FALSE(security_->has_other_bridge_key()) << "nothing is dialled";
  EXPECT_EQ(next(), "1");
  EXPECT_FALSE(security_->has_other_bridge_key()) << "a revoked one is none";
  list("12");
  EXPECT_TRUE(security_->has_other_bridge_key());
  list("2");
  EXPECT_TRUE(security_->has_other_bridge_key());
  EXPECT_FALSE(security_->believes_bridge());
  EXPECT_EQ(next(), "2");
  list("B");
  EXPECT_EQ(next(), "-");
  EXPECT_FALSE(security_->has_other_bridge_key() || security_->believes_bridge());
}

TEST_F(SecurityTest, APinnedKeyIsTheOnlyOneUnlessItIsRevoked) {
  list("12c");
  open(hex('c'));
  EXPECT_EQ(dials(2), "cc");
  EXPECT_FALSE(security_->has_other_bridge_key());
  list("12C");
  EXPECT_EQ(next(), "-");
}

}  // namespace
}  // namespace windlass::worker
