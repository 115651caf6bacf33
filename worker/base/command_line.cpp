#include "worker/base/command_line.hpp"

#include <cstdio>
#include <string>
#include <string_view>

#include "worker/base/config_docs.hpp"
#include "worker/base/metrics.hpp"

namespace windlass::worker {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

constexpr std::string_view kUsageText =
    "usage: windlassd [--config FILE] [--section.key=VALUE ...]\n"
    "       windlassd --check-config [--config FILE] [--section.key=VALUE ...]\n"
    "       windlassd --help | --version | --print-config-docs | --print-metrics-docs\n";

void print(std::FILE* to, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), to);
  std::fflush(to);
}

struct Asked {
  enum class What { start, check, help, version, config_docs, metrics_docs };
  What what = What::start;
  ConfigSources sources;
  std::string fault;  // not empty: usage
};

Asked::What what_of(std::string_view flag) {
  using What = Asked::What;
  if (flag == "--help" || flag == "-h") return What::help;
  if (flag == "--version") return What::version;
  if (flag == "--check-config") return What::check;
  if (flag == "--print-config-docs") return What::config_docs;
  if (flag == "--print-metrics-docs") return What::metrics_docs;
  return What::start;
}

std::map<std::string, std::string> environment_of(const char* const* environment) {
  std::map<std::string, std::string> found;
  for (; environment && *environment; ++environment) {
    const std::string_view line = *environment;
    const auto equals = line.find('=');
    if (equals != std::string_view::npos) found.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  return found;
}

Asked parse(int argc, const char* const* argv, const char* const* environment) {
  Asked asked;
  asked.sources.environment = environment_of(environment);
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (const auto what = what_of(flag); what != Asked::What::start) {
      asked.what = what;
    } else if (flag.starts_with("--config=")) {
      asked.sources.file = flag.substr(9);
    } else if (flag == "--config") {
      if (++i == argc) {
        asked.fault = "--config: has no value; write --config FILE";
        break;
      }
      asked.sources.file = argv[i];
    } else if (flag.starts_with("--") && flag.substr(0, flag.find('=')).find('.') != std::string_view::npos) {
      asked.sources.flags.emplace_back(flag);
    } else {
      asked.fault = std::string(flag) + ": is no flag; settings are written --section.key=VALUE";
      break;
    }
  }
  return asked;
}

Exit complain(const ConfigErrors& errors) {
  for (const std::string& error : errors) print(stderr, error + "\n");
  return Exit{kFailed};
}

Exit check_config(const LoadedConfig& loaded, const MoreChecks& more_checks) {
  const ConfigErrors errors = more_checks ? more_checks(loaded) : ConfigErrors{};
  if (!errors.empty()) return complain(errors);
  print(stdout, effective_config(loaded));
  return Exit{kDone};
}

}  // namespace

std::variant<Start, Exit> read_command_line(int argc, const char* const* argv, const char* const* environment,
                                            const MoreChecks& more_checks) {
  Asked asked = parse(argc, argv, environment);
  if (!asked.fault.empty()) {
    print(stderr, "windlassd: " + asked.fault + "\n" + std::string(kUsageText));
    return Exit{kUsage};
  }
  using What = Asked::What;
  switch (asked.what) {
    case What::help:
      print(stdout, std::string(kUsageText) +
                        "\nServes matching, staging and load reports on this node.\n\nSettings (also in the file of "
                        "--config, and as "
                        "WINDLASS_SECTION__KEY in the environment):\n" +
                        config_help());
      return Exit{kDone};
    case What::version:
      print(stdout, "windlassd " WINDLASS_VERSION "\n");
      return Exit{kDone};
    case What::config_docs:
      print(stdout, config_docs());
      return Exit{kDone};
    case What::metrics_docs:
      print(stdout, metrics_docs());
      return Exit{kDone};
    case What::check:
    case What::start:
      break;
  }
  auto loaded = load_config(asked.sources);
  if (!loaded) return complain(loaded.error());
  if (asked.what == What::check) return check_config(*loaded, more_checks);
  return Start{std::move(*loaded), std::move(asked.sources)};
}

}  // namespace windlass::worker
