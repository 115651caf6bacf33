#include "worker/base/config_load.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "worker/base/config_docs.hpp"
#include "worker/base/config_table.hpp"

namespace windlass::worker {
namespace {

using std::chrono::milliseconds;

// A folder for one test's files.
class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    std::string name = (std::filesystem::temp_directory_path() / "windlass-config-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    folder_ = name;
    sources_.environment = {{"XDG_RUNTIME_DIR", "/run/user/1"}, {"HOME", "/root"}};
  }
  ~ConfigTest() override { std::filesystem::remove_all(folder_); }

  void file(std::string_view text) {
    sources_.file = (folder_ / "w.yaml").string();
    std::ofstream(*sources_.file, std::ios::binary) << text;
  }
  Config config() {
    auto loaded = load_config(sources_);
    if (loaded) return loaded->config;
    for (const auto& error : loaded.error()) ADD_FAILURE() << error;
    return {};
  }
  // All errors, without the folder, a line each.
  std::string errors() {
    const auto loaded = load_config(sources_);
    if (loaded) return "";
    std::string all;
    for (const std::string& error : loaded.error()) {
      const std::string name = (folder_ / "w.yaml").string();
      all += (error.starts_with(name) ? "w.yaml" + error.substr(name.size()) : error) + "\n";
    }
    return all;
  }

  std::filesystem::path folder_;
  ConfigSources sources_;
};

TEST_F(ConfigTest, TakesOneDocumentAndNothingBehindIt) {
  for (const char* text : {"---\nlog: {level: warn}\n---\nlog: {level: error}\n", "log: {level: warn}\n...\n- 1\n"}) {
    file(text);
    EXPECT_NE(errors().find("second YAML document"), std::string::npos) << text;
  }
  file(std::string_view(", 2].b: *a.?\0{c: d}.: !! 1.", 28));
  EXPECT_NE(errors(), "") << "and does not look for the end of it for ever";
  file("---\nlog: {level: warn}\n...\n# that is all\n");
  EXPECT_EQ(config().log.level, "warn");
}

TEST_F(ConfigTest, DefaultsNeedNoFile) {
  const Config c = config();
  EXPECT_FALSE(c.node.name.empty());
  EXPECT_EQ(c.local.socket, "/run/user/1/windlass.sock");
  EXPECT_EQ(c.bridge.beat, milliseconds(1000));
  EXPECT_EQ(c.stage.bytes_in_flight_max, 64U << 20);
  EXPECT_EQ(c.state.path, "");
  sources_.environment = {{"STATE_DIRECTORY", "/var/lib/windlass:/other"}};
  EXPECT_EQ(config().local.socket, "/run/windlass/windlass.sock");
  EXPECT_EQ(config().state.path, "/var/lib/windlass");
}

TEST_F(ConfigTest, TheDefaultsOfTheTablePassItsOwnRules) {
  std::map<std::string, std::string> environment = sources_.environment;
  auto loaded = load_config(sources_);
  ASSERT_TRUE(loaded);
  file(effective_config(*loaded));
  const auto again = load_config(sources_);
  ASSERT_TRUE(again) << errors();
  EXPECT_EQ(apply_live(loaded->config, again->config).needs_restart, std::vector<std::string>{});
}

TEST_F(ConfigTest, FileThenEnvironmentThenFlag) {
  file("stage:\n  queue_max: 5\n  retries: 1\n  roots: [/a]\n");
  sources_.environment["WINDLASS_STAGE__QUEUE_MAX"] = "6";
  sources_.environment["WINDLASS_STAGE__RETRIES"] = "2";
  sources_.environment["WINDLASS_LIBRARY"] = "/x.so";
  sources_.flags = {"--stage.queue_max=7"};
  const auto loaded = load_config(sources_);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.stage.queue_max, 7U);
  EXPECT_EQ(loaded->config.stage.retries, 2U);
  EXPECT_EQ(loaded->config.stage.roots, std::vector<std::string>{"/a"});
  EXPECT_EQ(loaded->origins.at("stage.queue_max"), "--stage.queue_max");
  EXPECT_EQ(loaded->origins.at("stage.retries"), "WINDLASS_STAGE__RETRIES");
  EXPECT_EQ(loaded->origins.at("stage.roots"), *sources_.file + ":4");
  EXPECT_EQ(loaded->origins.at("stage.engine"), "default");
}

TEST_F(ConfigTest, KeysNestOrStandInOne) {
  file(
      "stage.roots: [/a, /b/]\nstage:\n  s3:\n    region: eu\nnode: {labels: {zone.x: a, tier: 1}, price: "
      "0.5}\nbridge:\nlocal.socket:\n");
  const Config c = config();
  EXPECT_EQ(c.stage.roots, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(c.stage.s3.region, "eu");
  EXPECT_EQ(c.node.labels, (std::map<std::string, std::string>{{"zone.x", "a"}, {"tier", "1"}}));
  EXPECT_EQ(c.node.price, 0.5);
}

TEST_F(ConfigTest, SizesAndTimesHaveUnits) {
  file(
      "stage: {bytes_in_flight_max: 64MiB, bandwidth_max: 1.5GB/s, free_min: 1024, resume_keep: 7d}\n"
      "bridge: {beat: 0.1, suspect_after: 300ms, dead_after: 1s}\n");
  const Config c = config();
  EXPECT_EQ(c.stage.bytes_in_flight_max, 64U << 20);
  EXPECT_EQ(c.stage.bandwidth_max, 1500000000U);
  EXPECT_EQ(c.stage.free_min, 1024U);
  EXPECT_EQ(c.stage.resume_keep, std::chrono::hours(7 * 24));
  EXPECT_EQ(c.bridge.beat, milliseconds(100));
  EXPECT_EQ(c.bridge.suspect_after, milliseconds(300));
  EXPECT_EQ(c.bridge.dead_after, milliseconds(1000));
}

TEST_F(ConfigTest, ListsAndMapsInVariablesAndFlags) {
  sources_.flags = {"--stage.roots=/a, /b", "--node.labels=zone=a,tier=b=c", "--security.local_uids=1,2"};
  EXPECT_EQ(config().stage.roots, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(config().node.labels, (std::map<std::string, std::string>{{"zone", "a"}, {"tier", "b=c"}}));
  EXPECT_EQ(config().security.local_uids, (std::vector<std::uint32_t>{1, 2}));
  sources_.flags = {"--stage.roots=[\"/a,b\", /c]", "--node.labels={zone: \"a,b\"}", "--stage.hosts_allowed="};
  EXPECT_EQ(config().stage.roots, (std::vector<std::string>{"/a,b", "/c"}));
  EXPECT_EQ(config().node.labels.at("zone"), "a,b");
  EXPECT_TRUE(config().stage.hosts_allowed.empty());
}

TEST_F(ConfigTest, UnknownKeysAreRefusedWithPlaceAndNearestName) {
  file("node:\n  name: a\nstage:\n  rootz: [/a]\nstge:\n  roots: [/a]\n<<: 1\n");
  sources_.environment["WINDLASS_STAGE__QUEUE_MAXX"] = "1";
  sources_.flags = {"--log.levle=info"};
  EXPECT_EQ(errors(),
            "w.yaml:4: stage.rootz is no setting; the nearest is stage.roots\n"
            "w.yaml:5: stge is no setting; the nearest is stage\n"
            "w.yaml:7: << is no setting; the nearest is log\n"
            "WINDLASS_STAGE__QUEUE_MAXX: is no setting; the nearest is WINDLASS_STAGE__QUEUE_MAX\n"
            "--log.levle: is no setting; the nearest is --log.level\n");
}

TEST_F(ConfigTest, KeysThatStandTwiceAreRefused) {
  file("stage:\n  threads: 1\n  threads: 2\nstage.threads: 3\nnode: {labels: {a: 1, a: 2}}\nstage: {}\n");
  const std::string all = errors();
  EXPECT_NE(all.find("w.yaml:3: stage.threads stands here again, first at"), std::string::npos) << all;
  EXPECT_NE(all.find("w.yaml:4: stage.threads stands here again"), std::string::npos) << all;
  EXPECT_NE(all.find("w.yaml:5: node.labels: \"a\" stands there twice"), std::string::npos) << all;
  EXPECT_NE(all.find("w.yaml:6: stage stands here again"), std::string::npos) << all;
}

TEST_F(ConfigTest, WrongValuesSayWhatIsAllowed) {
  const std::pair<const char*, const char*> wrong[] = {
      {"stage: {queue_max: many}",
       "stage.queue_max: \"many\" is not allowed; write a whole number, from 1 to 10000000"},
      {"stage: {queue_max: 1.5}", "write a whole number"},
      {"stage: {queue_max: 0}", "write a whole number"},
      {"stage: {queue_max: -1}", "write a whole number"},
      {"stage: {queue_max: [1]}", "a list is not allowed; write a whole number"},
      {"stage: {queue_max: {a: 1}}", "a map is not allowed"},
      {"stage: {roots: /a}", "a single value is not allowed; write a list of absolute paths"},
      {"stage: {roots: [a]}", "\"a\" is not allowed; write a list of absolute paths"},
      {"stage: {roots: [/a/../b]}", "without \\\"..\\\""},
      {"stage: {roots: [[/a]]}", "plain values only"},
      {"stage: {bytes_in_flight_max: 64mib}", "write a size (64MiB, 1GB, or bytes), from 64KiB"},
      {"stage: {bytes_in_flight_max: 1KiB}", "from 64KiB"},
      {"stage: {bytes_in_flight_max: nan}", "a size"},
      {"bridge: {beat: 1y}", "write a time"},
      {"bridge: {beat: 2h}", "from 10ms to 1m"},
      {"bridge: {address: 127.0.0.1:80}", "write tcp://host:port"},
      {"bridge: {address: 'tcp://h:0'}", "write tcp://host:port"},
      {"http: {listen: 8080}", "write host:port"},
      {"http: {listen: '127.0.0.1:99999'}", "write host:port"},
      {"log: {level: loud}", "write one of trace, debug, info, warn, error"},
      {"log: {level: 'info|warn'}", "write one of"},
      {"stage: {s3: {path_style: yes}}", "write true or false"},
      {"node: {name: 'a/b'}", "without blanks"},
      {"node: {name: ''}", "without blanks"},
      {"node: {labels: [a]}", "a list is not allowed; write a map"},
      {"node: {price: -1}", "a number"},
      {"security: {local_uids: [root]}", "a list of user ids"},
      {"stage: 5", "stage is a section"},
  };
  for (const auto& [text, told] : wrong) {
    file(text);
    const std::string all = errors();
    std::string plain = told;
    for (auto at = plain.find("\\\""); at != std::string::npos; at = plain.find("\\\"")) plain.erase(at, 1);
    EXPECT_TRUE(all.starts_with("w.yaml:1: ")) << text << " -> " << all;
    EXPECT_NE(all.find(plain), std::string::npos) << text << " -> " << all;
  }
}

TEST_F(ConfigTest, FilesThatAreNoConfigurationAreRefused) {
  for (const char* text :
       {"[1, 2]", "just words", "a: [1", "a: 1\n---\nb: 2\n", "\t- x: y: z", "? [a, b]\n: 1\n", "&a [*a]"}) {
    file(text);
    EXPECT_TRUE(errors().starts_with("w.yaml")) << text << " -> " << errors();
  }
  file(std::string(2 << 20, '#'));
  EXPECT_NE(errors().find("larger than 1 MiB"), std::string::npos);
  sources_.file = folder_.string();
  EXPECT_NE(errors().find("it is a folder"), std::string::npos);
  sources_.file = (folder_ / "none").string();
  EXPECT_NE(errors().find("No such file"), std::string::npos);
  for (const char* text : {"", "# nothing\n", "---\n", "stage:\n"}) {
    file(text);
    EXPECT_EQ(errors(), "") << text;
  }
}

TEST_F(ConfigTest, TimesMustFollowEachOther) {
  sources_.flags = {"--bridge.beat=1s", "--bridge.suspect_after=1s", "--bridge.dead_after=500ms"};
  const std::string all = errors();
  EXPECT_NE(all.find("--bridge.suspect_after: bridge.suspect_after: 1000 ms is not more than bridge.beat"),
            std::string::npos)
      << all;
  EXPECT_NE(all.find("--bridge.dead_after: bridge.dead_after: 500 ms is not more than"), std::string::npos) << all;
}

TEST_F(ConfigTest, EachThreadNeedsABuffer) {
  sources_.flags = {"--stage.threads=64", "--stage.bytes_in_flight_max=256KiB"};
  EXPECT_EQ(errors(), "");
  sources_.flags[1] = "--stage.bytes_in_flight_max=255KiB";
  EXPECT_NE(errors().find("not 4KiB for each of stage.threads, 64"), std::string::npos) << errors();
}

TEST_F(ConfigTest, ASocketPathThatIsTooLongIsRefused) {
  sources_.flags = {"--local.socket=/" + std::string(99, 'x')};
  EXPECT_EQ(errors(), "");
  sources_.flags = {"--local.socket=/" + std::string(100, 'x')};
  EXPECT_NE(errors().find("is 101 bytes long, 100 are allowed"), std::string::npos);
  sources_.flags.clear();
  sources_.environment["XDG_RUNTIME_DIR"] = "/" + std::string(120, 'y');
  EXPECT_TRUE(errors().starts_with("default: local.socket: ")) << errors();
}

TEST_F(ConfigTest, PlainTcpBeyondLoopbackMustBeSaidInWords) {
  for (const char* flag : {"--bridge.address=tcp://10.0.0.1:8790", "--local.listen=0.0.0.0:1", "--local.listen=[::]:1",
                           "--local.listen=tcp://host:7"}) {
    sources_.flags = {flag};
    EXPECT_NE(errors().find("security.insecure: true"), std::string::npos) << flag;
    sources_.flags.emplace_back("--security.insecure=true");
    EXPECT_EQ(errors(), "") << flag;
  }
  for (const char* flag :
       {"--bridge.address=tcp://127.0.0.1:8790", "--local.listen=[::1]:0", "--local.listen=localhost:1"}) {
    sources_.flags = {flag};
    EXPECT_EQ(errors(), "") << flag;
  }
}

TEST_F(ConfigTest, ABridgeIsDialledByTcpAlone) {
  for (const char* flag : {"--bridge.address=ipc:///run/x", "--bridge.address=/run/x", "--bridge.address=127.0.0.1:1",
                           "--bridge.address=tcp://127.0.0.1", "--bridge.address=tcp://127.0.0.1:0"}) {
    sources_.flags = {flag};
    EXPECT_NE(errors().find("tcp://host:port"), std::string::npos) << flag << ": " << errors();
  }
}

TEST_F(ConfigTest, StateAndCacheMayNotLieInARoot) {
  const std::string root = (folder_ / "root").string();
  std::filesystem::create_directories(root + "/state");
  std::filesystem::create_directory_symlink(root + "/state", folder_ / "link");
  const std::string link = (folder_ / "link").string();
  for (const std::string& inside : {root, root + "/", root + "/state", root + "/new/deep", link, link + "/deeper"}) {
    for (const char* key : {"state.path", "cache.path"}) {
      sources_.flags = {"--stage.roots=" + root, std::string("--") + key + "=" + inside};
      EXPECT_NE(errors().find("lies in the root"), std::string::npos) << key << " " << inside;
    }
  }
  for (const std::string& outside : {root + "-beside", folder_.string(), std::string("/var/lib/windlass-none")}) {
    sources_.flags = {"--stage.roots=" + root, "--state.path=" + outside};
    EXPECT_EQ(errors(), "") << outside;
  }
}

TEST_F(ConfigTest, AReloadTakesWhatMayChangeLive) {
  Config running = config();
  sources_.flags = {"--log.level=debug", "--node.labels=zone=b", "--stage.threads=7"};
  const LiveChange change = apply_live(running, config());
  EXPECT_EQ(change.applied, (std::vector<std::string>{"node.labels", "log.level"}));
  EXPECT_EQ(change.needs_restart, std::vector<std::string>{"stage.threads"});
  EXPECT_EQ(running.log.level, "debug");
  EXPECT_EQ(running.node.labels.at("zone"), "b");
  EXPECT_EQ(running.stage.threads, 2U);
}

TEST(ConfigTable, NamesAreUniqueLowerCaseAndExplained) {
  std::map<std::string_view, int> seen;
  for (const Setting& setting : settings()) {
    EXPECT_EQ(++seen[setting.name], 1) << setting.name;
    EXPECT_EQ(setting.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_."), std::string_view::npos)
        << setting.name;
    EXPECT_TRUE(setting.help.ends_with('.')) << setting.name;
    EXPECT_FALSE(is_section(setting.name)) << setting.name;
    EXPECT_EQ(setting.type == SettingType::choice, !setting.choices.empty()) << setting.name;
  }
  EXPECT_EQ(environment_name("stage.s3.path_style"), "WINDLASS_STAGE__S3__PATH_STYLE");
}

}  // namespace
}  // namespace windlass::worker
