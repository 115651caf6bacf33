// The daemon's metrics. What there is stands in one table (metrics_table.cpp); values are set through this interface
// from any thread, without a lock once a series exists. Times are seconds, sizes bytes.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace windlass::worker {

// The rows of the table, in its order. Their labels and meanings are told there and in docs/metrics.md.
enum class Metric {
  requests,               // counter {type, code}: answered, of any asker
  request_duration,       // histogram {type}: from reading it to its last answer
  messages_received,      // counter {from}
  messages_dropped,       // counter {reason}
  requests_refused,       // counter {reason}
  peers_refused,          // counter {reason}
  connections,            // gauge
  clients,                // gauge
  answers_kept,           // gauge
  bridge_connected,       // gauge, 0 or 1
  bridge_registrations,   // counter
  bridge_silences,        // counter
  grants_held,            // gauge
  grants,                 // counter {outcome}
  match_tasks,            // counter
  match_placed,           // counter
  match_duration,         // histogram: of the engine alone
  match_queued,           // gauge
  stage_bytes,            // counter
  stage_files,            // counter
  stage_transfers,        // counter {state}
  stage_fallbacks,        // counter {kind}
  stage_retries,          // counter
  stage_resumed_bytes,    // counter
  stage_state_set_aside,  // counter
  stage_queued,           // gauge
  stage_running,          // gauge
  stage_bytes_in_flight,  // gauge
  stage_oldest_queued,    // gauge
  stage_engine,           // gauge {engine}: 1 for the one in use
  stage_confined,         // gauge
  load_cores,             // gauge
  load_cpu_ratio,         // gauge
  load_memory_available,  // gauge
  load_memory_total,      // gauge
  load_degraded,          // gauge: number of reasons
  load_sample_duration,   // histogram
  config_reloads,         // counter {result}
  draining,               // gauge, 0 or 1
  start_time,             // gauge, seconds since 1970
  resident_memory,        // gauge, set by text()
  open_files,             // gauge, set by text()
  build,                  // gauge {version}: 1
  count
};

class Metrics {
 public:
  // Values of the metric's labels in the table's order. A value that the table does not list is counted as "other".
  using Labels = std::initializer_list<std::string_view>;

  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void add(Metric counter, double by = 1) { add(counter, {}, by); }
  void add(Metric counter, Labels labels, double by = 1);
  // For totals that another part counts: raises the counter to `total`; never lowers it. One thread per counter.
  void add_up_to(Metric counter, double total) { add_up_to(counter, {}, total); }
  void add_up_to(Metric counter, Labels labels, double total);
  void set(Metric gauge, double value) { set(gauge, {}, value); }
  void set(Metric gauge, Labels labels, double value);
  void observe(Metric histogram, double value) { observe(histogram, {}, value); }
  void observe(Metric histogram, Labels labels, double value);

  // The page in Prometheus' text format.
  std::string text();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// docs/metrics.md, made from the table.
std::string metrics_docs();

}  // namespace windlass::worker
