// echo_zmq ADDRESS: a ROUTER that sends every message back; prints where it listens.
#include <sys/resource.h>

#include <cstdio>
#include <vector>
#include <zmq.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  zmq::context_t context(1);
  zmq::socket_t router(context, zmq::socket_type::router);
  router.bind(argv[1]);
  std::printf("%s\n", router.get(zmq::sockopt::last_endpoint).c_str());
  std::fflush(stdout);
  std::vector<zmq::message_t> parts;
  for (;;) {
    parts.clear();
    do {
      parts.emplace_back();
      if (!router.recv(parts.back())) return 1;
    } while (parts.back().more());
    for (std::size_t i = 0; i < parts.size(); ++i) {
      router.send(parts[i], i + 1 < parts.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
    }
  }
}
