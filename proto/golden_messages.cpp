#include "proto/golden_messages.hpp"

#include <cstdio>

#include "proto/bounded.hpp"
#include "proto/writer.hpp"

namespace windlass::proto {
namespace {

RequestId id_number(int number) {
  RequestId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<char>(16 * number + static_cast<int>(i));
  return id;
}

template <class Body>
std::string again(std::string_view bytes) {
  const auto body = decode<Body>(bytes);
  return body ? encode(*body) : "fault: " + body.error().message;
}

class Collection {
 public:
  template <class Body>
  void add(Type type, const std::string& name, const std::string& told, const Body& body, Header header = {},
           std::vector<std::string> columns = {}) {
    const auto number = static_cast<int>(messages_.size()) + 1;
    header.t = static_cast<std::uint32_t>(type);
    header.id = id_number(number % 8);
    std::vector<std::string> frames{encode(header), encode(body)};
    for (std::string& column : columns) frames.push_back(std::move(column));
    const std::string prefix = (number < 10 ? "0" : "") + std::to_string(number) + "_";
    messages_.push_back({prefix + name, told, std::move(frames), again<Body>});
  }
  std::vector<GoldenMessage> take() { return std::move(messages_); }

 private:
  std::vector<GoldenMessage> messages_;
};

template <class Number>
std::string column(std::initializer_list<Number> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(Number)};
}

LoadReport example_report() {
  LoadReport load;
  load.sequence = 41;
  load.incarnation = "0123456789abcdef";
  load.cores = 1.5;
  load.cpu_ratio = 0.25;
  load.memory_available_bytes = 3'000'000'000;
  load.memory_total_bytes = 8'000'000'000;
  load.psi = {{"cpu", {{"some_avg10", 1.25}, {"some_avg60", 0.5}}},
              {"io", {{"full_avg10", 0.0}, {"full_avg60", 0.0}, {"some_avg10", 2.0}, {"some_avg60", 1.0}}}};
  load.disk = {{"vda", {{"busy_ratio", 0.5}, {"read_bytes_per_s", 1e6}, {"write_bytes_per_s", 0.0}}}};
  load.net = {{"eth0", {{"receive_bytes_per_s", 1024.0}, {"transmit_bytes_per_s", 2048.0}}}};
  load.roots = {{"/scratch", {{"free_bytes", 70'000'000'000}, {"free_inodes", 1'000'000}}}};
  load.queue_match = 2;
  load.queue_stage = 3;
  load.queue_oldest_seconds = 0.125;
  load.bytes_in_flight = 1 << 20;
  load.engine = "uring";
  load.degraded = {"psi: not there"};
  load.labels = {{"zone", "a"}};
  return load;
}

void add_session(Collection& all) {
  Hello node;
  node.role = Role::node;
  node.features = {"match", "stage", "load"};
  node.software = "windlassd 0.1.0";
  node.pid = 4242;
  node.name = "node-1";
  node.incarnation = "0123456789abcdef";
  node.labels = {{"rack", "7"}, {"zone", "z\xc3\xbcrich"}};
  all.add(Type::hello, "hello_node", "node -> bridge", node);
  Hello client;
  client.software = "windlass 0.1.0";
  client.pid = 4243;
  all.add(Type::hello, "hello_client", "client -> windlassd", client);
  Hello observer = client;
  observer.role = Role::observer;
  observer.version_highest = 3;
  all.add(Type::hello, "hello_observer", "observer -> bridge; speaks later versions too", observer);
  Welcome welcome;
  welcome.features = {"match", "stage", "load"};
  welcome.software = "windlassd 0.1.0";
  welcome.name = "node-1";
  welcome.incarnation = "0123456789abcdef";
  all.add(Type::welcome, "welcome", "the answer to HELLO", welcome);
  Load load;
  load.load = example_report();
  load.offers_version = 7;
  all.add(Type::load, "load_report", "node -> bridge, each beat", load);
  load.offers.emplace();
  load.offers->push_back(
      Writer().map(2).str("name").str("node-1").str("resources").map(1).str("cpu").number(4.0).take());
  all.add(Type::load, "load_report_offers", "node -> bridge, when offers changed", load);
  all.add(Type::load, "load_question", "client -> windlassd", Empty{}, {.dl = 1500});
  all.add(Type::result, "result_load_seen", "bridge -> node", LoadSeen{41});
  LoadAnswer answer{example_report()};
  answer.load.age_seconds = 0.75;
  all.add(Type::result, "result_load", "windlassd -> client", answer);
  all.add(Type::drain, "drain", "node -> bridge", Empty{});
  all.add(Type::bye, "bye", "either side", Empty{});
  all.add(Type::nodes, "nodes", "observer -> bridge", Empty{});
}

// Last in the collection, so that the others keep their numbers.
void add_grants(Collection& all) {
  GrantEntry plain;
  plain.id = id_number(8);
  plain.offer = "node-1";
  plain.epoch = 7;
  plain.amounts = {{"cpu", 20'000}, {"memory", 5}};
  GrantEntry full = plain;
  full.id = id_number(9);
  full.offer = "node-1/1";
  full.devices = {{"gpu", {{0, 10'000}, {3, 2'500}}}};
  full.exclusive = true;
  full.about = Writer().map(1).str("tenant").str("ml").take();
  Grant grant{120'000, {plain, full}, {id_number(10)}};
  all.add(Type::grant, "grant", "bridge -> node", grant);
  all.add(Type::result, "result_grant", "node -> bridge",
          GrantAnswer{12, {{1, Code::failed_precondition, "node-1/1 is held by another"}}, {id_number(10)}});
  all.add(Type::release, "release", "bridge -> node", Release{{id_number(8), id_number(10)}});
  all.add(Type::result, "result_release", "node -> bridge", ReleaseAnswer{13, 1});
  Load load;
  load.load = example_report();
  load.offers_version = 7;
  load.grants_version = 12;
  full.lease_ms = 119'000;
  load.grants = {full};
  all.add(Type::load, "load_report_grants", "node -> bridge, when grants changed", load);
  Hello node;
  node.role = Role::node;
  node.features = {"match", "stage", "load", "grant"};
  node.name = "node-1";
  node.incarnation = "0123456789abcdef";
  node.process = "fedcba9876543210";
  all.add(Type::hello, "hello_node_process", "node -> bridge, one that grants", node);
}

void add_match(Collection& all) {
  const std::string tp = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  Match small;
  small.tasks = 2;
  small.offers = 3;
  small.dimensions = 1;
  small.columns = {{ColumnType::i8, 2}, {ColumnType::i8, 3}};
  small.task_amounts = {0};
  small.offer_amounts = {1};
  const std::string tasks = column<std::int64_t>({10'000, 20'000});
  const std::string offers = column<std::int64_t>({40'000, 15'000, 20'000});
  all.add(Type::match, "match_small", "client -> windlassd", small, {.dl = 30'000, .tp = tp}, {tasks, offers});
  Match full = small;
  full.mode = Mode::packing;
  full.policy = Policy::cost;
  full.normalize = false;
  full.dimensions = 2;
  full.weights = {65'536, 0};
  full.scale = {0, 1'000'000};
  full.max_score = 2.5;
  full.max_price = 3'000'000;
  full.columns = {
      {ColumnType::i8, 2}, {ColumnType::i8, 3}, {ColumnType::i4, 2}, {ColumnType::i8, 3}, {ColumnType::i4, 3}};
  full.task_amounts = {0, std::nullopt};
  full.offer_amounts = {1, std::nullopt};
  full.priority = 2;
  full.price = 3;
  const std::string constraints = Writer().map(1).str("node").unsigned_integer(4).take();
  full.constraints = constraints;
  all.add(Type::match, "match_full", "client -> windlassd, with every key", full, {},
          {tasks, offers, column<std::int32_t>({0, -5}), column<std::int64_t>({1'500'000, 2'000'000, -1}),
           column<std::int32_t>({0, 0, 1})});
  MatchResult result;
  result.placed = 1;
  result.engine = "scalar";
  result.columns = {{ColumnType::i4, 2}, {ColumnType::i4, 2}, {ColumnType::i8, 2}, {ColumnType::u8, 2}};
  result.offer_index = 0;
  result.order = 1;
  result.score_high = 2;
  result.score_low = 3;
  all.add(Type::result, "result_match", "windlassd -> client", result, {},
          {column<std::int32_t>({1, -1}), column<std::int32_t>({0, 1}), column<std::int64_t>({-1, 0}),
           column<std::uint64_t>({0xFFFF'FFFF'FFFF'0000ULL, 0})});
}

Session example_change(std::string_view constraints) {
  Session change;
  change.op = SessionOp::change;
  change.session = 7;
  change.expect = 3;
  change.adds = 1;
  change.updates = 1;
  change.removes = 1;
  change.releases = 2;
  change.rescale = true;
  change.rows.dimensions = 1;
  change.rows.columns = {{ColumnType::i8, 2}, {ColumnType::i8, 2}, {ColumnType::i8, 2},
                         {ColumnType::i8, 1}, {ColumnType::i8, 2}, {ColumnType::i4, 2}};
  change.rows.offer_amounts = {0};
  change.rows.price = 1;
  change.offer_numbers = 2;
  change.remove_numbers = 3;
  change.release_numbers = 4;
  change.rows.weights = {65'536};
  change.rows.scale = {0};
  change.rows.constraints = constraints;
  return change;
}

Session example_placing() {
  Session placing;
  placing.op = SessionOp::match;
  placing.session = 7;
  placing.rows.tasks = 2;
  placing.rows.dimensions = 1;
  placing.rows.columns = {{ColumnType::i8, 2}, {ColumnType::i8, 2}, {ColumnType::i4, 2}};
  placing.rows.task_amounts = {0};
  placing.task_numbers = 1;
  placing.rows.priority = 2;
  return placing;
}

void add_matching_session(Collection& all) {
  Session open;
  open.rows.mode = Mode::packing;
  open.rows.max_score = 1.5;
  all.add(Type::session, "session_open", "client -> windlassd", open);
  all.add(Type::result, "result_session_open", "windlassd -> client", SessionAnswer{7, 0, {}, {}});
  const std::string constraints = Writer().map(1).str("node").unsigned_integer(5).take();
  all.add(Type::session, "session_change", "client -> windlassd, with every key", example_change(constraints), {},
          {column<std::int64_t>({40'000, 15'000}), column<std::int64_t>({1'500'000, -1}), column<std::int64_t>({11, 4}),
           column<std::int64_t>({9}), column<std::int64_t>({101, 102}), column<std::int32_t>({0, 1})});
  all.add(Type::result, "result_session_change", "windlassd -> client", SessionAnswer{{}, 4, 1, 2});
  all.add(Type::session, "session_match", "client -> windlassd", example_placing(), {.dl = 30'000},
          {column<std::int64_t>({10'000, 20'000}), column<std::int64_t>({103, 104}), column<std::int32_t>({0, 1})});
  MatchResult result;
  result.placed = 1;
  result.engine = "avx2";
  result.columns = {
      {ColumnType::i4, 2}, {ColumnType::i4, 2}, {ColumnType::i8, 2}, {ColumnType::u8, 2}, {ColumnType::i8, 2}};
  result.offer_index = 0;
  result.order = 1;
  result.score_high = 2;
  result.score_low = 3;
  result.offer_number = 4;
  result.version = 5;
  all.add(Type::result, "result_session_match", "windlassd -> client", result, {},
          {column<std::int32_t>({-1, 0}), column<std::int32_t>({1, 0}), column<std::int64_t>({0, 0}),
           column<std::uint64_t>({0, 7}), column<std::int64_t>({-1, 4})});
  Session offers;
  offers.op = SessionOp::offers;
  offers.session = 7;
  all.add(Type::session, "session_offers", "client -> windlassd", offers);
  SessionOffers told;
  told.version = 5;
  told.placed = 1;
  told.offers = 1;
  told.dimensions = 1;
  told.columns = {{ColumnType::i8, 1}, {ColumnType::i8, 1}, {ColumnType::i8, 1}, {ColumnType::i4, 1},
                  {ColumnType::i8, 1}, {ColumnType::i8, 2}, {ColumnType::i8, 1}};
  told.offer_numbers = 0;
  told.free_amounts = {1};
  told.price = 2;
  told.held = 3;
  told.scale = 4;
  told.devices = {{0, 5, 6}};
  all.add(
      Type::result, "result_session_offers", "windlassd -> client", told, {},
      {column<std::int64_t>({4}), column<std::int64_t>({5'000}), column<std::int64_t>({-1}), column<std::int32_t>({1}),
       column<std::int64_t>({40'000}), column<std::int64_t>({0, 1}), column<std::int64_t>({5'000})});
  Session close;
  close.op = SessionOp::close;
  close.session = 7;
  all.add(Type::session, "session_close", "client -> windlassd", close);
}

void add_stage(Collection& all) {
  Stage stage;
  Transfer plain;
  plain.source = "/data/in";
  plain.target = "/scratch/in";
  Transfer full;
  full.source = "/data/\xff odd";
  full.target = "/scratch/out";
  full.range = {4096, 100};
  full.size = 100;
  full.checksum = "xxh3:0011223344556677";
  full.mode = 0640;
  full.priority = -3;
  full.deadline_ms = -1;
  full.decompress = "auto";
  full.cache = true;
  full.pin = false;
  full.kind = "result";
  full.durability = "full";
  full.symlinks = "keep";
  full.tree_atomic = true;
  stage.transfers = {plain, full};
  stage.detach = true;
  all.add(Type::stage, "stage", "client -> windlassd, bridge -> node", stage, {.dl = 60'000});
  all.add(Type::progress, "progress", "windlassd -> asker", Progress{1 << 20, 1 << 22, 1, std::nullopt});
  all.add(Type::progress, "progress_question", "asker -> windlassd", Empty{});
  TransferEnd done;
  done.state = "done";
  done.bytes = 100;
  done.files = 1;
  done.seconds = 0.5;
  done.checksum = "xxh3:0011223344556677";
  done.engine = "uring";
  done.file_checksums.emplace();
  done.file_checksums->emplace_back("a/\xff", "md5:00");
  TransferEnd failed;
  failed.state = "failed";
  failed.engine = "threads";
  failed.retries = 3;
  failed.error = StageFault{5, "not there", "/data/in", "/scratch/in", false, {{"a/b", 7, "may not be read"}}, 1};
  all.add(Type::result, "result_stage", "windlassd -> asker", StageResult{1.25, {done, failed}});
}

void add_ends(Collection& all) {
  all.add(Type::cancel, "cancel", "asker -> windlassd", Cancel{id_number(3)});
  all.add(Type::result, "result_cancel", "windlassd -> asker", CancelResult{true});
  all.add(Type::error, "error", "the answer where there is no result",
          Error{Code::unavailable, "windlassd is shutting down", true, 250, Side::none, -1, ""});
  all.add(Type::error, "error_of_a_row", "the same, where the fault is of a row",
          Error{Code::invalid_argument, "an amount is negative", false, 0, Side::tasks, 17, "amounts.0"});
}

std::string hex(std::string_view bytes) {
  std::string text;
  char digits[3];
  for (const char byte : bytes) {
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    text += digits;
  }
  return text;
}

std::string shown(Reader& reader) {
  switch (reader.kind()) {
    case Kind::nil:
      reader.take_nil();
      return "null";
    case Kind::boolean:
      return reader.boolean() ? "true" : "false";
    case Kind::integer: {
      Reader ahead = reader;
      const std::uint64_t large = ahead.unsigned_integer();
      if (ahead.failed()) return std::to_string(reader.integer());
      reader.skip();
      return std::to_string(large);
    }
    case Kind::number: {
      char text[64];
      std::snprintf(text, sizeof text, "%.17g", reader.number());
      const std::string number = text;
      return number.find_first_of(".en") == std::string::npos ? number + ".0" : number;
    }
    case Kind::str:
      return '"' + std::string(reader.str()) + '"';
    case Kind::bin:
      return "h'" + hex(reader.bin()) + "'";
    case Kind::array: {
      std::string text;
      read_array(reader, [&](std::size_t i) { text += (i == 0 ? "" : ", ") + shown(reader); });
      return "[" + text + "]";
    }
    case Kind::map: {
      std::string text;
      const std::size_t pairs = reader.map();
      for (std::size_t i = 0; i < pairs; ++i) {
        text += (i == 0 ? "" : ", ") + shown(reader);
        text += ": " + shown(reader);
      }
      return "{" + text + "}";
    }
    case Kind::none:
      break;
  }
  return "?";
}

void add_flow(Collection& all) {
  Hello client;
  client.features = {"credits"};
  client.software = "windlass 0.1.0";
  client.pid = 4243;
  all.add(Type::hello, "hello_client_credits", "client -> windlassd; keeps to credits", client);
  Welcome welcome;
  welcome.features = {"match", "session", "stage", "load", "credits"};
  welcome.software = "windlassd 0.1.0";
  welcome.name = "node-1";
  welcome.incarnation = "0123456789abcdef";
  welcome.credit_requests = 256;
  welcome.credit_bytes = 268'435'456;
  all.add(Type::welcome, "welcome_credits", "windlassd -> client: how much it may have under way", welcome);
  Hello node;
  node.role = Role::node;
  node.features = {"match", "stage", "load", "grant", "credits"};
  node.name = "node-1";
  node.incarnation = "0123456789abcdef";
  node.process = "fedcba9876543210";
  node.credit_requests = 256;
  node.credit_bytes = 268'435'456;
  all.add(Type::hello, "hello_node_credits", "node -> bridge: how much the bridge may have under way", node);
}

}  // namespace

std::vector<GoldenMessage> golden_messages() {
  Collection all;
  add_session(all);
  add_match(all);
  add_stage(all);
  add_ends(all);
  add_matching_session(all);
  add_grants(all);
  add_flow(all);
  return all.take();
}

std::string pack_frames(const std::vector<std::string>& frames) {
  std::string bytes;
  for (const std::string& frame : frames) {
    for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(frame.size() >> shift));
    bytes += frame;
  }
  return bytes;
}

std::vector<std::string> unpack_frames(const std::string& bytes) {
  std::vector<std::string> frames;
  for (std::size_t at = 0; at + 4 <= bytes.size();) {
    std::size_t size = 0;
    for (unsigned i = 0; i < 4; ++i) size |= std::size_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
    frames.push_back(bytes.substr(at + 4, size));
    at += 4 + size;
  }
  return frames;
}

std::string golden_listing(const std::vector<GoldenMessage>& messages) {
  std::string text =
      "One example of each message. Each .bin file holds its frames one after the other: the length as four "
      "little-endian\n"
      "bytes, then the frame. Made by `WINDLASS_GOLDEN_WRITE=1 proto_golden_test`; compared with the code by each test "
      "run.\n";
  for (const GoldenMessage& message : messages) {
    text += "\n" + message.name + ": " + message.told + "\n";
    for (std::size_t i = 0; i < message.frames.size(); ++i) {
      text += "  " + hex(message.frames[i]) + "\n";
      Reader reader(message.frames[i]);
      if (i < 2) text += "    " + shown(reader) + "\n";
    }
  }
  return text;
}

}  // namespace windlass::proto
