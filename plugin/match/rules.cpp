#include "plugin/match/rules.hpp"

#include <algorithm>

namespace windlass::match {
namespace {

const Labels kNoLabels;

const Labels& labels_of(const Rows<Labels>& rows, int32_t row) {
  const Labels* labels = rows.set(row);
  return labels ? *labels : kNoLabels;
}

}  // namespace

Rules::Rules(const Problem& problem, const Constraints& given, Wide one)
    : problem_(problem), given_(given), step_(one >> 16), devices_(given.devices), groups_(given), quotas_(given) {
  if (!devices_.none()) held_.resize(problem.tasks);
}

bool Rules::quota_allows(int32_t task, std::span<const int64_t> wanted) const {
  return quotas_.none() || quotas_.allows(given_.tenant_of(task), wanted);
}

bool Rules::labels_admit(int32_t task, int32_t offer) {
  if (const Conditions* required = given_.task_labels.set(task)) {
    const bool held = by_label_.get(
        given_.task_labels.number(task), given_.offer_labels.number(offer), given_.offer_labels.sets.size(),
        [&] { return holds(*required, labels_of(given_.offer_labels, offer), given_.texts); });
    if (!held) return false;
  }
  const Conditions* only = given_.offer_only.set(offer);
  if (!only) return true;
  return by_tag_.get(given_.task_tags.number(task), given_.offer_only.number(offer), given_.offer_only.sets.size(),
                     [&] { return holds(*only, labels_of(given_.task_tags, task), given_.texts); });
}

bool Rules::admits(int32_t task, int32_t offer, std::span<const int64_t> wanted) {
  if (!labels_admit(task, offer)) return false;
  if (!groups_.none() && !groups_.admits(task, offer)) return false;
  return devices_.none() || devices_.fits(offer, wanted);
}

Wide Rules::preference_penalty(int32_t task, int32_t offer) {
  const std::vector<Preference>* preferences = given_.prefer.set(task);
  if (!preferences) return 0;
  return by_preference_.get(given_.prefer.number(task), given_.offer_labels.number(offer),
                            given_.offer_labels.sets.size(), [&] {
                              Wide sum = 0;
                              const Labels& labels = labels_of(given_.offer_labels, offer);
                              for (const Preference& preference : *preferences) {
                                if (!holds(preference.labels, labels, given_.texts)) sum += preference.weight;
                              }
                              return sum * step_;
                            });
}

Wide Rules::locality_penalty(int32_t task, int32_t offer) {
  const std::vector<int32_t>* inputs = given_.inputs.set(task);
  if (!inputs || given_.locality == 0) return 0;
  return by_input_.get(given_.inputs.number(task), given_.staged.number(offer), given_.staged.sets.size(), [&] {
    const std::vector<int32_t>* staged = given_.staged.set(offer);
    int64_t all = 0, missing = 0;
    for (const int32_t id : *inputs) {
      all += given_.input_bytes[id];
      if (!staged || !std::binary_search(staged->begin(), staged->end(), id)) missing += given_.input_bytes[id];
    }
    return all == 0 ? Wide{0} : static_cast<Wide>(missing) * given_.locality / all * step_;
  });
}

Wide Rules::penalty(int32_t task, int32_t offer) {
  return preference_penalty(task, offer) + locality_penalty(task, offer);
}

void Rules::place(int32_t task, int32_t offer, std::span<const int64_t> wanted) {
  if (!devices_.none()) held_[task] = devices_.place(offer, wanted);
  if (!groups_.none()) groups_.count(task, offer, +1);
  quotas_.count(given_.tenant_of(task), wanted, +1);
}

void Rules::undo(int32_t task, int32_t offer, std::span<const int64_t> wanted) {
  if (!devices_.none()) {
    devices_.undo(offer, wanted, held_[task]);
    held_[task].clear();
  }
  if (!groups_.none()) groups_.count(task, offer, -1);
  quotas_.count(given_.tenant_of(task), wanted, -1);
}

void Rules::write_devices(Placement& placement) const {
  const bool asked = std::any_of(given_.devices.begin(), given_.devices.end(), [&](const DeviceKind& kind) {
    const int64_t* column = problem_.task_amounts[kind.dimension];
    return column && std::any_of(column, column + problem_.tasks, [](int64_t share) { return share > 0; });
  });
  if (!asked) return;
  placement.device_begin.push_back(0);
  for (const std::vector<Device>& devices : held_) {
    for (const Device& device : devices) {
      placement.device_dimension.push_back(device.dimension);
      placement.device_index.push_back(device.index);
    }
    placement.device_begin.push_back(static_cast<int64_t>(placement.device_index.size()));
  }
}

}  // namespace windlass::match
