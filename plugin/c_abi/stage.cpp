// The staging section of windlass.h over plugin/stage.
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <string>

#include "plugin/c_abi/error.hpp"
#include "plugin/stage/request.hpp"
#include "plugin/stage/stager.hpp"

namespace stage = windlass::stage;
using windlass::c_abi::fail;
using windlass::c_abi::guarded;
using windlass::c_abi::read_sized;
using windlass::c_abi::write_sized;

struct windlass_stager {
  std::unique_ptr<stage::Stager> engine;
};

struct windlass_stage_call {
  stage::Stager* engine;  // touched only while the call runs, so that the stager outlives it by contract
  std::shared_ptr<stage::Call> call;
};

namespace {

windlass_code fail_with(windlass_error* error, const stage::Error& why) {
  return fail(error, static_cast<windlass_code>(why.code), why.message,
              {.row = why.row, .field = why.field, .retryable = why.retryable, .retry_after_ms = why.retry_after_ms});
}

stage::Options options_of(const windlass_stage_options& given) {
  stage::Options options;
  options.engine = static_cast<stage::EngineWish>(given.engine);
  if (given.threads != 0) options.threads = given.threads;
  options.retries = given.retries;
  for (uint64_t i = 0; i < given.roots_count; ++i) options.roots.emplace_back(given.roots[i]);
  if (given.bytes_in_flight_max != 0) options.bytes_in_flight_max = given.bytes_in_flight_max;
  options.bandwidth_max = given.bandwidth_max;
  options.bandwidth_max_input = given.bandwidth_max_input;
  options.bandwidth_max_result = given.bandwidth_max_result;
  options.space = {given.free_min, given.inodes_min};
  if (given.decompress_ratio_max != 0) options.decompress_ratio_max = given.decompress_ratio_max;
  if (given.queue_max != 0) options.schedule.queue_max = given.queue_max;
  options.schedule.quota_per_client = given.quota_per_client;
  options.symlinks = static_cast<stage::Symlinks>(given.symlinks);
  options.confine = given.confine == 0;
  if (given.state_path != nullptr) options.state_path = given.state_path;
  if (given.resume_keep_s != 0)
    options.resume_keep = std::chrono::seconds(std::min<uint64_t>(given.resume_keep_s, INT32_MAX));
  if (given.owner != nullptr) options.owner = given.owner;
  return options;
}

// Joined to the working directory, as the names of a C program's files are.
stage::Result<std::string> absolute(const char* path) {
  const std::string given = path == nullptr ? "" : path;
  if (given.empty()) return stage::fail(stage::Code::invalid_argument, "the path is empty; name a file");
  if (given.front() == '/' || given.starts_with("file:") || given.find("://") != std::string::npos) return given;
  char folder[PATH_MAX];
  if (::getcwd(folder, sizeof folder) == nullptr)
    return stage::fail_errno(errno, "find the working directory for", given);
  return std::string(folder) + "/" + given;
}

windlass_code accept(windlass_stager* stager, stage::Request request, const windlass_stage_submit_options& options,
                     windlass_stage_call** call, windlass_error* error) {
  auto accepted =
      stager->engine->submit(std::move(request), options.client != nullptr ? options.client : "", options.tag);
  if (!accepted) return fail_with(error, accepted.error());
  *call = new windlass_stage_call{stager->engine.get(), std::move(*accepted)};
  return WINDLASS_OK;
}

stage::Result<stage::Transfer> one_file(const char* source, const char* target, const char* checksum) {
  stage::Transfer transfer;
  for (const auto& [path, place] : {std::pair{source, &transfer.source}, std::pair{target, &transfer.target}}) {
    auto whole = absolute(path);
    if (!whole) return stage::fail(whole.error());
    auto parsed = stage::parse_place(*whole);
    if (!parsed) return stage::fail(parsed.error());
    *place = std::move(*parsed);
  }
  if (auto fine = stage::check_target_name(transfer.target); !fine) return stage::fail(fine.error());
  if (checksum == nullptr) return transfer;
  auto wish = stage::parse_checksum(checksum);
  if (!wish) return stage::fail(wish.error());
  transfer.checksum = std::move(*wish);
  return transfer;
}

}  // namespace

extern "C" {

windlass_code windlass_stager_open(const windlass_stage_options* given, windlass_stager** stager,
                                   windlass_error* error) {
  return guarded(error, [&] {
    windlass_stage_options options;
    if (stager == nullptr || !read_sized(given, sizeof(given->size), options))
      return fail(error, WINDLASS_INVALID_ARGUMENT,
                  "the options or the place for the stager are missing, or not of this version");
    if (options.engine > WINDLASS_ENGINE_THREADS || options.symlinks > 2)
      return fail(error, WINDLASS_INVALID_ARGUMENT, "engine and symlinks are numbers from 0 to 2",
                  {.side = WINDLASS_SIDE_OPTIONS});
    auto engine = stage::Stager::open(options_of(options));
    if (!engine) return fail_with(error, engine.error());
    *stager = new windlass_stager{std::move(*engine)};
    return WINDLASS_OK;
  });
}

void windlass_stager_close(windlass_stager* stager) {
  delete stager;
}

const char* windlass_stager_engine(const windlass_stager* stager) {
  return stager->engine->engine().c_str();
}

int windlass_stager_fd(const windlass_stager* stager) {
  return stager->engine->ends().fd();
}

int windlass_stager_next_ended(windlass_stager* stager, uint64_t* tag) {
  const auto ended = stager->engine->ends().take();
  if (!ended) return 0;
  if (tag != nullptr) *tag = *ended;
  return 1;
}

void windlass_stager_counters(const windlass_stager* stager, windlass_stage_counters* counters) {
  const stage::Counters now = stager->engine->counters();
  windlass_stage_counters filled{};
  filled.bytes_in_flight = now.bytes_in_flight;
  filled.queued = now.queued;
  filled.running = now.running;
  filled.oldest_queued_ms = now.oldest_queued_ms;
  filled.bytes_total = now.bytes_total;
  filled.files_total = now.files_total;
  filled.transfers_done = now.ended[0];
  filled.transfers_failed = now.ended[1];
  filled.transfers_cancelled = now.ended[2];
  filled.transfers_expired = now.ended[3];
  filled.fallbacks = now.fallbacks_ring + now.fallbacks_direct + now.fallbacks_buffers + now.fallbacks_confine;
  filled.fallbacks_ring = now.fallbacks_ring;
  filled.fallbacks_direct = now.fallbacks_direct;
  filled.fallbacks_buffers = now.fallbacks_buffers;
  filled.fallbacks_confine = now.fallbacks_confine;
  filled.confined_threads = now.confined_threads;
  filled.retries_total = now.retries_total;
  filled.resumed_bytes_total = now.resumed_bytes_total;
  filled.state_set_aside_total = now.state_set_aside_total;
  write_sized(filled, counters);
}

windlass_code windlass_stage_submit(windlass_stager* stager, const void* request, size_t request_bytes,
                                    const windlass_stage_submit_options* given, windlass_stage_call** call,
                                    windlass_error* error) {
  return guarded(error, [&] {
    windlass_stage_submit_options options{};
    if (stager == nullptr || call == nullptr || (request == nullptr && request_bytes > 0) ||
        (given != nullptr && !read_sized(given, sizeof(given->size), options)))
      return fail(error, WINDLASS_INVALID_ARGUMENT,
                  "stager, request or call is missing, or the options are not of this version");
    auto decoded =
        stage::decode_request({static_cast<const char*>(request), request_bytes}, stager->engine->default_symlinks());
    if (!decoded) return fail_with(error, decoded.error());
    return accept(stager, std::move(*decoded), options, call, error);
  });
}

windlass_code windlass_stage_file(windlass_stager* stager, const char* source, const char* target, const char* checksum,
                                  windlass_stage_call** call, windlass_error* error) {
  return guarded(error, [&] {
    if (stager == nullptr || call == nullptr)
      return fail(error, WINDLASS_INVALID_ARGUMENT, "stager or call is missing");
    auto transfer = one_file(source, target, checksum);
    if (!transfer) return fail_with(error, transfer.error());
    transfer->symlinks = stager->engine->default_symlinks();
    stage::Request request;
    request.transfers.push_back(std::move(*transfer));
    return accept(stager, std::move(request), {}, call, error);
  });
}

void windlass_stage_progress_of(const windlass_stage_call* call, windlass_stage_progress* progress) {
  const stage::Progress now = call->call->progress();
  windlass_stage_progress filled{};
  filled.ended = now.ended ? 1 : 0;
  filled.bytes_done = now.bytes_done;
  filled.files_done = now.files_done;
  filled.bytes_total = now.bytes_total;
  filled.files_total = now.files_total;
  write_sized(filled, progress);
}

int windlass_stage_wait(windlass_stage_call* call, int64_t timeout_ms) {
  constexpr int64_t kLongestMs = 1000LL * 60 * 60 * 24 * 365;
  if (timeout_ms < 0) return call->call->wait(std::nullopt) ? 1 : 0;
  return call->call->wait(std::chrono::milliseconds(std::min(timeout_ms, kLongestMs))) ? 1 : 0;
}

int windlass_stage_cancel(windlass_stage_call* call) {
  if (call->call->ended()) return 0;
  return call->engine->cancel(call->call) ? 1 : 0;
}

windlass_bytes windlass_stage_report(const windlass_stage_call* call) {
  if (!call->call->ended()) return {nullptr, 0};
  return {call->call->report().data(), call->call->report().size()};
}

int windlass_stage_state(const windlass_stage_call* call, size_t transfer, windlass_error* error) {
  if (!call->call->ended() || transfer >= call->call->transfers().size()) {
    fail(error, WINDLASS_INVALID_ARGUMENT, "the call has not ended, or has no such transfer");
    return -1;
  }
  const stage::Outcome& outcome = call->call->outcome(transfer);
  if (outcome.error) fail_with(error, *outcome.error);
  return static_cast<int>(outcome.state);
}

void windlass_stage_free(windlass_stage_call* call) {
  if (call == nullptr) return;
  windlass_stage_cancel(call);
  call->call->wait(std::nullopt);
  call->call->forget_end();
  delete call;
}
}
