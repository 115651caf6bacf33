#include "worker/front/confirmed.hpp"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace windlass::worker {

Confirmed judge(const TcpState& state) {
  if (state.unconfirmed == 0) return Confirmed::all;
  const bool asked = state.repeats >= kRepeatsMin || state.probes >= kProbesMin;
  return asked && state.unheard >= kUnheardMax ? Confirmed::nothing : Confirmed::some;
}

Confirmed confirmed(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return Confirmed::all;
  return judge({info.tcpi_unacked + info.tcpi_notsent_bytes, info.tcpi_retransmits, info.tcpi_probes,
                std::chrono::milliseconds(info.tcpi_last_ack_recv)});
}

}  // namespace windlass::worker
