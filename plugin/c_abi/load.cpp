#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "plugin/c_abi/error.hpp"
#include "plugin/load/sampler.hpp"

struct windlass_load_sampler {
  explicit windlass_load_sampler(windlass::load::Options options) : sampler(std::move(options)) {}

  windlass::load::Sampler sampler;
  std::vector<char> report;
};

namespace {

using windlass::c_abi::fail;
using windlass::c_abi::guarded;

constexpr size_t kRootsMax = 1024;  // each is a thread

windlass_code refuse(windlass_error* error, const char* field, const std::string& message) {
  return fail(error, WINDLASS_INVALID_ARGUMENT, message, {.side = WINDLASS_SIDE_OPTIONS, .field = field});
}

windlass_code open_sampler(const windlass_load_options* given, windlass_load_sampler** sampler, windlass_error* error) {
  if (!sampler) return refuse(error, "sampler", "sampler is NULL; give a place for the handle");
  *sampler = nullptr;
  windlass_load_options known{};
  if (!windlass::c_abi::read_sized(given, sizeof(uint32_t), known)) {
    return refuse(error, "size",
                  "options is NULL, its size is not set, or it asks for what this library does not know; set size to "
                  "sizeof(windlass_load_options)");
  }
  if (known.roots_count > kRootsMax || (known.roots_count > 0 && !known.roots)) {
    return refuse(error, "roots", "roots is NULL or lists more than 1024 folders; list those that are staged to");
  }
  windlass::load::Options options;
  if (known.proc) options.proc = known.proc;
  if (known.sys) options.sys = known.sys;
  for (uint64_t i = 0; i < known.roots_count; ++i) {
    if (!known.roots[i] || known.roots[i][0] != '/') {
      return refuse(error, "roots", "root " + std::to_string(i) + " is no absolute path; give the whole path");
    }
    options.roots.emplace_back(known.roots[i]);
  }
  *sampler = new windlass_load_sampler(std::move(options));
  return WINDLASS_OK;
}

windlass_code sample(windlass_load_sampler& sampler, windlass_load* load, windlass_bytes* report) {
  const auto found = sampler.sampler.sample(windlass::load::Sampler::Clock::now());
  windlass_load filled{};
  filled.cores = found.cores;
  filled.cpu_ratio = found.cpu_ratio;
  filled.memory_available_bytes = found.memory_available_bytes;
  filled.memory_total_bytes = found.memory_total_bytes;
  windlass::c_abi::write_sized(filled, load);
  if (report) {
    windlass::load::pack_report(found, sampler.report);
    *report = {sampler.report.data(), sampler.report.size()};
  }
  return WINDLASS_OK;
}

}  // namespace

extern "C" {

windlass_code windlass_load_open(const windlass_load_options* options, windlass_load_sampler** sampler,
                                 windlass_error* error) {
  return guarded(error, [&] { return open_sampler(options, sampler, error); });
}

windlass_code windlass_load_sample(windlass_load_sampler* sampler, windlass_load* load, windlass_bytes* report,
                                   windlass_error* error) {
  if (!sampler) return refuse(error, "sampler", "sampler is NULL; open one with windlass_load_open");
  return guarded(error, [&] { return sample(*sampler, load, report); });
}

void windlass_load_close(windlass_load_sampler* sampler) {
  delete sampler;
}
}
