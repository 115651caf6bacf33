#include "worker/engines/sessions.hpp"

#include <algorithm>
#include <functional>

#include "worker/core/abi_error.hpp"
#include "worker/core/limits.hpp"
#include "worker/engines/match_frames.hpp"

namespace windlass::worker {

using proto::Code;

Sessions::Sessions(std::string_view seed) : next_(std::hash<std::string_view>{}(seed) >> 16U) {}

Answer Sessions::open(const std::string& route, const proto::Match& options, const proto::RequestId& id, Time now) {
  const auto known = clients_.find(route);
  if (sessions_.size() >= kSessionsMax ||
      (known != clients_.end() && known->second.numbers.size() >= kSessionsPerClientMax)) {
    const std::string said = "windlassd keeps " + std::to_string(kSessionsPerClientMax) +
                             " sessions of one client and " + std::to_string(kSessionsMax) + " in all: close one first";
    return error_answer(Code::resource_exhausted, said, true, 1000);
  }
  const windlass_match_request asked = options_of(options);
  windlass_error error = empty_error();
  windlass_session* handle = nullptr;
  const windlass_code code = windlass_session_open(&asked, &handle, &error);
  if (code != WINDLASS_OK) return error_answer(wire_error(code, error));
  const std::uint64_t number = next_++;
  sessions_.emplace(number, std::make_shared<MatchSession>(handle, route));
  Client& client = clients_[route];
  client.numbers.push_back(number);
  client.id = id;
  client.probed = now;
  return answer_of(proto::Type::result, proto::SessionAnswer{number, 0, {}, {}});
}

std::shared_ptr<MatchSession> Sessions::find(const std::string& route, std::uint64_t number) const {
  const auto found = sessions_.find(number);
  return found == sessions_.end() || found->second->route() != route ? nullptr : found->second;
}

void Sessions::close(const std::string& route, std::uint64_t number) {
  const auto client = clients_.find(route);
  if (client == clients_.end() || std::erase(client->second.numbers, number) == 0) return;
  sessions_.erase(number);
  if (client->second.numbers.empty()) clients_.erase(client);
}

void Sessions::end_of(const std::string& route) {
  const auto client = clients_.find(route);
  if (client == clients_.end()) return;
  for (const std::uint64_t number : client->second.numbers) sessions_.erase(number);
  clients_.erase(client);
}

std::vector<Sessions::Probe> Sessions::due(Time now) const {
  std::vector<Probe> probes;
  for (const auto& [route, client] : clients_) {
    if (now - client.probed >= kProgressProbe) probes.push_back({route, client.id});
  }
  return probes;
}

bool Sessions::probed(const std::string& route, bool reached, Time now) {
  Client& client = clients_.find(route)->second;
  client.probed = now;
  if (reached) {
    client.gone_since.reset();
    return false;
  }
  if (!client.gone_since) client.gone_since = now;
  if (now - *client.gone_since < kClientGone) return false;
  end_of(route);
  return true;
}

}  // namespace windlass::worker
