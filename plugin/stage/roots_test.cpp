#include "plugin/stage/roots.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <filesystem>
#include <thread>

#include "plugin/stage/testing/harness.hpp"

namespace windlass::stage {
namespace {

namespace fs = std::filesystem;

class Sandbox : public ::testing::Test {
 protected:
  void SetUp() override {
    folder.write("root/in/file", "inside");
    folder.write("other/file", "of the other root");
    folder.write("secret/file", "outside");
    Options options;
    options.roots = {folder.at("root"), folder.at("other")};
    stager = testing::open_stager("threads", options);
  }

  void link(const std::string& text, const std::string& name) const { fs::create_symlink(text, folder.at(name)); }

  Error refused(const std::string& source, const std::string& target) {
    const Outcome outcome = testing::stage_one(*stager, source, target);
    EXPECT_EQ(outcome.state, State::failed) << source << " -> " << target;
    return outcome.error.value_or(fail(Code::ok, "it was done").value());
  }
  Error refused_source(const std::string& source) {
    const Error error = refused(source, folder.at("root/got"));
    EXPECT_FALSE(folder.has("root/got")) << source;
    return error;
  }

  testing::Folder folder;
  std::unique_ptr<Stager> stager;
};

TEST_F(Sandbox, ServesWhatLiesBeneathARoot) {
  EXPECT_EQ(testing::stage_one(*stager, folder.at("root/in/file"), folder.at("other/new/place/file")).state,
            State::done);
  EXPECT_EQ(folder.read("other/new/place/file"), "inside");
}

TEST_F(Sandbox, TakesTheConfiguredAndTheRealSpelling) {
  link(folder.at("root"), "alias");
  Options options;
  options.roots = {folder.at("alias")};
  const auto aliased = testing::open_stager("threads", options);
  EXPECT_EQ(testing::stage_one(*aliased, folder.at("alias/in/file"), folder.at("root/a")).state, State::done);
  EXPECT_EQ(testing::stage_one(*aliased, folder.at("root/in/file"), folder.at("alias/b")).state, State::done);
  EXPECT_EQ(folder.read("root/b"), "inside");
}

TEST_F(Sandbox, FollowsRelativeLinksThatStayInside) {
  link("in", "root/way");
  link("in/file", "root/shortcut");
  link("../in/file", "root/in/up");
  for (const char* source : {"root/way/file", "root/shortcut", "root/in/up"})
    EXPECT_EQ(testing::stage_one(*stager, folder.at(source), folder.at("root/way/copy")).state, State::done) << source;
  EXPECT_EQ(folder.read("root/in/copy"), "inside");
}

TEST_F(Sandbox, RefusesEveryWayOutInTheSameWords) {
  link(folder.at("secret/file"), "root/absolute");
  link(folder.at("root/in/file"), "root/absoluteInside");
  link("../secret/file", "root/relative");
  link("../secret/none", "root/relativeDangling");
  link("../secret", "root/folder");
  link("../none", "root/folderDangling");
  link("../other/file", "root/otherRoot");
  link("relative", "root/chain");
  link("/proc/self/root", "root/proc");
  const std::vector<std::string> ways = {
      folder.at("secret/file"),
      folder.at("secret/none"),
      "/etc/passwd",
      "/no/such/thing",
      folder.at("root") + "/../secret/file",
      folder.at("root") + "/in/../in/file",
      folder.at("root") + "/..",
      folder.at("root") + "2/file",
      folder.at("root/absolute"),
      folder.at("root/absoluteInside"),
      folder.at("root/relative"),
      folder.at("root/relativeDangling"),
      folder.at("root/folder/file"),
      folder.at("root/folder/none"),
      folder.at("root/folderDangling/file"),
      folder.at("root/otherRoot"),
      folder.at("root/chain"),
      folder.at("root/proc") + "/etc/passwd",
      "/proc/self/root" + folder.at("root/in/file"),
      "/proc/self/cwd/x",
      "file://" + folder.at("root") + "/%2e%2e/secret/file",
      "/dev/null",
      "/dev/zero",
      "/",
  };
  for (const std::string& way : ways) {
    const Error source = refused_source(way);
    EXPECT_EQ(source.code, Code::permission_denied) << way << ": " << source.message;
    EXPECT_EQ(source.message.substr(source.message.find("' does not lie")).substr(0, 40),
              "' does not lie beneath the folders that ")
        << way;
    if (way == "/") continue;  // refused before it is looked at
    const Error target = refused(folder.at("root/in/file"), way);
    const bool is_link = fs::is_symlink(way) && target.code == Code::invalid_argument;
    EXPECT_TRUE(target.code == Code::permission_denied || is_link) << way << ": " << target.message;
  }
  EXPECT_EQ(folder.read("secret/file"), "outside");
  EXPECT_FALSE(folder.has("secret/none"));
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_F(Sandbox, RefusesWhatIsNoFile) {
  ASSERT_EQ(::mkfifo(folder.at("root/fifo").c_str(), 0600), 0);
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = folder.at("root/s");
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
  link("loop", "root/loop");
  for (const char* name : {"root/fifo", "root/s", "root/loop"}) {
    EXPECT_EQ(refused_source(folder.at(name)).code, Code::invalid_argument) << name;
    EXPECT_EQ(refused(folder.at("root/in/file"), folder.at(name)).code, Code::invalid_argument) << name;
  }
  if (::mknod(folder.at("root/device").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0) {
    EXPECT_EQ(refused_source(folder.at("root/device")).code, Code::invalid_argument);
  }
  EXPECT_EQ(refused(folder.at("root/in/file"), folder.at("root/in")).code, Code::invalid_argument);
  EXPECT_EQ(refused(folder.at("root/in/file"), folder.at("root/in/file/below")).code, Code::invalid_argument);
  EXPECT_EQ(refused(folder.at("root/in/file"), folder.at("root/" + std::string(256, 'n'))).code,
            Code::invalid_argument);
  EXPECT_EQ(refused_source(folder.at("root/" + std::string(5000, 'n'))).code, Code::invalid_argument);
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_F(Sandbox, KeepsNoStateInARoot) {
  Options options;
  options.roots = {folder.at("root")};
  for (const char* state : {"root", "root/state"}) {
    options.state_path = folder.at(state);
    EXPECT_THROW(testing::open_stager("threads", options), std::runtime_error) << state;
  }
  options.state_path = folder.at("root2");
  EXPECT_NO_THROW(testing::open_stager("threads", options));
}

TEST_F(Sandbox, ServesOddNames) {
  for (const std::string& name : {std::string(255, 'n'), std::string("\xFF\xFE\n"), std::string("..."),
                                  std::string("%2e%2e"), std::string(" "), std::string("-"), std::string("a\\b")}) {
    EXPECT_EQ(testing::stage_one(*stager, folder.at("root/in/file"), folder.at("root/" + name)).state, State::done)
        << name;
    EXPECT_EQ(testing::stage_one(*stager, folder.at("root/" + name), folder.at("other/" + name)).state, State::done)
        << name;
    EXPECT_EQ(folder.read("other/" + name), "inside");
  }
}

TEST_F(Sandbox, RefusesFileSystemsOfTheKernel) {
  Options options;
  options.roots = {"/"};
  const auto all = testing::open_stager("threads", options);
  EXPECT_EQ(testing::stage_one(*all, "/proc/self/status", folder.at("root/got")).error->code, Code::invalid_argument);
  EXPECT_EQ(testing::stage_one(*all, "/sys/kernel", folder.at("root/got")).error->code, Code::invalid_argument);
  EXPECT_EQ(testing::stage_one(*all, folder.at("root/in/file"), "/proc/self/new").error->code, Code::invalid_argument);
}

// While a thread swaps a folder for a link that leads out, nothing from outside ever comes in, and nothing gets out.
TEST_F(Sandbox, StaysInsideWhileLinksAreSwapped) {
  folder.write("root/swap.a/file", "inside");
  link("../secret", "root/swap.b");
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    while (!stop)
      ::renameat2(AT_FDCWD, folder.at("root/swap.a").c_str(), AT_FDCWD, folder.at("root/swap.b").c_str(),
                  RENAME_EXCHANGE);
  });
  for (int round = 0; round < 300; ++round) {
    const Outcome read = testing::stage_one(*stager, folder.at("root/swap.a/file"), folder.at("other/got"));
    if (read.state == State::done) {
      EXPECT_EQ(folder.read("other/got"), "inside");
    } else {
      EXPECT_EQ(read.error->code, Code::permission_denied) << read.error->message;
    }
    testing::stage_one(*stager, folder.at("root/in/file"), folder.at("root/swap.a/written"));
    ASSERT_FALSE(fs::exists(folder.at("secret/written")));
  }
  stop = true;
  swapper.join();
}

}  // namespace
}  // namespace windlass::stage
