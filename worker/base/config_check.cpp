#include "worker/base/config_check.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "worker/base/config_value.hpp"
#include "worker/base/keys.hpp"

namespace windlass::worker {
namespace {

constexpr std::uint64_t kBufferBytesMin = 4096;
constexpr std::size_t kSocketBytesMax = 100;  // the kernel takes 107, and files beside it want longer names

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "node";
  return name;
}

const std::string* variable(const std::map<std::string, std::string>& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() || found->second.empty() ? nullptr : &found->second;
}

// The path as it really is, as far as it exists.
std::filesystem::path real_path(const std::string& path) {
  std::error_code fault;
  const auto real = std::filesystem::weakly_canonical(path, fault);
  return fault ? std::filesystem::path(path).lexically_normal() : real;
}

bool lies_in(const std::filesystem::path& path, const std::filesystem::path& root) {
  const auto relative = path.lexically_relative(root);
  return !relative.empty() && *relative.begin() != "..";
}

// Collects the rules that are broken.
class Check {
 public:
  Check(const LoadedConfig& loaded, std::vector<std::string>& errors) : loaded_(loaded), errors_(errors) {}

  void times() {
    const BridgeConfig& bridge = loaded_.config.bridge;
    if (bridge.suspect_after <= bridge.beat) {
      broken("bridge.suspect_after",
             fmt::format("{} ms is not more than bridge.beat, {} ms; a node would be suspected between two beats",
                         bridge.suspect_after.count(), bridge.beat.count()));
    }
    if (bridge.dead_after <= bridge.suspect_after) {
      broken("bridge.dead_after", fmt::format("{} ms is not more than bridge.suspect_after, {} ms; raise it",
                                              bridge.dead_after.count(), bridge.suspect_after.count()));
    }
  }
  void socket() {
    const std::string& socket = loaded_.config.local.socket;
    if (socket.empty()) broken("local.socket", "is empty; give the path of the socket");
    if (socket.size() > kSocketBytesMax) {
      broken("local.socket", fmt::format("{} is {} bytes long, {} are allowed; choose a shorter folder", socket,
                                         socket.size(), kSocketBytesMax));
    }
  }
  void buffers() {
    const StageConfig& stage = loaded_.config.stage;
    if (stage.bytes_in_flight_max / stage.threads >= kBufferBytesMin) return;
    broken("stage.bytes_in_flight_max",
           fmt::format("{} bytes are not 4KiB for each of stage.threads, {}; raise it or take fewer threads",
                       stage.bytes_in_flight_max, stage.threads));
  }
  void loopback(const std::string& name, const std::string& address) {
    const auto parts = parse_host_port(address);
    const SecurityConfig& security = loaded_.config.security;
    if (!parts || parts->loopback() || security.insecure || !security.keys.empty()) return;
    broken(name, fmt::format("{} is not on loopback and plain tcp lets in everyone who reaches it; give "
                             "security.keys, use 127.0.0.1, or say security.insecure: true where the network itself is "
                             "trusted",
                             address));
  }
  void keys() {
    const SecurityConfig& security = loaded_.config.security;
    if (!security.bridge_key.empty() && !key_of_hex(security.bridge_key))
      broken("security.bridge_key", "is no public key: write its 64 hex digits");
    if (security.keys.empty()) {
      if (!security.bridge_key.empty()) broken("security.bridge_key", "needs security.keys");
      return;
    }
    if (const auto own = load_own_key(security.keys); !own) return broken("security.keys", own.error());
    const auto allowed = AllowedFile::open(security.keys);
    if (!allowed) return broken("security.keys", allowed.error());
    const bool dials = !loaded_.config.bridge.address.empty();
    if (dials && security.bridge_key.empty() && allowed->of_role(KeyRole::scheduler).empty()) {
      broken("security.keys", security.keys +
                                  "/allowed holds no key of role scheduler, so no bridge is believed: add it "
                                  "with `windlass keys allow`, or give security.bridge_key");
    }
  }
  void outside_roots(const std::string& name, const std::string& path) {
    if (path.empty()) return;
    for (const std::string& root : loaded_.config.stage.roots) {
      const std::filesystem::path spelled = path;
      if (lies_in(spelled.lexically_normal(), std::filesystem::path(root).lexically_normal()) ||
          lies_in(real_path(path), real_path(root))) {
        broken(name,
               fmt::format("{} lies in the root {}, where clients may write; choose a folder outside of stage.roots",
                           path, root));
        return;
      }
    }
  }

 private:
  void broken(const std::string& name, const std::string& what) {
    const auto origin = loaded_.origins.find(name);
    errors_.push_back(
        fmt::format("{}: {}: {}", origin == loaded_.origins.end() ? "default" : origin->second, name, what));
  }

  const LoadedConfig& loaded_;
  std::vector<std::string>& errors_;
};

}  // namespace

Config default_config(const std::map<std::string, std::string>& environment) {
  Config config;
  config.node.name = host_name();
  const std::string* runtime = variable(environment, "XDG_RUNTIME_DIR");
  config.local.socket = runtime ? *runtime + "/windlass.sock" : "/run/windlass/windlass.sock";
  if (const std::string* state = variable(environment, "STATE_DIRECTORY"))
    config.state.path = state->substr(0, state->find(':'));
  return config;
}

void check_relations(const LoadedConfig& loaded, std::vector<std::string>& errors) {
  const Config& config = loaded.config;
  Check check(loaded, errors);
  check.times();
  check.socket();
  check.buffers();
  if (!config.bridge.address.empty()) check.loopback("bridge.address", config.bridge.address.substr(6));
  check.loopback("local.listen", config.local.listen);
  check.keys();
  check.outside_roots("security.keys", config.security.keys);
  check.outside_roots("state.path", config.state.path);
  check.outside_roots("cache.path", config.cache.path);
}

}  // namespace windlass::worker
