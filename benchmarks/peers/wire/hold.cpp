// hold SCRIPT ADDRESS CLIENTS: connects so many clients, each of which is greeted and welcomed, prints one line of JSON
// with the seconds that took, and keeps them, silent, until its standard input ends.
#include <sys/epoll.h>

#include <memory>
#include <vector>

#include "client.hpp"

namespace {

constexpr std::size_t kOnTheirWay = 64;  // fewer than a listener keeps waiting by default

void watch(int epoll, const Client& client, std::size_t number, bool known) {
  epoll_event event{};
  event.events = EPOLLIN | (client.wants_out() ? EPOLLOUT : 0U);
  event.data.u64 = number;
  epoll_ctl(epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, client.fd(), &event);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("hold SCRIPT ADDRESS CLIENTS");
  raise_descriptors();
  const Script script(argv[1]);
  const Address address = address_of(argv[2]);
  const std::size_t wanted = std::stoul(argv[3]);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::unique_ptr<Client>> clients;
  clients.reserve(wanted);
  std::size_t open = 0;
  const std::int64_t begun = now_ns();
  while (open < wanted) {
    while (clients.size() < wanted && clients.size() - open < kOnTheirWay) {
      clients.push_back(std::make_unique<Client>(script, address));
      watch(epoll, *clients.back(), clients.size() - 1, false);
    }
    epoll_event events[64];
    const int count = epoll_wait(epoll, events, 64, 20'000);
    if (count == 0) fail("after " + std::to_string(open) + " clients the server answers none for 20 s");
    for (int i = 0; i < count; ++i) {
      Client& client = *clients[events[i].data.u64];
      const bool was = client.open();
      client.flush();
      client.receive([](std::string_view) { fail("an answer to a request that was not made"); });
      if (!was && client.open()) ++open;
      watch(epoll, client, events[i].data.u64, true);
    }
  }
  std::printf("{\"accept_s\": %.9f}\n", static_cast<double>(now_ns() - begun) / 1e9);
  std::fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
}
