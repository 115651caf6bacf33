// How much a call holds: for quotas when it is submitted, for totals where somebody watches.
#include "plugin/stage/stager.hpp"

namespace windlass::stage {
namespace {

constexpr unsigned kMeasuredAtOnce = 16;  // transfers
constexpr auto kMeasuredAfter = std::chrono::milliseconds(100);
constexpr unsigned kQuotaLooksMax = 80;  // of 256 entries each
constexpr auto kQuotaWait = std::chrono::milliseconds(250);

}  // namespace

// Where quotas hold, sizes are asked for at once; of very large trees only so much as is found without delay, and
// nothing where the disk does not answer: whoever submits waits for no disk.
std::uint64_t Stager::measured_bytes(const Request& request, std::vector<std::uint64_t>& each) {
  each.assign(request.transfers.size(), 0);
  if (options_.schedule.quota_per_client == 0) return 0;
  struct Sizes {
    explicit Sizes(const std::vector<Transfer>& all) : transfers(all), bytes(all.size()) {}
    const std::vector<Transfer> transfers;
    std::vector<std::atomic<std::uint64_t>> bytes;
  };
  const auto sizes = std::make_shared<Sizes>(request.transfers);
  survey_.within(kQuotaWait, [this, sizes] {
    unsigned asked = 0;
    for (std::size_t i = 0; i < sizes->bytes.size(); ++i) {
      const auto size = measure_source(shared_, sizes->transfers[i], [&asked] { return ++asked < kQuotaLooksMax; });
      if (size) sizes->bytes[i] = size->bytes;
    }
  });
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < each.size(); ++i) sum += each[i] = sizes->bytes[i];
  return sum;
}

// The sum over a call; false where it was not worth going on.
bool Stager::measure(Call& call, const std::function<bool()>& go_on) {
  SourceSize sum;
  for (const Transfer& transfer : call.transfers()) {
    const auto size =
        go_on() ? measure_source(shared_, transfer, go_on) : Result<SourceSize>(SourceSize{.complete = false});
    if (!size) continue;
    if (!size->complete) return false;
    sum.bytes += size->bytes;
    sum.guessed = sum.guessed || size->guessed;
    sum.files += size->files;
  }
  call.set_totals(sum.guessed ? std::nullopt : std::optional(sum.bytes), sum.files);
  return true;
}

// Totals are for those who watch: a call of a few files has them at once, others when they last and are watched.
void Stager::begin_measuring(const std::shared_ptr<Call>& call) {
  if (call->measured.exchange(true)) return;
  const std::size_t files = call->transfers().size();
  std::size_t asked = 0;
  if (files <= kMeasuredAtOnce && measure(*call, [&] { return asked++ < (call->watched ? kMeasuredAtOnce : files); }))
    return;
  measure_when_watched(call);
}

void Stager::measure_when_watched(const std::shared_ptr<Call>& call) {
  survey_.at(Clock::now() + kMeasuredAfter, [this, call] {
    if (call->ended() || call->cancelled) return;
    if (!call->watched) return measure_when_watched(call);
    measure(*call, [&] {
      const std::lock_guard look(mutex_);
      return !stopping_ && !call->ended() && !call->cancelled;
    });
  });
}

}  // namespace windlass::stage
