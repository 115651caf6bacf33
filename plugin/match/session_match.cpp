// One call of a session: its tasks against what is left of its offers, by the same engines as a call without a session.
#include <algorithm>
#include <utility>

#include "plugin/match/session.hpp"
#include "plugin/match/turns.hpp"

namespace windlass::match {

namespace {

bool any(std::span<const int32_t> column) {
  return std::any_of(column.begin(), column.end(), [](int32_t number) { return number >= 0; });
}

// More than labels. Tenants alone tell only whose a task is; tags are looked at where an offer asks for some.
bool asks_more(const Constraints& given) {
  return any(given.prefer.of) || any(given.max_per.of) || any(given.avoid.of) || any(given.inputs.of) ||
         any(given.group) || any(given.gang) || !given.devices.empty() || !given.quotas.empty();
}

}  // namespace

// A problem of the call's tasks and the offers that are left, with what it points to.
struct Session::Merged {
  std::vector<int32_t> slots;  // by offer of the problem
  std::vector<std::vector<int64_t>> amounts;
  std::vector<const int64_t*> offer_amounts, task_amounts;
  std::vector<int64_t> price;
  Constraints given;
  std::vector<int32_t> labels, only, staged, node;
  std::vector<std::vector<int64_t>> begins, shares;
  Problem problem;
};

void Session::merge(const Call& call, Merged& merged) const {
  for (size_t slot = 0; slot < state_.slots(); ++slot) {
    if (offered(slot)) merged.slots.push_back(static_cast<int32_t>(slot));
  }
  const size_t offers = merged.slots.size();
  Problem& problem = merged.problem = with_options(call.tasks);
  problem.offers = offers;
  problem.dimensions = std::max(call.tasks.dimensions, state_.dimensions());
  merged.amounts.resize(state_.dimensions());
  for (size_t d = 0; d < problem.dimensions; ++d) {
    merged.task_amounts.push_back(d < call.tasks.dimensions ? call.tasks.task_amounts[d] : nullptr);
    if (d >= state_.dimensions()) {
      merged.offer_amounts.push_back(nullptr);
      continue;
    }
    merged.amounts[d].reserve(offers + 1);
    for (const int32_t slot : merged.slots) merged.amounts[d].push_back(state_.free(slot)[d]);
    merged.offer_amounts.push_back(merged.amounts[d].data());
  }
  for (const int32_t slot : merged.slots) {
    const SessionState::Offer& offer = state_.offer(slot);
    const bool dear = options_.max_price && offer.price > *options_.max_price;
    const bool paid = options_.policy == Policy::cost && options_.mode == Mode::packing && offer.held > 0;
    merged.price.push_back(paid && !dear ? 0 : offer.price);
  }
  problem.task_amounts = merged.task_amounts.data();
  problem.offer_amounts = merged.offer_amounts.data();
  problem.price = merged.price.data();
}

Session::Asks Session::asks_of(const Call& call) const {
  if (call.given && asks_more(*call.given)) return Asks::more;
  for (size_t d = 0; d < std::min(use_.size(), call.tasks.dimensions); ++d) {
    const int64_t* column = call.tasks.task_amounts[d];
    if (use_[d] != Use::kind || !column) continue;
    if (std::any_of(column, column + call.tasks.tasks, [](int64_t share) { return share > 0; })) return Asks::more;
  }
  const bool labels = !state_.only().empty() || (call.given && any(call.given->task_labels.of));
  return labels ? Asks::labels : Asks::amounts;
}

void Session::merge_constraints(const Call& call, Merged& merged) const {
  Constraints& given = merged.given;
  if (call.given) given = *call.given;
  for (const int32_t slot : merged.slots) {
    const SessionState::Offer& offer = state_.offer(slot);
    merged.labels.push_back(offer.labels);
    merged.only.push_back(offer.only);
    merged.staged.push_back(offer.staged);
    merged.node.push_back(offer.node);
  }
  given.offer_labels = {state_.labels().sets(), merged.labels};
  given.offer_only = {state_.only().sets(), merged.only};
  given.staged = {state_.staged().sets(), merged.staged};
  given.node = merged.node;
  std::vector<int32_t> kinds = this->kinds();
  for (const DeviceKind& kind : given.devices) kinds.push_back(kind.dimension);
  std::sort(kinds.begin(), kinds.end());
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  given.devices.clear();
  merged.begins.reserve(kinds.size());
  merged.shares.reserve(kinds.size());
  for (const int32_t dimension : kinds) {
    std::vector<int64_t>& begin = merged.begins.emplace_back(1, 0);
    std::vector<int64_t>& shares = merged.shares.emplace_back();
    for (const int32_t slot : merged.slots) {
      state_.add_free_shares(slot, dimension, shares);
      begin.push_back(static_cast<int64_t>(shares.size()));
    }
    given.devices.push_back({dimension, begin, shares});
  }
  add_running(given, given.running);
}

// What this session has placed earlier counts for quotas and groups as what runs elsewhere does.
void Session::add_running(const Constraints& given, std::vector<Running>& running) const {
  const bool members = !given.max_per.of.empty() || !given.avoid.of.empty();
  const bool avoiders = !given.group.empty();
  const bool quotas = !given.quotas.empty();
  if (!members && !avoiders && !quotas) return;
  for (size_t at = 0; at < state_.tasks().size(); ++at) {
    const SessionState::Task& task = state_.tasks()[at];
    if (task.slot < 0) continue;
    if (!quotas && !(members && task.group >= 0) && !(avoiders && !task.avoid.empty())) continue;
    const SessionState::Offer& offer = state_.offer(task.slot);
    Running made{.node = offer.node, .tenant = task.tenant, .group = task.group, .avoid = task.avoid};
    if (const Labels* labels = state_.labels().at(offer.labels)) made.labels = *labels;
    const int64_t* amounts = state_.amounts(at);
    for (size_t d = 0; quotas && d < state_.dimensions(); ++d) {
      if (amounts[d] > 0) made.amounts.emplace_back(static_cast<int32_t>(d), amounts[d]);
    }
    running.push_back(std::move(made));
  }
}

Check Session::match_anew(const Call& call, Placement& placement) {
  Merged merged;
  merge(call, merged);
  std::vector<int64_t> scale = scale_.largest, weights = scale_.weights;
  scale.resize(merged.problem.dimensions, 0);
  weights.resize(merged.problem.dimensions, 0);
  merged.problem.scale = scale.data();
  merged.problem.weights = weights.data();
  const bool rules = asks_of(call) != Asks::amounts;
  if (rules) {
    merge_constraints(call, merged);
    merged.given.texts = std::move(texts_);
    merged.problem.constraints = &merged.given;
  }
  Check fault = windlass::match::match(merged.problem, options_.engine, placement);
  if (rules) texts_ = std::move(merged.given.texts);
  if (fault) return fault;
  std::vector<int64_t> amounts(merged.problem.dimensions);
  for (size_t task = 0; task < call.tasks.tasks; ++task) {
    int32_t& index = placement.offer_index[task];
    if (index < 0) continue;
    index = merged.slots[index];
    for (size_t d = 0; d < call.tasks.dimensions; ++d) amounts[d] = call.tasks.task_amount(task, d);
    hold(call, placement, task, index, amounts.data());
  }
  return {};
}

// An index serves what neither constraints nor the policy keep from it. It is made anew once far more tasks come than
// it was shaped by, and let go once many calls had no use for it.
bool Session::wants_index(const Call& call, Asks asks) {
  constexpr size_t kIdleMax = 16;
  for (Kept& kept : indexes_) {
    if (kept.index && ++kept.idle > kIdleMax) kept = {};
  }
  if (options_.engine == EngineChoice::scalar || of_products(options_.policy) || asks == Asks::more) return false;
  if (state_.dimensions() == 0 || state_.present() == 0 || call.tasks.tasks == 0) return false;
  Kept& kept = indexes_[static_cast<size_t>(asks)];
  if (!kept.index || kept.index->sampled() * 4 < call.tasks.tasks) {
    kept.index.reset();  // one at a time
    kept.index = made_index(call, asks == Asks::labels);
  }
  kept.idle = 0;
  return true;
}

std::unique_ptr<SessionIndex> Session::made_index(const Call& call, bool by_labels) const {
  Problem problem = with_options(call.tasks);
  std::vector<const int64_t*> tasks, offers;
  std::vector<std::vector<int64_t>> free(state_.dimensions());  // for samples to be drawn from
  for (size_t d = 0; d < state_.dimensions(); ++d) {
    tasks.push_back(d < call.tasks.dimensions ? call.tasks.task_amounts[d] : nullptr);
    free[d].reserve(state_.slots());
    for (size_t slot = 0; slot < state_.slots(); ++slot) free[d].push_back(state_.free(slot)[d]);
    offers.push_back(free[d].data());
  }
  problem.offers = state_.slots();
  problem.dimensions = state_.dimensions();
  problem.task_amounts = tasks.data();
  problem.offer_amounts = offers.data();
  problem.scale = scale_.largest.data();
  problem.weights = scale_.weights.data();
  auto index = std::make_unique<SessionIndex>(state_, problem, by_labels);
  std::vector<bool> offered_slots(state_.slots());
  for (size_t slot = 0; slot < state_.slots(); ++slot) offered_slots[slot] = offered(slot);
  index->fill(offered_slots);
  return index;
}

void Session::match_indexed(const Call& call, Asks asks, Placement& placement) {
  SessionIndex& index = *indexes_[static_cast<size_t>(asks)].index;
  SessionLabels labels(call.given, state_, texts_);
  SessionLabels* asked = asks == Asks::labels ? &labels : nullptr;
  const Problem problem = with_options(call.tasks);
  placement.engine = kernel().engine;
  placement.resize(problem.tasks, problem.policy == Policy::cost);
  Turns turns = turns_of(problem, {});
  std::vector<int64_t> wanted(std::max(problem.dimensions, state_.dimensions()));
  const auto beyond = wanted.begin() + static_cast<ptrdiff_t>(state_.dimensions());  // what no offer ever had
  index.begin_call();
  for (const int32_t task : turns.order) {
    for (size_t d = 0; d < problem.dimensions; ++d) wanted[d] = problem.task_amount(task, d);
    if (std::any_of(beyond, wanted.end(), [](int64_t amount) { return amount > 0; })) continue;
    labels.turn(task);
    const SessionIndex::Found found = index.best(wanted.data(), asked);
    if (found.slot < 0) continue;
    state_.prefetch(found.slot);
    placement.put(task, found.slot, found.score);
    if (problem.policy == Policy::cost) placement.price_added[task] = found.price;
    ++placement.placed;
    hold(call, placement, task, found.slot, wanted.data());
  }
  placement.order = std::move(turns.order);
}

// `amounts`: what the task asks for, by dimension of the state.
void Session::hold(const Call& call, const Placement& placement, size_t task, int32_t slot, const int64_t* amounts) {
  SessionState::Task held{.number = call.numbers[task], .slot = slot};
  if (call.given) {
    held.tenant = call.given->tenant_of(task);
    held.group = call.given->group_of(task);
    if (const auto* avoid = call.given->avoid.set(task)) held.avoid = *avoid;
  }
  if (!placement.device_begin.empty()) {
    for (int64_t at = placement.device_begin[task]; at < placement.device_begin[task + 1]; ++at) {
      held.devices.push_back({placement.device_dimension[at], placement.device_index[at]});
    }
  }
  state_.hold(std::move(held), amounts);
  for (const Kept& kept : indexes_) {
    if (kept.index) kept.index->refresh(slot, offered(slot));
  }
}

// The placement names slots; the answer names places and numbers.
void Session::answer_places(Answer& answer) {
  Placement& placement = answer.placement;
  const bool gaps = state_.present() < state_.slots();
  const std::vector<int32_t> places = gaps ? state_.places() : std::vector<int32_t>{};
  for (size_t task = 0; task < placement.offer_index.size(); ++task) {
    const int32_t slot = placement.offer_index[task];
    if (slot < 0) continue;
    placement.offer_index[task] = gaps ? places[slot] : slot;
    answer.offer_number[task] = state_.offer(slot).number;
  }
}

}  // namespace windlass::match
