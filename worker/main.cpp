// windlassd: reads its configuration, serves until a signal, and drains.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <csignal>
#include <cstdio>
#include <variant>

#include "worker/base/command_line.hpp"
#include "worker/base/log.hpp"
#include "worker/bridge/offers.hpp"
#include "worker/core/limits.hpp"
#include "worker/daemon.hpp"

extern char** environ;

namespace {

using namespace windlass::worker;

// Blocked before any thread begins, so that all of them leave the signals to the control thread.
int open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

// As many open files as the system lets us have: each client takes one. Nothing here uses select().
void raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// What a match of some 20,000 tasks takes is not given back to the system after each one and fetched anew, page by
// page, for the next. Larger pieces are.
void keep_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, kKeptPieceMax);
  mallopt(M_TRIM_THRESHOLD, kKeptFreeMax);
#endif
}

int serve(const Start& start) {
  log_configure(start.loaded.config.log);
  raise_open_files();
  keep_memory();
  DaemonOptions options;
  options.config = start.loaded.config;
  options.signal_fd = open_signals();
  options.environment = start.sources.environment;
  options.reload = [sources = start.sources]() -> tl::expected<Config, std::vector<std::string>> {
    auto loaded = load_config(sources);
    if (!loaded) return tl::unexpected(loaded.error());
    return loaded->config;
  };
  auto daemon = Daemon::start(std::move(options));
  if (!daemon) {
    log_error("windlassd cannot begin", {{"why", daemon.error()}});
    return 1;
  }
  std::printf("%s\n", (*daemon)->ready_line().c_str());
  std::fflush(stdout);
  const int code = (*daemon)->run();
  exit_in(kCloseMax, code);
  daemon->reset();
  return code;
}

ConfigErrors check_offers(const LoadedConfig& loaded) {
  const auto offers = load_offers(loaded.config, 1, 1);
  if (offers) return {};
  const auto origin = loaded.origins.find("offers.file");
  return {(origin == loaded.origins.end() ? "default" : origin->second) + ": " + offers.error()};
}

}  // namespace

int main(int argc, char** argv) {
  const auto wish = read_command_line(argc, argv, environ, check_offers);
  if (const auto* exit = std::get_if<Exit>(&wish)) return exit->code;
  return serve(std::get<Start>(wish));
}
