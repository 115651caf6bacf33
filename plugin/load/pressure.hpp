// Pressure stall information: the share of time in which tasks waited for a resource.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "plugin/load/report.hpp"

namespace windlass::load {

std::map<std::string, Pressure> read_pressure(const std::string& proc, std::vector<std::string>& degraded);

}  // namespace windlass::load
