#include "worker/base/metrics_table.hpp"

#include <fmt/format.h>

namespace windlass::worker {
namespace {

using M = Metric;
using K = MetricKind;

constexpr MetricLabel kType{"type", "hello|load|match|stage|progress|cancel|grant|release|other"};
constexpr MetricLabel kCode{
    "code",
    "OK|CANCELLED|INVALID_ARGUMENT|DEADLINE_EXCEEDED|NOT_FOUND|PERMISSION_DENIED|RESOURCE_EXHAUSTED|"
    "FAILED_PRECONDITION|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS|other"};

constexpr MetricInfo kTable[] = {
    {M::requests, "windlass_requests_total", K::counter, "Requests answered, by type and code.", {kType, kCode}},
    {M::request_duration,
     "windlass_request_duration_seconds",
     K::histogram,
     "From reading a request to its last answer.",
     {kType}},
    {M::messages_received,
     "windlass_messages_received_total",
     K::counter,
     "Messages read.",
     {MetricLabel{"from", "client|bridge|other"}}},
    {M::messages_dropped,
     "windlass_messages_dropped_total",
     K::counter,
     "Messages that could neither be served nor answered.",
     {MetricLabel{"reason", "malformed|too_large|no_route|queue_full|other"}}},
    {M::requests_refused,
     "windlass_requests_refused_total",
     K::counter,
     "Requests refused before any work.",
     {MetricLabel{"reason", "draining|queue_full|other_payload|not_served|permission|expired|other"}}},
    {M::peers_refused,
     "windlass_peers_refused_total",
     K::counter,
     "Connections turned away: without an allowed key, against the rules of the protocol, or as one too many.",
     {MetricLabel{"reason",
                  "unknown_key|revoked_key|bridge_key|handshake|flood|greeting|protocol|user|replaced|"
                  "descriptors|memory|slow|system|other"}}},
    {M::connections, "windlass_connections", K::gauge,
     "Connections of local clients, those that only greet among them."},
    {M::clients, "windlass_clients", K::gauge, "Local clients that have said HELLO."},
    {M::answers_kept, "windlass_answers_kept", K::gauge, "Answers kept for requests that are asked again."},
    {M::bridge_connected, "windlass_bridge_connected", K::gauge, "1 while the bridge answers, else 0."},
    {M::bridge_registrations, "windlass_bridge_registrations_total", K::counter,
     "Times that a bridge welcomed this node."},
    {M::bridge_silences, "windlass_bridge_silences_total", K::counter, "Times that the bridge was taken for dead."},
    {M::grants_held, "windlass_grants_held", K::gauge, "Grants that sessions of bridges hold of this node's offers."},
    {M::grants,
     "windlass_grants_total",
     K::counter,
     "What became of grants that bridges asked for.",
     {MetricLabel{"outcome", "granted|refused|released|expired|other"}}},
    {M::match_tasks, "windlass_match_tasks_total", K::counter, "Tasks in match calls."},
    {M::match_placed, "windlass_match_placed_total", K::counter, "Tasks that found an offer."},
    {M::match_duration, "windlass_match_duration_seconds", K::histogram, "Time in the matching engine."},
    {M::match_queued, "windlass_match_queued", K::gauge, "Match calls that wait for a thread."},
    {M::stage_bytes, "windlass_stage_bytes_total", K::counter, "Bytes published."},
    {M::stage_files, "windlass_stage_files_total", K::counter, "Files published."},
    {M::stage_transfers,
     "windlass_stage_transfers_total",
     K::counter,
     "Transfers ended, by state.",
     {MetricLabel{"state", "done|failed|cancelled|expired|other"}}},
    {M::stage_fallbacks,
     "windlass_stage_fallbacks_total",
     K::counter,
     "Times that the plain way served: threads without a ring, files through the page cache, threads whose memory is "
     "not all registered with the ring, threads not confined to the roots.",
     {MetricLabel{"kind", "ring|direct|buffers|confine|other"}}},
    {M::stage_retries, "windlass_stage_retries_total", K::counter, "Further attempts after a failure that may pass."},
    {M::stage_resumed_bytes, "windlass_stage_resumed_bytes_total", K::counter,
     "Bytes that were there from an interrupted transfer."},
    {M::stage_state_set_aside, "windlass_stage_state_set_aside_total", K::counter,
     "State files that could not be read and were set aside."},
    {M::stage_queued, "windlass_stage_queued", K::gauge, "Transfers accepted and not begun."},
    {M::stage_running, "windlass_stage_running", K::gauge, "Transfers that run."},
    {M::stage_bytes_in_flight, "windlass_stage_bytes_in_flight", K::gauge, "Bytes held in memory by transfers."},
    {M::stage_oldest_queued, "windlass_stage_oldest_queued_seconds", K::gauge,
     "Age of the oldest transfer that has not begun."},
    {M::stage_engine,
     "windlass_stage_engine",
     K::gauge,
     "1 for the engine in use.",
     {MetricLabel{"engine", "uring|threads|other"}}},
    {M::stage_confined, "windlass_stage_confined_threads", K::gauge,
     "Threads of staging that Landlock confines to stage.roots and state.path."},
    {M::load_cores, "windlass_load_cores", K::gauge, "Processors that the daemon may use."},
    {M::load_cpu_ratio, "windlass_load_cpu_ratio", K::gauge, "Busy share of those processors."},
    {M::load_memory_available, "windlass_load_memory_available_bytes", K::gauge, "Memory that is left."},
    {M::load_memory_total, "windlass_load_memory_total_bytes", K::gauge,
     "Memory of the machine or of the control group."},
    {M::load_degraded, "windlass_load_degraded_reasons", K::gauge, "Parts of the load report that could not be read."},
    {M::load_sample_duration, "windlass_load_sample_duration_seconds", K::histogram, "Time to take one load sample."},
    {M::config_reloads,
     "windlass_config_reloads_total",
     K::counter,
     "Reloads of the configuration.",
     {MetricLabel{"result", "ok|failed|other"}}},
    {M::draining, "windlass_draining", K::gauge, "1 while no new work is taken, else 0."},
    {M::start_time, "windlass_start_time_seconds", K::gauge, "When the daemon started, in seconds since 1970."},
    {M::resident_memory, "windlass_resident_memory_bytes", K::gauge, "Resident memory of the daemon."},
    {M::open_files, "windlass_open_files", K::gauge, "File descriptors that the daemon holds."},
    {M::build,
     "windlass_build_info",
     K::gauge,
     "1, with the version of the daemon.",
     {MetricLabel{"version", WINDLASS_VERSION "|other"}}},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < std::size(kTable); ++i) {
    if (static_cast<std::size_t>(kTable[i].metric) != i) return false;
  }
  return std::size(kTable) == static_cast<std::size_t>(Metric::count);
}
static_assert(in_order(), "the rows of the table stand in the order of Metric, each once");

std::string_view kind_name(MetricKind kind) {
  return kind == K::counter ? "counter" : kind == K::gauge ? "gauge" : "histogram";
}

std::string labels_of(const MetricInfo& info) {
  std::string told;
  for (const MetricLabel& label : info.labels) {
    if (label.name.empty()) continue;
    std::string values;
    for (const char c : label.values) values += c == '|' ? std::string(", ") : std::string(1, c);
    told += fmt::format("{}`{}`: {}", told.empty() ? "" : "; ", label.name,
                        info.metric == M::build ? "the version" : values);
  }
  return told;
}

}  // namespace

std::span<const MetricInfo> metrics_table() {
  return kTable;
}

std::string metrics_docs() {
  std::string out =
      "# Metrics of windlassd\n\n"
      "Generated by `windlassd --print-metrics-docs`; change the table in `worker/base/metrics_table.cpp`, not this "
      "page.\n\n"
      "Served at `/metrics` of `http.listen` in Prometheus' text format. Times are seconds, sizes bytes. Labels take "
      "the values\n"
      "listed here and no others, so the number of series is bounded.\n\n"
      "| metric | kind | labels | meaning |\n|---|---|---|---|\n";
  for (const MetricInfo& info : kTable) {
    out += fmt::format("| `{}` | {} | {} | {} |\n", info.name, kind_name(info.kind), labels_of(info), info.help);
  }
  return out;
}

}  // namespace windlass::worker
