// Every message of the wire: fields, units, limits, direction. proto/protocol.md is the same in prose, limits.hpp the
// numbers, codec.hpp the way to bytes and back; nothing else knows msgpack.
//
// Plain values, owned by whoever holds them; fields of type string_view view the frame they were decoded from, and live
// as long as it does. Names of fields are the keys on the wire.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/limits.hpp"

namespace windlass::proto {

// Header `t`. Others may arrive: they are answered ERROR UNIMPLEMENTED.
enum class Type : std::uint32_t {
  hello = 1,     // node -> bridge, client -> windlassd, observer -> bridge
  welcome = 2,   // the answer to a HELLO
  load = 3,      // node -> bridge: a report; client -> windlassd, empty: a question
  match = 4,     // client -> windlassd
  stage = 5,     // client -> windlassd, bridge -> node
  progress = 6,  // windlassd -> asker: how far; asker -> windlassd: a sign of life and a question
  cancel = 7,    // asker -> windlassd
  result = 8,    // the answer
  error = 9,     // the answer
  drain = 10,    // node -> bridge: I take no new work
  bye = 11,      // either side: my last message
  nodes = 12,    // observer -> bridge
  grant = 13,    // bridge -> node
  release = 14,  // bridge -> node
  session = 15,  // client -> windlassd
};

// gRPC's status codes.
enum class Code : std::uint32_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};

// 128 bits, drawn by whoever asks.
struct RequestId {
  std::array<char, kIdBytes> bytes{};
  bool operator==(const RequestId&) const = default;
};

// The first frame of every message; at most kHeaderBytesMax.
struct Header {
  std::uint32_t v = kVersionHighest;
  std::uint32_t t = 0;                // a Type, or what this version does not know
  RequestId id{};                     // of the request; its answers carry the same
  std::optional<std::uint64_t> dl{};  // milliseconds that remain; at most kDeadlineMsMax
  std::string tp{};                   // W3C traceparent, "" where absent
};

using Labels = std::map<std::string, std::string>;

enum class Role : std::uint8_t { node, client, observer };

struct Hello {
  Role role = Role::client;
  std::uint32_t version_lowest = kVersionLowest;  // "versions": [lowest, highest]
  std::uint32_t version_highest = kVersionHighest;
  std::vector<std::string> features;
  std::string software;
  std::uint64_t pid = 0;
  std::string name;         // from nodes
  std::string incarnation;  // from nodes: 16 hex digits, new at each registration
  Labels labels;            // from nodes
  std::string process;      // from nodes: the same for each registration of one process; "": not told
  // From nodes, with the feature "credits": what the bridge may have under way; 0: nothing is said of it.
  std::uint64_t credit_requests = 0;
  std::uint64_t credit_bytes = 0;
};

struct Welcome {
  std::uint32_t version = kVersionHighest;
  std::vector<std::string> features;
  std::string software;
  std::string name;         // of the node or daemon that answers, or that is welcomed
  std::string incarnation;  // likewise
  std::uint64_t beat_ms = 1000;
  std::uint64_t suspect_ms = 3000;
  std::uint64_t dead_ms = 10000;
  // Feature "credits": what the asker may have under way; 0: the sender says nothing of it.
  std::uint64_t credit_requests = 0;
  std::uint64_t credit_bytes = 0;
};

using Rates = std::map<std::string, double>;

// How a node is. Ratios from 0 to 1.
struct LoadReport {
  std::uint64_t sequence = 0;
  std::string incarnation;
  std::optional<double> age_seconds;  // in answers to a question: how old the sample is
  double cores = 0;                   // what the daemon's process may use; 1.5 is possible
  double cpu_ratio = 0;
  std::uint64_t memory_available_bytes = 0;
  std::uint64_t memory_total_bytes = 0;
  std::map<std::string, Rates> psi;   // cpu, memory, io: some_avg10, some_avg60, full_avg10, full_avg60 in percent
  std::map<std::string, Rates> disk;  // device: read_bytes_per_s, write_bytes_per_s, busy_ratio
  std::map<std::string, Rates> net;   // interface: receive_bytes_per_s, transmit_bytes_per_s
  std::map<std::string, std::map<std::string, std::uint64_t>> roots;  // path: free_bytes, free_inodes
  std::uint64_t queue_match = 0;                                      // "queue": {match, stage, oldest_seconds}
  std::uint64_t queue_stage = 0;
  double queue_oldest_seconds = 0;
  std::uint64_t bytes_in_flight = 0;
  std::string engine;  // of staging: uring, threads
  bool draining = false;
  std::vector<std::string> degraded;  // reasons in words
  Labels labels;
};

// A part of an offer, or the whole of it, that a session of a bridge holds for one task.
struct GrantEntry {
  RequestId id;  // drawn by the bridge; the node knows the grant by it for good
  std::string offer;
  std::uint64_t epoch = 0;  // in GRANT: the `offers_version` that the bridge went by; in LOAD as it was asked
  std::map<std::string, std::int64_t> amounts;  // by dimension, in units of 1/10,000, above 0
  std::map<std::string, std::vector<std::pair<std::uint32_t, std::int64_t>>>
      devices;                 // by kind: number, share in units
  bool exclusive = false;      // nobody else may hold any of the offer
  std::string about;           // a msgpack map as bytes, at most kGrantAboutBytesMax: the bridge's, kept for it
  std::uint64_t lease_ms = 0;  // in LOAD: what is left of it
};

// node -> bridge, each beat; answered RESULT LoadSeen.
struct Load {
  LoadReport load;
  std::uint64_t offers_version = 0;
  // When they changed and after each WELCOME: records with the fields of docs/matching.md, each a msgpack map as bytes.
  std::optional<std::vector<std::string>> offers;
  // One more for each change; absent from a node that holds none for anybody.
  std::optional<std::uint64_t> grants_version;
  std::optional<std::vector<GrantEntry>> grants;  // when they changed and after each WELCOME: all that are held
};

// bridge -> node: take these for `lease_ms` from now, and let those of `renew` last as long again.
struct Grant {
  std::uint64_t lease_ms = 0;      // above 0, at most kLeaseMsMax
  std::vector<GrantEntry> grants;  // these and `renew` at most kGrantsMax each
  std::vector<RequestId> renew;
};

struct GrantRefusal {
  std::uint64_t grant = 0;  // its place in `grants`
  Code code = Code::failed_precondition;
  std::string message;
};

// RESULT of a GRANT: what is not named was granted, or was held already.
struct GrantAnswer {
  std::uint64_t version = 0;  // `grants_version` after it
  std::vector<GrantRefusal> refused;
  std::vector<RequestId> unknown;  // of `renew`: not held here
};

// bridge -> node; what is not held is passed over, and not granted any more should its GRANT still come.
struct Release {
  std::vector<RequestId> grants;  // at most kGrantsMax
};

// RESULT of a RELEASE.
struct ReleaseAnswer {
  std::uint64_t version = 0;
  std::uint64_t released = 0;  // how many were held
};

struct LoadSeen {
  std::uint64_t sequence = 0;
};

// RESULT of a client's LOAD, whose body is empty.
struct LoadAnswer {
  LoadReport load;
};

enum class ColumnType : std::uint8_t { i4 = 0, i8 = 1, u8 = 2 };
[[nodiscard]] constexpr std::size_t bytes_of(ColumnType type) {
  return type == ColumnType::i4 ? 4 : 8;
}

// One column frame: raw little-endian, `count` entries.
struct ColumnSpec {
  ColumnType type = ColumnType::i8;
  std::uint64_t count = 0;
  bool operator==(const ColumnSpec&) const = default;
};

using Column = std::optional<std::uint32_t>;  // number of a column frame; nullopt is nil

enum class Mode : std::uint8_t { exclusive = 0, packing = 1 };
enum class Policy : std::uint8_t { best_fit = 0, worst_fit = 1, dot_product = 2, cost = 3, fragmentation = 4 };
enum class Ties : std::uint8_t { stable = 0, swap_remove = 1 };

// client -> windlassd. Rows and dimensions are numbers. Amounts are in units of 1/10,000, weights rint(w x 2^16),
// scale in units (0: the largest offer), prices in 10^-6 (-1: none).
struct Match {
  Mode mode = Mode::exclusive;
  Policy policy = Policy::best_fit;
  Ties ties = Ties::stable;
  bool normalize = true;
  std::uint64_t tasks = 0;
  std::uint64_t offers = 0;
  std::uint32_t dimensions = 0;       // at most kDimensionsMax
  std::vector<std::int64_t> weights;  // empty: 65536 each; else one per dimension
  std::vector<std::int64_t> scale;    // empty: 0 each; else one per dimension
  std::optional<double> max_score;
  std::int64_t max_price = -1;
  std::vector<ColumnSpec> columns;
  std::vector<Column> task_amounts;   // one per dimension: an i8 column of `tasks` entries; nil: all zero
  std::vector<Column> offer_amounts;  // one per dimension, of `offers` entries
  Column priority;                    // i4, of `tasks` entries
  Column price;                       // i8, of `offers` entries
  std::string_view constraints;       // the msgpack map as bytes ("Constraints" in protocol.md); empty: none
};

// RESULT of a MATCH; the columns are those of windlass_match_view.
struct MatchResult {
  std::uint64_t placed = 0;
  std::string engine;
  std::vector<ColumnSpec> columns;
  Column offer_index;
  Column order;
  Column score_high;
  Column score_low;
  Column price_added;
  Column device_begin;
  Column device_dimension;
  Column device_index;
  Column offer_number;                   // of a session: by task, i8; -1 where none
  std::optional<std::uint64_t> version;  // of a session
};

enum class SessionOp : std::uint8_t { open = 0, change = 1, match = 2, offers = 3, close = 4 };

// client -> windlassd: offers that stay between calls, as windlass_session_* (plugin/include/windlass/windlass.h).
struct Session {
  SessionOp op = SessionOp::open;
  std::uint64_t session = 0;  // as `open` answered; of the others
  std::int64_t expect = -1;   // the version that the asker knows; -1: any
  // Its keys stand in the body itself: of `open` the options, of `change` the offers, of `match` the tasks.
  Match rows;
  std::uint64_t adds = 0, updates = 0, removes = 0, releases = 0;
  bool rescale = false;
  Column offer_numbers;    // i8, of adds + updates entries
  Column remove_numbers;   // i8, of `removes` entries
  Column release_numbers;  // i8, of `releases` entries
  Column task_numbers;     // i8, of `tasks` entries
};

// RESULT of `open`, `change` and `close`.
struct SessionAnswer {
  std::optional<std::uint64_t> session;  // of `open`
  std::uint64_t version = 0;
  std::optional<std::uint64_t> removed;  // of `change`: how many were found
  std::optional<std::uint64_t> released;
};

// RESULT of `offers`; the columns are those of windlass_session_view.
struct SessionOffers {
  struct Devices {
    std::uint32_t dimension = 0;
    Column begin;
    Column shares;
  };
  std::uint64_t version = 0;
  std::uint64_t placed = 0;
  std::uint64_t offers = 0;
  std::uint32_t dimensions = 0;
  std::vector<ColumnSpec> columns;
  Column offer_numbers;
  std::vector<Column> free_amounts;
  Column price;
  Column held;
  Column scale;
  std::vector<Devices> devices;
};

// One file or tree. `source`, `target`, bytes of a path or URL.
struct Transfer {
  std::string_view source;
  std::string_view target;
  std::optional<std::pair<std::int64_t, std::int64_t>> range;  // first byte, length
  std::optional<std::uint64_t> size;
  std::optional<std::string_view> checksum;
  std::optional<std::uint32_t> mode;
  std::optional<std::int64_t> priority;
  std::optional<std::int64_t> deadline_ms;  // remaining; may be negative
  std::optional<std::string_view> decompress;
  std::optional<bool> cache;
  std::optional<bool> pin;
  std::optional<std::string_view> kind;
  std::optional<std::string_view> durability;
  std::optional<std::string_view> symlinks;
  std::optional<bool> tree_atomic;
};

// client -> windlassd, bridge -> node. Keys that are not known are refused: a wish must not be lost.
struct Stage {
  std::vector<Transfer> transfers;  // at most kTransfersMax
  std::optional<bool> detach;       // go on when the client is gone
};

// windlassd -> asker, at most ten a second; nullopt: not known yet. From the asker the body is empty.
struct Progress {
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> bytes_total;
  std::uint64_t files = 0;
  std::optional<std::uint64_t> files_total;
};

struct StageFailure {
  std::string path;  // bin
  std::uint32_t code = 0;
  std::string message;
};

struct StageFault {
  std::uint32_t code = 0;
  std::string message;
  std::string source;  // bin
  std::string target;  // bin
  bool retryable = false;
  std::vector<StageFailure> failures;  // of a tree: the first 100
  std::uint64_t failure_count = 0;
};

struct TransferEnd {
  std::string state;  // done, failed, cancelled, expired
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  double seconds = 0;
  std::optional<std::string> checksum;
  std::string engine;  // uring, threads, reflink
  std::uint64_t resumed_bytes = 0;
  bool from_cache = false;
  std::uint64_t retries = 0;
  std::optional<StageFault> error;
  std::optional<std::vector<std::pair<std::string, std::string>>> file_checksums;  // path (bin): "name:hex"
};

// RESULT of a STAGE.
struct StageResult {
  double seconds = 0;
  std::vector<TransferEnd> transfers;
};

// asker -> windlassd; may overtake the request that it names. Answered RESULT CancelResult; the request ends as ever.
struct Cancel {
  RequestId request;
};

struct CancelResult {
  bool cancelled = false;
};

enum class Side : std::uint8_t { none = 0, tasks = 1, offers = 2, options = 3 };

// The answer where there is no result.
struct Error {
  Code code = Code::unknown;
  std::string message;  // what, where, why, what to do
  bool retryable = false;
  std::uint64_t retry_after_ms = 0;  // 0: unknown
  Side side = Side::none;            // side, row and field: where the fault has one
  std::int64_t row = -1;             // from 0
  std::string field;
};

// LOAD (as a question), PROGRESS (as a question), DRAIN, BYE and NODES have empty bodies.
struct Empty {};

}  // namespace windlass::proto
