#include "worker/daemon_watch.hpp"

#include <array>

namespace windlass::worker {
namespace {

std::string_view type_name(proto::Type type) {
  constexpr std::array<std::string_view, 16> kNames = {"other",    "hello",  "welcome", "load",   "match", "stage",
                                                       "progress", "cancel", "result",  "error",  "drain", "bye",
                                                       "nodes",    "grant",  "release", "session"};
  const auto number = static_cast<std::size_t>(type);
  return number < kNames.size() ? kNames[number] : kNames[0];
}

std::string_view code_name(proto::Code code) {
  constexpr std::array<std::string_view, 17> kNames = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto number = static_cast<std::size_t>(code);
  return number < kNames.size() ? kNames[number] : kNames[2];
}

double as_double(std::uint64_t value) {
  return static_cast<double>(value);
}

}  // namespace

void MetricsWatcher::received(bool from_bridge) {
  metrics_.add(Metric::messages_received, {from_bridge ? "bridge" : "client"});
}
void MetricsWatcher::dropped(const char* reason) {
  metrics_.add(Metric::messages_dropped, {reason});
}
void MetricsWatcher::refused(const char* reason) {
  metrics_.add(Metric::requests_refused, {reason});
}

void MetricsWatcher::denied(const Peer& peer, const std::string& what) {
  if (const auto unsaid = denials_.pass("denied", Clock::now()))
    log_warn("peer is denied",
             {{"key", peer.who}, {"role", name_of(peer.standing)}, {"what", what}, {"unsaid", *unsaid}});
}

void MetricsWatcher::answered(proto::Type request, proto::Code code, double seconds) {
  metrics_.add(Metric::requests, {type_name(request), code_name(code)});
  metrics_.observe(Metric::request_duration, {type_name(request)}, seconds);
}

void MetricsWatcher::matched(const MatchTask& task) {
  metrics_.add(Metric::match_tasks, as_double(task.tasks));
  metrics_.add(Metric::match_placed, as_double(task.placed));
  metrics_.observe(Metric::match_duration, task.seconds);
}

void publish_requests(Metrics& metrics, const Requests& requests, const MatchEngine& matchers) {
  metrics.set(Metric::clients, as_double(requests.clients()));
  metrics.set(Metric::answers_kept, as_double(requests.answers_kept()));
  metrics.add_up_to(Metric::messages_dropped, {"queue_full"}, as_double(requests.answers_dropped()));
  metrics.set(Metric::match_queued, as_double(matchers.queued()));
}

void publish_grants(Metrics& metrics, const Grants& grants) {
  metrics.set(Metric::grants_held, as_double(grants.size()));
  metrics.add_up_to(Metric::grants, {"granted"}, as_double(grants.counts().granted));
  metrics.add_up_to(Metric::grants, {"refused"}, as_double(grants.counts().refused));
  metrics.add_up_to(Metric::grants, {"released"}, as_double(grants.counts().released));
  metrics.add_up_to(Metric::grants, {"expired"}, as_double(grants.counts().expired));
}

void publish_stage(Metrics& metrics, const StageCounters& counters, const std::string& engine) {
  metrics.add_up_to(Metric::stage_bytes, as_double(counters.bytes_total));
  metrics.add_up_to(Metric::stage_files, as_double(counters.files_total));
  metrics.add_up_to(Metric::stage_transfers, {"done"}, as_double(counters.done));
  metrics.add_up_to(Metric::stage_transfers, {"failed"}, as_double(counters.failed));
  metrics.add_up_to(Metric::stage_transfers, {"cancelled"}, as_double(counters.cancelled));
  metrics.add_up_to(Metric::stage_transfers, {"expired"}, as_double(counters.expired));
  metrics.add_up_to(Metric::stage_fallbacks, {"ring"}, as_double(counters.fallbacks_ring));
  metrics.add_up_to(Metric::stage_fallbacks, {"direct"}, as_double(counters.fallbacks_direct));
  metrics.add_up_to(Metric::stage_fallbacks, {"buffers"}, as_double(counters.fallbacks_buffers));
  metrics.add_up_to(Metric::stage_fallbacks, {"confine"}, as_double(counters.fallbacks_confine));
  metrics.add_up_to(Metric::stage_retries, as_double(counters.retries));
  metrics.add_up_to(Metric::stage_resumed_bytes, as_double(counters.resumed_bytes));
  metrics.add_up_to(Metric::stage_state_set_aside, as_double(counters.set_aside));
  metrics.set(Metric::stage_queued, as_double(counters.queued));
  metrics.set(Metric::stage_running, as_double(counters.running));
  metrics.set(Metric::stage_bytes_in_flight, as_double(counters.bytes_in_flight));
  metrics.set(Metric::stage_oldest_queued, as_double(counters.oldest_queued_ms) / 1000);
  metrics.set(Metric::stage_engine, {engine}, 1);
  metrics.set(Metric::stage_confined, as_double(counters.confined_threads));
}

void publish_load(Metrics& metrics, const Sample& sample) {
  metrics.set(Metric::load_cores, sample.report.cores);
  metrics.set(Metric::load_cpu_ratio, sample.report.cpu_ratio);
  metrics.set(Metric::load_memory_available, as_double(sample.report.memory_available_bytes));
  metrics.set(Metric::load_memory_total, as_double(sample.report.memory_total_bytes));
  metrics.observe(Metric::load_sample_duration, sample.seconds);
}

}  // namespace windlass::worker
