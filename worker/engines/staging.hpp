// The StageEngine over libwindlass: one windlass_stager for the daemon's life. Control thread; the I/O threads are the
// library's own.
#pragma once

#include <memory>

#include "plugin/include/windlass/windlass.h"
#include "proto/keyed_hash.hpp"
#include "worker/base/config.hpp"
#include "worker/engines/engines.hpp"

namespace windlass::worker {

class Staging final : public StageEngine {
 public:
  // Opens the roots and reads the state. `owner` stands in the names of temporaries. The error is a whole sentence.
  static tl::expected<std::unique_ptr<Staging>, std::string> open(const Config& config, const std::string& owner);
  ~Staging() override;  // cancels what runs and waits for it
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  tl::expected<void, proto::Error> submit(std::uint64_t tag, std::string_view body, const std::string& client) override;
  std::optional<std::uint64_t> next_ended() override;
  proto::Progress progress(std::uint64_t tag) override;
  bool cancel(std::uint64_t tag) override;
  std::string take_report(std::uint64_t tag) override;
  StageCounters counters() override;
  std::string engine() override { return windlass_stager_engine(stager_); }

  // Readable when next_ended has something.
  [[nodiscard]] int fd() const { return windlass_stager_fd(stager_); }

 private:
  Staging(windlass_stager* stager, bool has_roots) : stager_(stager), has_roots_(has_roots) {}
  [[nodiscard]] windlass_stage_call* call(std::uint64_t tag) const;

  windlass_stager* stager_;
  bool has_roots_;
  proto::KeyedMap<std::uint64_t, windlass_stage_call*> calls_;
};

}  // namespace windlass::worker
