// The configuration of windlassd as plain values. What each key is called, which values it takes and what it does
// stands once, in config_table.cpp; every key of the table is the member of the same name here (`stage.s3.region` is
// `config.stage.s3.region`).
//
// Values only: any thread may read a Config that nobody writes. Sizes are bytes, times are milliseconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace windlass::worker {

struct NodeConfig {
  std::string name;  // never empty once loaded: the host's name where none was given
  std::map<std::string, std::string> labels;
  std::optional<double> price;
};

struct BridgeConfig {
  std::string address;  // "tcp://host:port"; empty: no scheduler, local clients only
  std::chrono::milliseconds beat{1000};
  std::chrono::milliseconds suspect_after{3000};
  std::chrono::milliseconds dead_after{10000};
};

struct LocalConfig {
  std::string socket;  // absolute path; never empty once loaded
  std::string listen;  // "host:port", port 0 allowed; empty: off
};

struct HttpConfig {
  std::string listen;  // "host:port", port 0 allowed; empty: off
};

struct S3Config {
  std::string endpoint;
  std::string region;
  bool path_style = false;
};

struct StageConfig {
  std::vector<std::string> roots;  // absolute, without ".."; empty: the daemon stages nothing
  std::vector<std::string> hosts_allowed;
  std::string engine = "auto";  // auto | uring | threads
  std::uint64_t threads = 2;
  std::uint64_t bytes_in_flight_max = std::uint64_t{64} << 20;
  std::uint64_t bandwidth_max = 0;  // bytes/s; 0: no limit
  std::uint64_t bandwidth_max_input = 0;
  std::uint64_t bandwidth_max_result = 0;
  std::uint64_t free_min = 0;
  std::uint64_t inodes_min = 0;
  std::uint64_t quota_per_client = 0;  // bytes; 0: none
  std::uint64_t queue_max = 10000;
  std::uint64_t retries = 3;
  std::chrono::milliseconds resume_keep{std::chrono::hours{24}};
  double decompress_ratio_max = 1000;
  std::string fallback = "none";  // none | legacy
  S3Config s3;
};

struct CacheConfig {
  std::string path;
  std::uint64_t bytes_max = 0;
  std::uint64_t free_min = 0;
  std::chrono::milliseconds lease{std::chrono::minutes{10}};
};

struct MatchConfig {
  std::uint64_t threads = 1;
};

struct LogConfig {
  std::string level = "info";   // trace | debug | info | warn | error
  std::string format = "json";  // json | text
};

struct StateConfig {
  std::string path;  // absolute; empty: nothing is kept over a restart
};

struct OffersConfig {
  std::string file;  // absolute; empty: one offer of the node's cores and memory
};

struct SecurityConfig {
  bool insecure = false;   // allows plain tcp beyond loopback
  std::string keys;        // folder, absolute; empty: tcp is plain
  std::string bridge_key;  // 64 hex digits; empty: those of role scheduler in the list
  std::vector<std::uint32_t> local_uids;
  std::string landlock = "auto";
};

struct Config {
  NodeConfig node;
  BridgeConfig bridge;
  LocalConfig local;
  HttpConfig http;
  OffersConfig offers;
  StageConfig stage;
  CacheConfig cache;
  MatchConfig match;
  LogConfig log;
  StateConfig state;
  SecurityConfig security;
};

}  // namespace windlass::worker
