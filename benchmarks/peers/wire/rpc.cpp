// rpc SCRIPT ADDRESS CLIENTS REQUESTS RATE: asks REQUESTS times over CLIENTS connections, and prints one line of JSON.
// RATE 0: each client asks again once it is answered (closed loop). Else so many requests a second on a fixed schedule,
// whether answers come or not, and latency counts from the moment the schedule names (open loop). Every answer is
// compared byte by byte; one that is lost or comes twice is a fault. Of all requests and of the slowest hundredth it
// tells how many answers came between asking and the answer, and how many together with it.
#include <sys/epoll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "client.hpp"

namespace {

constexpr std::int64_t kPatienceNs = 20'000'000'000;

struct Run {
  Run(const char* file, std::size_t count, double per_second) : script(file), requests(count), rate(per_second) {}

  Script script;
  std::size_t requests;
  double rate;
  std::vector<std::unique_ptr<Client>> clients;
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::uint32_t> watched;
  std::uint64_t seed = std::random_device{}() | std::uint64_t{std::random_device{}()} << 32U;
  std::vector<std::int64_t> asked;    // when, by number; 0 once answered
  std::vector<std::int64_t> latency;  // in the order of the answers
  std::vector<std::size_t> had;       // answers when it was asked, by number
  std::vector<std::size_t> between;   // answers meanwhile, in the order of the answers
  std::vector<std::size_t> together;  // answers of the same turn, likewise
  std::size_t next = 0;
  std::int64_t begun = 0;

  std::int64_t due(std::size_t number) const {
    return begun + static_cast<std::int64_t>(static_cast<double>(number) * 1e9 / rate);
  }

  void put(Client& client, std::int64_t when) {
    const std::uint64_t number = next++;
    std::memcpy(script.request.data() + script.request_id_at, &seed, 8);
    std::memcpy(script.request.data() + script.request_id_at + 8, &number, 8);
    asked[number] = when;
    had[number] = latency.size();
    client.put(script.request);
  }

  void take(std::string_view answer) {
    std::uint64_t id[2];
    std::memcpy(id, answer.data() + script.answer_id_at, sizeof id);
    if (id[0] != seed || id[1] >= next) fail("an answer to a request that was not made");
    const std::size_t after = script.answer_id_at + sizeof id;
    if (answer.substr(0, script.answer_id_at) != std::string_view(script.answer).substr(0, script.answer_id_at) ||
        answer.substr(after) != std::string_view(script.answer).substr(after)) {
      fail("wrong answer to request " + std::to_string(id[1]));
    }
    if (asked[id[1]] == 0) fail("request " + std::to_string(id[1]) + " was answered twice");
    between.push_back(latency.size() - had[id[1]]);
    latency.push_back(now_ns() - std::exchange(asked[id[1]], 0));
  }

  void watch(std::size_t number) {
    Client& client = *clients[number];
    const std::uint32_t wanted = EPOLLIN | (client.wants_out() ? EPOLLOUT : 0U);
    if (watched[number] == wanted) return;
    epoll_event event{};
    event.events = wanted;
    event.data.u64 = number;
    epoll_ctl(epoll, watched[number] == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, client.fd(), &event);
    watched[number] = wanted;
  }

  void connect(const Address& address, std::size_t count) {
    watched.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      clients.push_back(std::make_unique<Client>(script, address));
      while (!clients[i]->open()) {
        watch(i);
        turn(1'000'000'000, [](Client&) {});
      }
    }
  }

  // Waits for at most `wait_ns`, and reads what has come; `after` is told of each client that was read.
  template <class After>
  bool turn(std::int64_t wait_ns, After after) {
    epoll_event events[64];
    const timespec wait{wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
    const int count = epoll_pwait2(epoll, events, 64, &wait, nullptr);
    const std::size_t before = latency.size();
    for (int i = 0; i < count; ++i) {
      const std::size_t number = events[i].data.u64;
      Client& client = *clients[number];
      if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) client.receive([&](std::string_view one) { take(one); });
      after(client);
      client.flush();
      watch(number);
    }
    together.resize(latency.size(), latency.size() - before);
    return count > 0;
  }

  void closed() {
    const auto ask = [&](Client& client) {
      if (next < requests) put(client, now_ns());
    };
    for (std::size_t i = 0; i < clients.size(); ++i) {
      ask(*clients[i]);
      clients[i]->flush();
    }
    std::size_t had = 0;
    while (latency.size() < requests) {
      const bool some = turn(kPatienceNs, [&](Client& client) {
        for (; had < latency.size(); ++had) ask(client);
      });
      if (!some) fail(std::to_string(next - latency.size()) + " requests were not answered");
    }
  }

  void open() {
    std::int64_t heard = now_ns();
    while (latency.size() < requests) {
      std::int64_t now = now_ns();
      const std::size_t first = next;
      while (next < requests && due(next) <= now) put(*clients[next % clients.size()], due(next));
      for (std::size_t i = first; i < std::min(next, first + clients.size()); ++i) {
        clients[i % clients.size()]->flush();
        watch(i % clients.size());
      }
      now = now_ns();
      const std::int64_t wait = next < requests ? due(next) - now : 100'000'000;
      const std::size_t had = latency.size();
      turn(std::max<std::int64_t>(0, wait), [](Client&) {});
      if (latency.size() > had || next < requests) heard = now;
      if (now - heard > kPatienceNs) fail(std::to_string(next - latency.size()) + " requests were not answered");
    }
  }
};

double quantile(const std::vector<std::int64_t>& sorted, double q) {
  const auto at = static_cast<std::size_t>(q * static_cast<double>(sorted.size()));
  return static_cast<double>(sorted[std::min(at, sorted.size() - 1)]) / 1e9;
}

// The mean over the answers of at least this latency.
double mean_of(const std::vector<std::size_t>& values, const std::vector<std::int64_t>& latency, std::int64_t least) {
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (latency[i] < least) continue;
    sum += static_cast<double>(values[i]);
    ++count;
  }
  return sum / std::max(count, 1.0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) fail("rpc SCRIPT ADDRESS CLIENTS REQUESTS RATE");
  prctl(PR_SET_TIMERSLACK, 1);
  Run run(argv[1], std::stoul(argv[4]), std::stod(argv[5]));
  run.asked.resize(run.requests);
  run.had.resize(run.requests);
  run.latency.reserve(run.requests);
  run.between.reserve(run.requests);
  run.together.reserve(run.requests);
  run.connect(address_of(argv[2]), std::stoul(argv[3]));
  run.begun = now_ns();
  run.rate > 0 ? run.open() : run.closed();
  const double seconds = static_cast<double>(now_ns() - run.begun) / 1e9;
  auto sorted = run.latency;
  std::sort(sorted.begin(), sorted.end());
  std::printf("{\"requests\": %zu, \"seconds\": %.9f, \"rate\": %.1f, \"max\": %.9f, \"percentiles\": [", run.requests,
              seconds, static_cast<double>(run.requests) / seconds, quantile(sorted, 1));
  // As an HdrHistogram tells them: the part above is halved, in steps of a quarter, while a request remains in it.
  const char* comma = "";
  for (double above = 1; above * static_cast<double>(run.requests) >= 1; above /= 2) {
    for (int part = 0; part < 4; ++part) {
      const double q = 1 - above * (1 - part / 8.0);
      std::printf("%s[%.9f, %.9f]", comma, q, quantile(sorted, q));
      comma = ", ";
    }
  }
  const auto slow = static_cast<std::int64_t>(quantile(sorted, 0.99) * 1e9);
  std::printf("], \"p50\": %.9f, \"p99\": %.9f, \"p999\": %.9f, \"between\": [%.2f, %.2f], \"together\": [%.2f, %.2f]}\n",
              quantile(sorted, 0.5), quantile(sorted, 0.99), quantile(sorted, 0.999),
              mean_of(run.between, run.latency, 0), mean_of(run.between, run.latency, slow),
              mean_of(run.together, run.latency, 0), mean_of(run.together, run.latency, slow));
}
