#include "plugin/load/roots.hpp"

#include <sys/statvfs.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <limits>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

namespace windlass::load {

int stat_root_statvfs(const std::string& path, RootSpace& space) {
  struct statvfs stat {};
  while (::statvfs(path.c_str(), &stat) != 0) {
    if (errno != EINTR) return errno;
  }
  space.free_bytes = static_cast<std::uint64_t>(stat.f_bavail) * stat.f_frsize;
  space.free_inodes =
      stat.f_files == 0 ? static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) : stat.f_favail;
  return 0;
}

// One folder and the thread that asks for it.
class Roots::Probe {
 public:
  struct Answer {
    int fault;
    RootSpace space;
  };

  Probe(std::string path, StatRoot stat) : path_(std::move(path)), shared_(std::make_shared<Shared>()) {
    thread_ = std::thread(serve, shared_, path_, std::move(stat));
  }
  ~Probe() {
    bool idle = false;
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->stop = true;
      idle = !shared_->asking;
    }
    shared_->changed.notify_all();
    idle ? thread_.join() : thread_.detach();
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  const std::string& path() const { return path_; }

  // While an earlier question hangs no second is asked.
  void ask() {
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->asking = true;
    }
    shared_->changed.notify_all();
  }
  std::optional<Answer> answer(std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait_until(lock, until, [&] { return !shared_->asking; });
    return shared_->asking ? std::nullopt : std::optional(shared_->answer);
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    bool asking = false;
    bool stop = false;
    Answer answer{};
  };

  static void serve(const std::shared_ptr<Shared>& shared, const std::string& path, const StatRoot& stat) {
    std::unique_lock lock(shared->mutex);
    for (;;) {
      shared->changed.wait(lock, [&] { return shared->asking || shared->stop; });
      if (shared->stop) return;
      lock.unlock();
      Answer answer{};
      answer.fault = stat(path, answer.space);
      lock.lock();
      shared->answer = answer;
      shared->asking = false;
      shared->changed.notify_all();
    }
  }

  std::string path_;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

Roots::Roots(const std::vector<std::string>& paths, const StatRoot& stat, std::chrono::milliseconds wait)
    : wait_(wait) {
  for (const std::string& path : std::set<std::string>(paths.begin(), paths.end())) {
    probes_.push_back(std::make_unique<Probe>(path, stat));
  }
}

Roots::~Roots() = default;

std::map<std::string, RootSpace> Roots::sample(std::vector<std::string>& degraded) {
  std::map<std::string, RootSpace> found;
  for (const auto& probe : probes_) probe->ask();
  const auto until = std::chrono::steady_clock::now() + wait_;
  for (const auto& probe : probes_) {
    const auto answer = probe->answer(until);
    if (!answer) {
      degraded.push_back("roots: the file system of " + probe->path() + " does not answer");
    } else if (answer->fault != 0) {
      degraded.push_back("roots: " + probe->path() + ": " + std::generic_category().message(answer->fault));
    } else {
      found[probe->path()] = answer->space;
    }
  }
  return found;
}

}  // namespace windlass::load
