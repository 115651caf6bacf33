#include "plugin/load/pressure.hpp"

#include <optional>

#include "plugin/load/text.hpp"

namespace windlass::load {
namespace {

std::optional<double> average(const std::vector<std::string_view>& fields, std::string_view key) {
  for (const std::string_view field : fields) {
    if (field.starts_with(key)) return real_of(field.substr(key.size()));
  }
  return std::nullopt;
}

// Lines "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and "full ..."; old kernels have no "full" for cpu.
std::optional<Pressure> parse(std::string_view text) {
  Pressure pressure;
  bool some = false;
  for (const std::string_view line : lines_of(text)) {
    const auto fields = fields_of(line);
    if (fields.empty()) continue;
    const auto avg10 = average(fields, "avg10=");
    const auto avg60 = average(fields, "avg60=");
    if (!avg10 || !avg60) return std::nullopt;
    if (fields[0] == "some") {
      pressure.some_avg10 = *avg10;
      pressure.some_avg60 = *avg60;
      some = true;
    } else if (fields[0] == "full") {
      pressure.full_avg10 = *avg10;
      pressure.full_avg60 = *avg60;
    }
  }
  return some ? std::optional(pressure) : std::nullopt;
}

}  // namespace

std::map<std::string, Pressure> read_pressure(const std::string& proc, std::vector<std::string>& degraded) {
  std::map<std::string, Pressure> found;
  std::string missing;
  for (const char* resource : {"cpu", "memory", "io"}) {
    const auto text = read_file(proc + "/pressure/" + resource);
    if (const auto pressure = text ? parse(*text) : std::nullopt) {
      found[resource] = *pressure;
    } else {
      missing += (missing.empty() ? "" : ", ") + std::string(resource);
    }
  }
  if (!missing.empty()) degraded.push_back("psi: " + proc + "/pressure tells nothing of " + missing);
  return found;
}

}  // namespace windlass::load
