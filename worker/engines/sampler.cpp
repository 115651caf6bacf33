#include "worker/engines/sampler.hpp"

#include "proto/codec.hpp"
#include "worker/core/abi_error.hpp"

namespace windlass::worker {

tl::expected<std::unique_ptr<Sampler>, std::string> Sampler::start(std::vector<std::string> roots,
                                                                   std::chrono::milliseconds period) {
  std::vector<const char*> paths;
  for (const std::string& root : roots) paths.push_back(root.c_str());
  windlass_load_options options{};
  options.size = sizeof options;
  options.roots = paths.data();
  options.roots_count = paths.size();
  windlass_error error = empty_error();
  windlass_load_sampler* engine = nullptr;
  if (windlass_load_open(&options, &engine, &error) != WINDLASS_OK) return tl::unexpected(std::string(error.message));
  return std::unique_ptr<Sampler>(new Sampler(engine, period));
}

Sampler::Sampler(windlass_load_sampler* engine, std::chrono::milliseconds period) : engine_(engine), period_(period) {
  take();
  thread_ = std::thread([this] { work(); });
}

Sampler::~Sampler() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
  windlass_load_close(engine_);
}

std::shared_ptr<const Sample> Sampler::latest() const {
  const std::lock_guard lock(mutex_);
  return latest_;
}

void Sampler::take() {
  const Time began = Clock::now();
  auto sample = std::make_shared<Sample>();
  windlass_load load{};
  load.size = sizeof load;
  windlass_bytes bytes{};
  windlass_error error = empty_error();
  if (windlass_load_sample(engine_, &load, &bytes, &error) == WINDLASS_OK) {
    auto report = proto::decode<proto::LoadReport>({static_cast<const char*>(bytes.data), bytes.count});
    if (report) {
      sample->report = std::move(*report);
    } else {
      sample->report.degraded.push_back("load: " + report.error().message);
    }
  } else {
    sample->report.degraded.push_back(std::string("load: ") + error.message);
  }
  sample->at = Clock::now();
  sample->seconds = std::chrono::duration<double>(sample->at - began).count();
  const std::lock_guard lock(mutex_);
  sample->number = latest_ ? latest_->number + 1 : 1;
  latest_ = std::move(sample);
}

void Sampler::work() {
  Time next = Clock::now() + period_;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_until(lock, next, [this] { return stop_; })) return;
    }
    take();
    next = std::max(next + period_, Clock::now());
  }
}

}  // namespace windlass::worker
