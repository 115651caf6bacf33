#include "worker/engines/staging.hpp"

#include <vector>

#include "worker/core/abi_error.hpp"

namespace windlass::worker {

tl::expected<std::unique_ptr<Staging>, std::string> Staging::open(const Config& config, const std::string& owner) {
  const StageConfig& stage = config.stage;
  std::vector<const char*> roots;
  for (const std::string& root : stage.roots) roots.push_back(root.c_str());
  windlass_stage_options options{};
  options.size = sizeof options;
  options.engine = stage.engine == "uring"     ? WINDLASS_ENGINE_URING
                   : stage.engine == "threads" ? WINDLASS_ENGINE_THREADS
                                               : WINDLASS_ENGINE_AUTO;
  options.threads = static_cast<std::uint32_t>(stage.threads);
  options.retries = static_cast<std::uint32_t>(stage.retries);
  options.roots = roots.data();
  options.roots_count = roots.size();
  options.bytes_in_flight_max = stage.bytes_in_flight_max;
  options.bandwidth_max = stage.bandwidth_max;
  options.bandwidth_max_input = stage.bandwidth_max_input;
  options.bandwidth_max_result = stage.bandwidth_max_result;
  options.free_min = stage.free_min;
  options.inodes_min = stage.inodes_min;
  options.quota_per_client = stage.quota_per_client;
  options.queue_max = stage.queue_max;
  options.decompress_ratio_max = stage.decompress_ratio_max;
  options.state_path = config.state.path.empty() ? nullptr : config.state.path.c_str();
  options.symlinks = 2;  // refuse, where the request says nothing
  options.confine = config.security.landlock == "off" ? 1 : 0;
  options.resume_keep_s =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(stage.resume_keep).count());
  options.owner = owner.c_str();
  windlass_error error = empty_error();
  windlass_stager* stager = nullptr;
  if (windlass_stager_open(&options, &stager, &error) != WINDLASS_OK) return tl::unexpected(std::string(error.message));
  return std::unique_ptr<Staging>(new Staging(stager, !roots.empty()));
}

Staging::~Staging() {
  for (const auto& [tag, call] : calls_) windlass_stage_cancel(call);
  for (const auto& [tag, call] : calls_) windlass_stage_free(call);
  windlass_stager_close(stager_);
}

windlass_stage_call* Staging::call(std::uint64_t tag) const {
  const auto found = calls_.find(tag);
  return found == calls_.end() ? nullptr : found->second;
}

tl::expected<void, proto::Error> Staging::submit(std::uint64_t tag, std::string_view body, const std::string& client) {
  if (!has_roots_) {
    proto::Error refused;
    refused.code = proto::Code::permission_denied;
    refused.message =
        "this windlassd stages nothing: stage.roots is empty; list the folders that it may read and write";
    return tl::unexpected(refused);
  }
  windlass_stage_submit_options options{};
  options.size = sizeof options;
  options.tag = tag;
  options.client = client.c_str();
  windlass_error error = empty_error();
  windlass_stage_call* call = nullptr;
  const windlass_code code = windlass_stage_submit(stager_, body.data(), body.size(), &options, &call, &error);
  if (code != WINDLASS_OK) return tl::unexpected(wire_error(code, error));
  calls_.emplace(tag, call);
  return {};
}

std::optional<std::uint64_t> Staging::next_ended() {
  std::uint64_t tag = 0;
  if (windlass_stager_next_ended(stager_, &tag) == 0) return std::nullopt;
  return tag;
}

proto::Progress Staging::progress(std::uint64_t tag) {
  proto::Progress progress;
  windlass_stage_call* running = call(tag);
  if (running == nullptr) return progress;
  windlass_stage_progress state{};
  state.size = sizeof state;
  windlass_stage_progress_of(running, &state);
  progress.bytes = state.bytes_done;
  progress.files = state.files_done;
  if (state.bytes_total >= 0) progress.bytes_total = static_cast<std::uint64_t>(state.bytes_total);
  if (state.files_total >= 0) progress.files_total = static_cast<std::uint64_t>(state.files_total);
  return progress;
}

bool Staging::cancel(std::uint64_t tag) {
  windlass_stage_call* running = call(tag);
  return running != nullptr && windlass_stage_cancel(running) == 1;
}

std::string Staging::take_report(std::uint64_t tag) {
  const auto found = calls_.find(tag);
  if (found == calls_.end()) return proto::encode(proto::StageResult{});
  const windlass_bytes bytes = windlass_stage_report(found->second);
  std::string report(static_cast<const char*>(bytes.data), bytes.count);
  windlass_stage_free(found->second);
  calls_.erase(found);
  return report;
}

StageCounters Staging::counters() {
  windlass_stage_counters raw{};
  raw.size = sizeof raw;
  windlass_stager_counters(stager_, &raw);
  StageCounters counters;
  counters.bytes_in_flight = raw.bytes_in_flight;
  counters.queued = raw.queued;
  counters.running = raw.running;
  counters.oldest_queued_ms = raw.oldest_queued_ms;
  counters.bytes_total = raw.bytes_total;
  counters.files_total = raw.files_total;
  counters.done = raw.transfers_done;
  counters.failed = raw.transfers_failed;
  counters.cancelled = raw.transfers_cancelled;
  counters.expired = raw.transfers_expired;
  counters.fallbacks_ring = raw.fallbacks_ring;
  counters.fallbacks_direct = raw.fallbacks_direct;
  counters.fallbacks_buffers = raw.fallbacks_buffers;
  counters.fallbacks_confine = raw.fallbacks_confine;
  counters.confined_threads = raw.confined_threads;
  counters.retries = raw.retries_total;
  counters.resumed_bytes = raw.resumed_bytes_total;
  counters.set_aside = raw.state_set_aside_total;
  return counters;
}

}  // namespace windlass::worker
