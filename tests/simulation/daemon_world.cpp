#include "tests/simulation/daemon_world.hpp"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proto/keyed_hash.hpp"
#include "worker/base/log.hpp"
#include "worker/bridge/grants.hpp"
#include "worker/bridge/session.hpp"
#include "worker/engines/match_run.hpp"
#include "worker/requests/requests.hpp"

namespace {

constexpr std::size_t kEndsOfOneFile = 1;  // records: a run turns its files often

std::int64_t disk_left = -1;
std::uint64_t disk_failures = 0;

}  // namespace

// The disk that fails: within this library ends_file.cpp finds this one. What does not fit is written in part, as a
// full disk does.
extern "C" ssize_t writev(int fd, const iovec* parts, int count) {
  std::size_t wanted = 0;
  for (int i = 0; i < count; ++i) wanted += parts[i].iov_len;
  if (disk_left < 0) return syscall(SYS_writev, fd, parts, count);
  if (wanted <= static_cast<std::size_t>(disk_left)) {
    disk_left -= static_cast<std::int64_t>(wanted);
    return syscall(SYS_writev, fd, parts, count);
  }
  ++disk_failures;
  const auto some = std::min(static_cast<std::size_t>(disk_left), parts[0].iov_len);
  disk_left = 0;
  if (some == 0) {
    errno = ENOSPC;
    return -1;
  }
  return ::write(fd, parts[0].iov_base, some);
}

namespace windlass::simulation {
namespace {

using namespace worker;

Time time_of(std::int64_t microseconds) {
  return Time{} + std::chrono::microseconds(microseconds);
}

void put_number(std::string& into, char first, std::size_t number) {
  into.push_back(first);
  for (const unsigned shift : {24U, 16U, 8U, 0U}) into.push_back(static_cast<char>(number >> shift & 0xffU));
}

// The forms of msgpack that have room for any count.
void put_list(std::string& into, std::size_t count) {
  put_number(into, '\xdd', count);
}
void put_bin(std::string& into, std::string_view bytes) {
  put_number(into, '\xc6', bytes.size());
  into += bytes;
}

Frames frames_of(std::string_view bytes) {
  Frames frames;
  while (bytes.size() >= 4) {
    std::uint32_t size = 0;
    std::memcpy(&size, bytes.data(), sizeof size);
    frames.emplace_back(std::string(bytes.substr(4, size)));
    bytes.remove_prefix(std::min(bytes.size(), std::size_t{4} + size));
  }
  return frames;
}

std::string_view text_of(const proto::RequestId& id) {
  return {id.bytes.data(), id.bytes.size()};
}

class Events {
 public:
  void add(char kind, std::string_view first, std::string_view second = {}) {
    begin(kind, first);
    put_bin(bytes_, second);
  }
  void add(char kind, std::string_view first, const proto::Header& header, const Frames& frames) {
    begin(kind, first);
    put_list(bytes_, 1 + frames.size());
    put_bin(bytes_, proto::encode(header));
    for (const Frame& frame : frames) put_bin(bytes_, frame.view());
  }
  // The whole list; empty where there are none.
  std::string take() {
    std::string list;
    if (count_ > 0) put_list(list, count_);
    count_ = 0;
    return list + std::exchange(bytes_, {});
  }

 private:
  void begin(char kind, std::string_view first) {
    ++count_;
    bytes_.push_back('\x93');  // a list of three
    bytes_.push_back(kind);
    put_bin(bytes_, first);
  }

  std::string bytes_;
  std::size_t count_ = 0;
};

// The world's stager: it begins what it is given, and the world says when and how that ends.
class Stager final : public StageEngine {
 public:
  explicit Stager(Events& events) : events_(events) {}

  tl::expected<void, proto::Error> submit(std::uint64_t tag, std::string_view body, const std::string&) override {
    if (refusing) {
      proto::Error error;
      error.code = proto::Code::resource_exhausted;
      error.message = "the stager's queue is full";
      error.retryable = true;
      return tl::unexpected(error);
    }
    running_.insert({tag, {}});
    events_.add('S', std::to_string(tag), body);
    return {};
  }
  std::optional<std::uint64_t> next_ended() override {
    if (ended_.empty()) return std::nullopt;
    const std::uint64_t tag = ended_.front();
    ended_.erase(ended_.begin());
    return tag;
  }
  proto::Progress progress(std::uint64_t) override { return {}; }
  bool cancel(std::uint64_t tag) override {
    const auto found = running_.find(tag);
    if (found == running_.end() || !found->second.empty()) return false;
    events_.add('C', std::to_string(tag));
    return true;
  }
  std::string take_report(std::uint64_t tag) override {
    const auto found = running_.find(tag);
    std::string report = std::move(found->second);
    running_.erase(found);
    return report;
  }
  StageCounters counters() override { return {}; }
  std::string engine() override { return "threads"; }

  bool end(std::uint64_t tag, std::string_view report) {
    const auto found = running_.find(tag);
    if (found == running_.end() || !found->second.empty()) return false;
    found->second = report;
    ended_.push_back(tag);
    return true;
  }

  bool refusing = false;

 private:
  Events& events_;
  std::unordered_map<std::uint64_t, std::string> running_;
  std::vector<std::uint64_t> ended_;
};

// The world's matchers.
class Matchers final : public MatchEngine {
 public:
  explicit Matchers(Events& events) : events_(events) {}

  bool start(const std::shared_ptr<MatchTask>& task) override {
    if (refusing) return false;
    waiting_.push_back(task);
    events_.add('M', text_of(task->id));
    return true;
  }
  bool withdraw(const std::shared_ptr<MatchTask>& task) override { return std::erase(waiting_, task) > 0; }
  std::vector<std::shared_ptr<MatchTask>> take_ended() override { return std::exchange(ended_, {}); }
  [[nodiscard]] std::size_t queued() const override { return waiting_.size(); }
  [[nodiscard]] std::optional<Time> oldest() const override { return std::nullopt; }

  int run(const proto::RequestId& id, Time now) {
    const auto task = find(waiting_, id);
    if (!task) return 0;
    std::erase(waiting_, task);
    if (task->deadline && now >= *task->deadline) {
      task->answer =
          error_answer(proto::Code::deadline_exceeded, "the deadline was over before a matcher was free", true);
      end(task);
      return 2;
    }
    running_.push_back(task);
    return 1;
  }
  void end(const proto::RequestId& id, std::string_view body) {
    const auto task = find(running_, id);
    if (!task) return;
    if (task->session) {
      task->deadline.reset();  // by the world's clock it was in time
      run_match(*task);
    } else {
      task->answer = {proto::Type::result, proto::Code::ok, {Frame(std::string(body))}};
    }
    end(task);
  }

  bool refusing = false;

 private:
  using Tasks = std::vector<std::shared_ptr<MatchTask>>;

  static std::shared_ptr<MatchTask> find(const Tasks& tasks, const proto::RequestId& id) {
    const auto found = std::find_if(tasks.begin(), tasks.end(), [&](const auto& task) { return task->id == id; });
    return found == tasks.end() ? nullptr : *found;
  }
  void end(const std::shared_ptr<MatchTask>& task) {
    std::erase(running_, task);
    task->ended = true;
    ended_.push_back(task);
  }

  Events& events_;
  Tasks waiting_, running_, ended_;
};

SessionOptions options_of(const char* name, std::uint64_t seed) {
  SessionOptions options;
  options.name = name;
  options.software = "windlassd simulated";
  options.pid = 1;
  options.seed = seed;
  options.credit_requests = 3;  // few, so that a bridge comes to their end
  return options;
}

proto::RequestId id_of(const char* bytes) {
  proto::RequestId id;
  std::memcpy(id.bytes.data(), bytes, id.bytes.size());
  return id;
}

}  // namespace

// What daemon.cpp and daemon_session.cpp do between the sockets and the decisions.
class Daemon final : public Outbox {
 public:
  Daemon(const char* name, std::uint64_t seed, Time now)
      : session(options_of(name, seed), now),
        requests_({name, session.incarnation(), "windlassd simulated", 1000, 3000, 10000},
                  {matchers, stager, *this, watcher_, [](Time) { return proto::LoadReport{}; }, &grants}) {}

  Sent send(const Peer& peer, const proto::Header& header, const Frames& frames) override {
    if (!peer.bridge) {
      const auto found = reach.find(peer.route);
      if (found != reach.end()) return found->second;
      events.add('L', peer.route, header, frames);
      return Sent::yes;
    }
    if (!session.is_registered()) return Sent::gone;
    if (bridge_reach != Sent::yes) return bridge_reach;
    events.add('B', {}, header, frames);
    return Sent::yes;
  }

  void from_bridge(Frames frames, Time now) {
    now_ = now;
    if (frames.size() < 2) return;
    const auto header = proto::decode_header(frames[0].view());
    if (!header) return;
    const auto type = static_cast<proto::Type>(header->t);
    const bool answer = type == proto::Type::result || type == proto::Type::error || type == proto::Type::welcome;
    apply(session.heard(*header, answer ? frames[1].view() : std::string_view{}, now));
    if (!answer && session.is_registered()) requests_.message({true, ""}, std::move(frames), now);
    if (std::exchange(grants_refused_, grants.counts().refused) != grants.counts().refused) session.hurry(now);
  }
  void turn(Time now) {
    now_ = now;
    grants.expire(now);
    if (now >= session.due()) apply(session.tick(now));
    requests_.turn(now);
  }
  [[nodiscard]] Time due() const { return std::min({session.due(), requests_.next_due(), grants.next_due()}); }
  void apply(const Actions& actions) {
    for (const Action& action : actions) {
      std::visit([&](const auto& wish) { apply_one(wish); }, action);
    }
  }
  Requests& requests() { return requests_; }

  Events events;
  std::unordered_map<std::string, Sent> reach;
  Sent bridge_reach = Sent::yes;
  Matchers matchers{events};
  Stager stager{events};
  Session session;
  Grants grants;
  std::vector<std::string> offers;
  std::uint64_t offers_version = 0;
  std::string told;  // what was last handed out

 private:
  bool to_bridge(proto::Type type, const proto::RequestId& id, std::string body) {
    if (bridge_reach != Sent::yes) return false;
    proto::Header header;
    header.t = static_cast<std::uint32_t>(type);
    header.id = id;
    events.add('B', {}, header, {Frame(std::move(body))});
    return true;
  }
  void apply_one(const Dial& dial) {
    bridge_reach = Sent::yes;
    events.add('D', dial.incarnation);
  }
  void apply_one(const HangUp&) { events.add('H', {}); }
  void apply_one(const SendHello& hello) { to_bridge(proto::Type::hello, hello.id, proto::encode(hello.hello)); }
  void apply_one(const SendLoad& load) {
    proto::Load body;
    body.load.sequence = load.sequence;
    body.load.incarnation = session.incarnation();
    body.offers_version = offers_version;
    if (load.with_offers) body.offers = offers;
    body.grants_version = grants.version();
    if (load.with_offers || grants_told_ != grants.version()) body.grants = grants.held(now_);
    grants_told_ = grants.version();
    const bool tells_more = body.offers || body.grants;
    if (!to_bridge(proto::Type::load, load.id, proto::encode(body)) && tells_more) session.offers_changed();
  }
  void apply_one(const SendDrain& drain) { to_bridge(proto::Type::drain, drain.id, proto::encode(proto::Empty{})); }
  void apply_one(const SendBye& bye) { to_bridge(proto::Type::bye, bye.id, proto::encode(proto::Empty{})); }
  void apply_one(const Registered&) { events.add('+', session.incarnation()); }
  void apply_one(const Silent& silent) { events.add('?', silent.silent ? "1" : "0"); }
  void apply_one(const Lost& lost) { events.add('!', lost.why); }

  Watcher watcher_;
  Requests requests_;
  Time now_{};
  std::uint64_t grants_told_ = 0;
  std::uint64_t grants_refused_ = 0;
};

}  // namespace windlass::simulation

using windlass::simulation::Daemon;
using windlass::simulation::frames_of;
using windlass::simulation::id_of;
using windlass::simulation::time_of;
using windlass::worker::Sent;

windlass_sim_answer windlass_sim_told{};

namespace {

// Does something with the daemon, and tells what came of it.
template <class Act>
std::size_t tell(Daemon* daemon, Act act) {
  const std::uint64_t failures = disk_failures;
  act();
  daemon->told = daemon->events.take();
  const auto due = daemon->due().time_since_epoch();
  windlass_sim_told = {daemon->told.data(), std::chrono::duration_cast<std::chrono::microseconds>(due).count(),
                       disk_failures == failures};
  return daemon->told.size();
}

}  // namespace

windlass_sim* windlass_sim_start(const char* name, std::uint64_t seed, std::int64_t now, const char* ends) {
  windlass::worker::LogConfig quiet;  // a full disk is the world's doing
  quiet.level = "error";
  windlass::worker::log_configure(quiet);
  windlass::proto::fix_hash_key(1);  // the order in which tables are walked, too, is the same in each run
  auto daemon = std::make_unique<Daemon>(name, seed, time_of(now));
  if (ends != nullptr) {
    auto file = windlass::worker::EndsFile::open(ends, {.records = kEndsOfOneFile});
    if (!file) return nullptr;
    daemon->requests().remember(std::move(*file), time_of(now));
  }
  return daemon.release();
}

void windlass_sim_kill(windlass_sim* daemon) {
  delete daemon;
}

std::size_t windlass_sim_local(windlass_sim* daemon, const char* route, std::size_t route_bytes, const char* frames,
                               std::size_t bytes, std::int64_t now) {
  return tell(daemon, [&] {
    daemon->requests().message({false, {route, route_bytes}}, frames_of({frames, bytes}), time_of(now));
  });
}

std::size_t windlass_sim_bridge(windlass_sim* daemon, const char* frames, std::size_t bytes, std::int64_t now) {
  return tell(daemon, [&] { daemon->from_bridge(frames_of({frames, bytes}), time_of(now)); });
}

std::size_t windlass_sim_turn(windlass_sim* daemon, std::int64_t now) {
  return tell(daemon, [&] { daemon->turn(time_of(now)); });
}

std::uint64_t windlass_sim_offer(windlass_sim* daemon, const char* record, std::size_t bytes) {
  daemon->offers.assign(1, std::string(record, bytes));
  ++daemon->offers_version;
  daemon->grants.offers_are(daemon->offers, daemon->offers_version);
  daemon->session.offers_changed();
  return daemon->offers_version;
}

std::size_t windlass_sim_unlink(windlass_sim* daemon, std::int64_t now) {
  return tell(daemon, [&] {
    daemon->apply(daemon->session.link(true, time_of(now)));
    daemon->apply(daemon->session.link(false, time_of(now)));
  });
}

std::size_t windlass_sim_drain(windlass_sim* daemon, std::int64_t now) {
  return tell(daemon, [&] {
    daemon->requests().drain();
    daemon->grants.drain();
    daemon->apply(daemon->session.drain(time_of(now)));
  });
}

std::size_t windlass_sim_end(windlass_sim* daemon, std::int64_t now) {
  return tell(daemon, [&] {
    daemon->requests().park_all(time_of(now));
    daemon->requests().say_bye(time_of(now));
    daemon->apply(daemon->session.bye(time_of(now)));
  });
}

bool windlass_sim_end_stage(windlass_sim* daemon, std::uint64_t tag, const char* report, std::size_t bytes) {
  return daemon->stager.end(tag, {report, bytes});
}

void windlass_sim_set_refusing(windlass_sim* daemon, bool matches, bool stages) {
  daemon->matchers.refusing = matches;
  daemon->stager.refusing = stages;
}

int windlass_sim_run_match(windlass_sim* daemon, const char* id, std::int64_t now) {
  return daemon->matchers.run(id_of(id), time_of(now));
}

void windlass_sim_end_match(windlass_sim* daemon, const char* id, const char* body, std::size_t bytes) {
  daemon->matchers.end(id_of(id), {body, bytes});
}

void windlass_sim_reach(windlass_sim* daemon, const char* route, std::size_t bytes, int how) {
  if (how == 0) {
    daemon->reach.erase(std::string(route, bytes));
  } else {
    daemon->reach[std::string(route, bytes)] = how == 1 ? Sent::full : Sent::gone;
  }
}

void windlass_sim_hung_up(windlass_sim* daemon, const char* route, std::size_t bytes) {
  daemon->requests().gone(std::string(route, bytes));
}

void windlass_sim_reach_bridge(windlass_sim* daemon, int how) {
  daemon->bridge_reach = how == 0 ? Sent::yes : how == 1 ? Sent::full : Sent::gone;
}

bool windlass_sim_idle(windlass_sim* daemon) {
  return daemon->requests().idle();
}

bool windlass_sim_registered(windlass_sim* daemon) {
  return daemon->session.is_registered();
}

std::uint64_t windlass_sim_kept(windlass_sim* daemon, int what) {
  const auto& requests = daemon->requests();
  return what == 0 ? requests.answers_kept() : what == 1 ? requests.running() : requests.clients();
}

void windlass_sim_disk(std::int64_t bytes) {
  disk_left = bytes;
}
