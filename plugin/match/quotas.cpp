#include "plugin/match/quotas.hpp"

#include <algorithm>

namespace windlass::match {

Quotas::Quotas(const Constraints& given) {
  for (const Quota& quota : given.quotas) {
    std::vector<Cap>& caps = tenants_[quota.tenant];
    for (const auto& [dimension, cap] : quota.caps) caps.push_back({dimension, cap, 0});
  }
  for (const Running& running : given.running) {
    const auto tenant = tenants_.find(running.tenant);
    if (tenant == tenants_.end()) continue;
    for (Cap& cap : tenant->second) {
      for (const auto& [dimension, amount] : running.amounts) {
        if (dimension == cap.dimension) cap.held += amount;
      }
    }
  }
}

bool Quotas::allows(int32_t tenant, std::span<const int64_t> wanted) const {
  const auto found = tenants_.find(tenant);
  if (found == tenants_.end()) return true;
  return std::all_of(found->second.begin(), found->second.end(), [&](const Cap& cap) {
    const int64_t amount = wanted[cap.dimension];
    return amount == 0 || amount <= cap.cap - cap.held;
  });
}

void Quotas::count(int32_t tenant, std::span<const int64_t> wanted, int32_t change) {
  const auto found = tenants_.find(tenant);
  if (found == tenants_.end()) return;
  for (Cap& cap : found->second) cap.held += static_cast<Wide>(change) * wanted[cap.dimension];
}

}  // namespace windlass::match
