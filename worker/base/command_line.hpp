// What windlassd's command line asks for.
#pragma once

#include <functional>
#include <variant>

#include "worker/base/config_load.hpp"

namespace windlass::worker {

struct Start {
  LoadedConfig loaded;
  ConfigSources sources;  // for load_config at a reload
};
struct Exit {
  int code;  // 0 done, 1 failed (a config that cannot be used), 2 usage
};

// What --check-config is to look at beside the settings themselves.
using MoreChecks = std::function<ConfigErrors(const LoadedConfig& loaded)>;

// Serves --help, --version, --check-config, --print-config-docs and --print-metrics-docs itself (on stdout, faults on
// stderr) and says how to exit; otherwise answers what to start with.
std::variant<Start, Exit> read_command_line(int argc, const char* const* argv, const char* const* environment,
                                            const MoreChecks& more_checks = {});

}  // namespace windlass::worker
