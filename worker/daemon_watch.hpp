// What the daemon's parts do, as metrics. Control thread.
#pragma once

#include "worker/base/log.hpp"
#include "worker/base/metrics.hpp"
#include "worker/engines/sampler.hpp"
#include "worker/requests/requests.hpp"

namespace windlass::worker {

class MetricsWatcher final : public Watcher {
 public:
  explicit MetricsWatcher(Metrics& metrics) : metrics_(metrics) {}

  void received(bool from_bridge) override;
  void dropped(const char* reason) override;
  void refused(const char* reason) override;
  void denied(const Peer& peer, const std::string& what) override;
  void answered(proto::Type request, proto::Code code, double seconds) override;
  void matched(const MatchTask& task) override;

 private:
  Metrics& metrics_;
  LogLimit denials_;
};

// The gauges and totals that are asked for once a second.
void publish_requests(Metrics& metrics, const Requests& requests, const MatchEngine& matchers);
void publish_grants(Metrics& metrics, const Grants& grants);
void publish_stage(Metrics& metrics, const StageCounters& counters, const std::string& engine);
void publish_load(Metrics& metrics, const Sample& sample);

}  // namespace windlass::worker
