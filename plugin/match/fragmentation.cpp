#include "plugin/match/fragmentation.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "plugin/match/amounts.hpp"

namespace windlass::match {
namespace {

constexpr size_t kShapes = 64;                    // part of the definition
constexpr size_t kAnswersKept = size_t{1} << 22;  // 64 MiB

Wide floor_divided(Wide a, Wide b) {
  const Wide quotient = a / b;
  return a % b < 0 ? quotient - 1 : quotient;
}

}  // namespace

Fragmentation::Fragmentation(const Problem& problem, const Scoring& scoring, const Devices& devices)
    : problem_(problem),
      scoring_(scoring),
      kinds_(devices.kinds()),
      known_(problem.offers, false),
      after_(kinds_),
      left_(problem.dimensions) {
  number_demands();
  choose_shapes(devices);
  before_.resize(problem.offers * kinds_);
  remembered_ = std::min(example_.size(), kAnswersKept / std::max<size_t>(problem.offers, 1));
  answers_.resize(problem.offers * remembered_);
}

void Fragmentation::number_demands() {
  std::map<std::vector<int64_t>, int32_t> numbers;
  std::vector<int64_t> amounts(problem_.dimensions);
  demand_of_.reserve(problem_.tasks);
  for (size_t task = 0; task < problem_.tasks; ++task) {
    for (size_t d = 0; d < problem_.dimensions; ++d) amounts[d] = problem_.task_amount(task, d);
    const auto [at, fresh] = numbers.try_emplace(amounts, static_cast<int32_t>(example_.size()));
    if (fresh) {
      example_.push_back(static_cast<int32_t>(task));
      count_.push_back(0);
    }
    ++count_[at->second];
    demand_of_.push_back(at->second);
  }
}

void Fragmentation::choose_shapes(const Devices& devices) {
  std::vector<int32_t> order;
  for (size_t demand = 0; demand < example_.size(); ++demand) {
    bool asks = false;
    for (size_t kind = 0; kind < kinds_; ++kind) {
      asks = asks || problem_.task_amount(example_[demand], devices.dimension(kind)) > 0;
    }
    if (asks) order.push_back(static_cast<int32_t>(demand));
  }
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return count_[a] > count_[b]; });
  if (order.size() > kShapes) order.resize(kShapes);
  for (const int32_t demand : order) {
    for (size_t d = 0; d < problem_.dimensions; ++d) {
      shape_amounts_.push_back(problem_.task_amount(example_[demand], d));
    }
    shape_count_.push_back(count_[demand]);
    total_ += count_[demand];
  }
}

bool Fragmentation::fits(size_t shape, std::span<const int64_t> has, int32_t offer, const Devices& devices) const {
  const std::span<const int64_t> wanted = std::span(shape_amounts_).subspan(shape * has.size(), has.size());
  for (size_t d = 0; d < has.size(); ++d) {
    if (wanted[d] > has[d] && !devices.has(d)) return false;
  }
  return devices.fits(offer, wanted);
}

void Fragmentation::weigh(std::span<const int64_t> has, int32_t offer, const Devices& devices,
                          std::span<Wide> sums) const {
  std::fill(sums.begin(), sums.end(), 0);
  for (size_t shape = 0; shape < shape_count_.size(); ++shape) {
    const bool usable = fits(shape, has, offer, devices);
    for (size_t kind = 0; kind < kinds_; ++kind) {
      const int64_t share = shape_amounts_[shape * has.size() + devices.dimension(kind)];
      if (share == 0) continue;
      int64_t lost = 0;
      for (const int64_t free : devices.free(kind, offer)) {
        if (!usable || free < std::min(share, kUnit)) lost += free;
      }
      sums[kind] += static_cast<Wide>(shape_count_[shape]) * lost;
    }
  }
}

Wide Fragmentation::computed(int32_t offer, std::span<const int64_t> has, std::span<const int64_t> wanted,
                             Devices& devices) {
  const std::span<Wide> before = std::span(before_).subspan(static_cast<size_t>(offer) * kinds_, kinds_);
  if (!known_[offer]) {
    weigh(has, offer, devices, before);
    known_[offer] = true;
  }
  for (size_t d = 0; d < has.size(); ++d) left_[d] = has[d] - wanted[d];
  const std::vector<Device> held = devices.place(offer, wanted);
  weigh(left_, offer, devices, after_);
  devices.undo(offer, wanted, held);
  Wide sum = 0;
  for (size_t kind = 0; kind < kinds_; ++kind) {
    const int32_t d = devices.dimension(kind);
    if (scoring_.largest[d] == 0) continue;
    const Wide part = (after_[kind] - before[kind]) * (Wide{1} << 40);
    sum += scoring_.weight_q[d] * floor_divided(part, total_ * scoring_.largest[d]);
  }
  return sum;
}

Wide Fragmentation::increase(int32_t task, int32_t offer, std::span<const int64_t> has, std::span<const int64_t> wanted,
                             Devices& devices) {
  if (shape_count_.empty()) return 0;
  const auto demand = static_cast<size_t>(demand_of_[task]);
  if (demand >= remembered_) return computed(offer, has, wanted, devices);
  std::optional<int64_t>& answer = answers_[static_cast<size_t>(offer) * remembered_ + demand];
  if (answer) return *answer;
  const Wide sum = computed(offer, has, wanted, devices);
  constexpr Wide most = std::numeric_limits<int64_t>::max();
  if (sum >= -most && sum <= most) answer = static_cast<int64_t>(sum);
  return sum;
}

void Fragmentation::changed(int32_t offer) {
  known_[offer] = false;
  const auto begin = answers_.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(offer) * remembered_);
  std::fill(begin, begin + static_cast<ptrdiff_t>(remembered_), std::nullopt);
}

}  // namespace windlass::match
