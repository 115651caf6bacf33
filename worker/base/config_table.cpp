#include "worker/base/config_table.hpp"

#include <algorithm>
#include <cctype>
#include <vector>

#include "worker/base/config_value.hpp"

namespace windlass::worker {
namespace {

using Type = SettingType;

constexpr double kKiB = 1024;
constexpr double kSecond = 1000;
constexpr double kHour = 3600 * kSecond;
constexpr double kExact = 9007199254740992;  // 2^53: beyond it JSON readers round

#define WINDLASS_SETTING(member) .name = #member, .field = [](Config& config) -> SettingField { return &config.member; }

constexpr Setting kSettings[] = {
    {WINDLASS_SETTING(node.name), .type = Type::name,
     .help = "What the scheduler calls this node. One name may be alive once.", .default_told = "the host's name"},
    {WINDLASS_SETTING(node.labels), .type = Type::labels,
     .help = "Labels of the node and of the offers made from it, as {zone: a, disk: nvme}.", .live = true},
    {WINDLASS_SETTING(node.price), .type = Type::number,
     .help = "Price of the node's own offer, for the policy `cost` and for `max_price`. Unset: it has none.",
     .live = true, .most = 1e9, .default_told = "unset"},
    {WINDLASS_SETTING(bridge.address), .type = Type::address,
     .help = "Where the scheduler's bridge listens. Empty: no scheduler, the daemon serves local clients only."},
    {WINDLASS_SETTING(bridge.beat), .type = Type::time, .help = "How often the node reports its load to the bridge.",
     .least = 10, .most = 60 * kSecond},
    {WINDLASS_SETTING(bridge.suspect_after), .type = Type::time,
     .help = "Silence after which the other side is suspected. More than bridge.beat.", .least = 20, .most = kHour},
    {WINDLASS_SETTING(bridge.dead_after), .type = Type::time,
     .help = "Silence after which the other side is taken for dead and the node dials anew. More than "
             "bridge.suspect_after.",
     .least = 30, .most = 24 * kHour},
    {WINDLASS_SETTING(local.socket), .type = Type::path,
     .help = "Socket for clients on this machine, at most 100 bytes long.",
     .default_told = "$XDG_RUNTIME_DIR/windlass.sock, else /run/windlass/windlass.sock"},
    {WINDLASS_SETTING(local.listen), .type = Type::listen,
     .help = "The same endpoint on tcp; port 0 takes any free port. Empty: off. Beyond loopback only with "
             "security.keys, or security.insecure."},
    {WINDLASS_SETTING(http.listen), .type = Type::listen,
     .help = "Where /metrics, /livez and /readyz are served; port 0 takes any free port. Empty: off."},
    {WINDLASS_SETTING(offers.file), .type = Type::path,
     .help = "YAML or JSON file that lists what this node offers. Empty: one offer of the node's cores and memory.",
     .live = true},
    {WINDLASS_SETTING(stage.roots), .type = Type::paths,
     .help = "Folders that the daemon may read and write beneath. Empty: it stages nothing."},
    {WINDLASS_SETTING(stage.hosts_allowed), .type = Type::texts,
     .help = "Hosts that payloads may come from. Read and checked; remote sources are not served yet and are refused."},
    {WINDLASS_SETTING(stage.engine), .type = Type::choice,
     .help = "How files are read and written. `auto` takes io_uring where the kernel lets it, else threads.",
     .choices = "auto|uring|threads"},
    {WINDLASS_SETTING(stage.threads), .type = Type::count, .help = "Threads that read and write files.", .least = 1,
     .most = 64},
    {WINDLASS_SETTING(stage.bytes_in_flight_max), .type = Type::size,
     .help = "Memory that all transfers together may hold.", .least = 64 * kKiB, .most = kExact},
    {WINDLASS_SETTING(stage.bandwidth_max), .type = Type::rate,
     .help = "Limit for all transfers together, copies inside the kernel counted too. 0: none.", .most = kExact},
    {WINDLASS_SETTING(stage.bandwidth_max_input), .type = Type::rate,
     .help = "Limit for the transfers of kind `input` alone, beneath stage.bandwidth_max. 0: none of their own.",
     .most = kExact},
    {WINDLASS_SETTING(stage.bandwidth_max_result), .type = Type::rate,
     .help = "Limit for the transfers of kind `result` alone, beneath stage.bandwidth_max. 0: none of their own.",
     .most = kExact},
    {WINDLASS_SETTING(stage.free_min), .type = Type::size,
     .help = "Bytes that staging leaves free on each file system it writes to.", .most = kExact},
    {WINDLASS_SETTING(stage.inodes_min), .type = Type::count,
     .help = "Inodes that staging leaves free on each file system it writes to.", .most = kExact},
    {WINDLASS_SETTING(stage.quota_per_client), .type = Type::size,
     .help = "Bytes that one client may have accepted and unfinished. 0: no quota.", .most = kExact},
    {WINDLASS_SETTING(stage.queue_max), .type = Type::count,
     .help = "Transfers that may be accepted and unfinished; what comes beyond is refused with a time to come again.",
     .least = 1, .most = 10e6},
    {WINDLASS_SETTING(stage.retries), .type = Type::count,
     .help = "How often a transfer is tried again after a failure that may pass.", .most = 100},
    {WINDLASS_SETTING(stage.resume_keep), .type = Type::time,
     .help = "How long parts of interrupted transfers are kept to go on from. Needs state.path.", .least = kSecond,
     .most = 365 * 24 * kHour},
    {WINDLASS_SETTING(stage.decompress_ratio_max), .type = Type::number,
     .help = "How many times larger than its source a decompressed file may get; a transfer that goes beyond is ended.",
     .least = 1, .most = 1e6},
    {WINDLASS_SETTING(stage.fallback), .type = Type::choice,
     .help = "`legacy` lets clients copy in their own process where no daemon had accepted the call. Clients take it "
             "from WINDLASS_STAGE__FALLBACK; the daemon itself does nothing with it.",
     .choices = "none|legacy"},
    {WINDLASS_SETTING(stage.s3.endpoint), .type = Type::text,
     .help = "URL of the object store. Read and checked; S3 sources are not served yet and are refused."},
    {WINDLASS_SETTING(stage.s3.region), .type = Type::text,
     .help = "Region that requests are signed for. Read and checked; S3 sources are not served yet and are refused."},
    {WINDLASS_SETTING(stage.s3.path_style), .type = Type::boolean,
     .help = "Put the bucket into the path instead of the host. Read and checked; S3 sources are not served yet and "
             "are refused."},
    {WINDLASS_SETTING(cache.path), .type = Type::path,
     .help = "Folder of the node's cache, outside of all roots. Read and checked; `cache` and `pin` are not served yet "
             "and are "
             "refused."},
    {WINDLASS_SETTING(cache.bytes_max), .type = Type::size,
     .help = "Size that the cache may grow to, 0 for no limit. Read and checked; the cache is not served yet.",
     .most = kExact},
    {WINDLASS_SETTING(cache.free_min), .type = Type::size,
     .help = "Bytes that the cache leaves free on its file system. Read and checked; the cache is not served yet.",
     .most = kExact},
    {WINDLASS_SETTING(cache.lease), .type = Type::time,
     .help = "How long an entry stays after its last use at least. Read and checked; the cache is not served yet.",
     .most = 365 * 24 * kHour},
    {WINDLASS_SETTING(match.threads), .type = Type::count, .help = "Match calls that run at the same time.", .least = 1,
     .most = 256},
    {WINDLASS_SETTING(log.level), .type = Type::choice, .help = "The least weighty lines that are written.",
     .live = true, .choices = "trace|debug|info|warn|error"},
    {WINDLASS_SETTING(log.format), .type = Type::choice, .help = "One JSON object a line, or text for people.",
     .live = true, .choices = "json|text"},
    {WINDLASS_SETTING(state.path), .type = Type::path,
     .help = "Folder, outside of all roots, for what outlives a restart: how far transfers came and how they ended. "
             "Empty: nothing "
             "is kept.",
     .default_told = "$STATE_DIRECTORY where systemd gives one, else empty"},
    {WINDLASS_SETTING(security.insecure), .type = Type::boolean,
     .help = "Allows plain tcp beyond loopback: anyone who reaches the port can read, write and delete beneath "
             "stage.roots."},
    {WINDLASS_SETTING(security.keys), .type = Type::path,
     .help = "Folder of keys that `windlass keys` makes. With it all tcp, to the bridge and at local.listen, is "
             "encrypted and open to the keys of its list only. Empty: tcp is plain."},
    {WINDLASS_SETTING(security.bridge_key), .type = Type::text,
     .help = "Public key of the bridge, 64 hex digits; no other is believed. Empty: the keys of role scheduler in the "
             "list of security.keys."},
    {WINDLASS_SETTING(security.landlock), .type = Type::choice,
     .help = "`auto` confines the threads that follow clients' paths to stage.roots and state.path by Landlock, where "
             "the kernel has it; windlass_stage_confined_threads tells.",
     .choices = "auto|off"},
    {WINDLASS_SETTING(security.local_uids), .type = Type::uids,
     .help =
         "Users besides the daemon's own who may use local.socket. They act with the daemon's rights on stage.roots.",
     .most = 4294967294.0},
};

#undef WINDLASS_SETTING

// Steps of inserting, leaving out or exchanging one character.
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row[b.size()];
}

std::string range_in_words(const Setting& setting) {
  const auto told = [&](double bound) { return render_number(setting, bound); };
  const bool bounded = setting.most < kExact;
  if (setting.least > 0 && bounded) return ", from " + told(setting.least) + " to " + told(setting.most);
  if (setting.least > 0) return ", from " + told(setting.least);
  return bounded ? ", up to " + told(setting.most) : "";
}

}  // namespace

std::span<const Setting> settings() {
  return kSettings;
}

const Setting* find_setting(std::string_view name) {
  const auto* found = std::ranges::find(kSettings, name, &Setting::name);
  return found == std::end(kSettings) ? nullptr : found;
}

bool is_section(std::string_view name) {
  return std::ranges::any_of(kSettings, [&](const Setting& setting) {
    return setting.name.starts_with(name) && setting.name.size() > name.size() && setting.name[name.size()] == '.';
  });
}

std::string_view nearest_name(std::string_view name) {
  std::string_view nearest;
  std::size_t least = std::string_view::npos;
  const auto consider = [&](std::string_view candidate) {
    const std::size_t edits = edits_between(name.substr(0, 200), candidate);
    if (edits < least) {
      least = edits;
      nearest = candidate;
    }
  };
  for (const Setting& setting : kSettings) {
    consider(setting.name);
    for (auto dot = setting.name.find('.'); dot != std::string_view::npos; dot = setting.name.find('.', dot + 1)) {
      consider(setting.name.substr(0, dot));
    }
  }
  return nearest;
}

std::string environment_name(std::string_view name) {
  std::string made = "WINDLASS_";
  for (const char c : name) {
    if (c == '.') {
      made += "__";
    } else {
      made += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
  }
  return made;
}

std::string allowed_values(const Setting& setting) {
  switch (setting.type) {
    case Type::text:
      return "text";
    case Type::name:
      return "text of at most 200 bytes without blanks, \"/\" and control characters";
    case Type::path:
      return "an absolute path without \"..\"";
    case Type::paths:
      return "a list of absolute paths without \"..\"";
    case Type::texts:
      return "a list of texts";
    case Type::labels:
      return "a map of names to texts";
    case Type::uids:
      return "a list of user ids";
    case Type::boolean:
      return "true or false";
    case Type::count:
      return "a whole number" + range_in_words(setting);
    case Type::number:
      return "a number" + range_in_words(setting);
    case Type::size:
      return "a size (64MiB, 1GB, or bytes)" + range_in_words(setting);
    case Type::rate:
      return "bytes per second (100MiB, 100MiB/s, or a number)" + range_in_words(setting);
    case Type::time:
      return "a time (10s, 500ms, 5m, 24h, 7d, or seconds)" + range_in_words(setting);
    case Type::address:
      return "tcp://host:port";
    case Type::listen:
      return "host:port";
    case Type::choice: {
      std::string told = "one of ";
      for (const char c : setting.choices) told += c == '|' ? std::string(", ") : std::string(1, c);
      return told;
    }
  }
  return {};
}

}  // namespace windlass::worker
