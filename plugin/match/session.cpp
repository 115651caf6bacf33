#include "plugin/match/session.hpp"

#include <algorithm>
#include <utility>

#include "plugin/match/amounts.hpp"
#include "plugin/match/validate.hpp"

namespace windlass::match {
namespace {

constexpr int64_t kWeight = 65536;  // where none was given

}  // namespace

Session::Session(const Options& options) : options_(options) {
  texts_.keep();
}

Problem Session::with_options(const Problem& rows) const {
  Problem problem = rows;
  problem.mode = options_.mode;
  problem.policy = options_.policy;
  problem.ties = Ties::stable;
  problem.normalize = options_.normalize;
  problem.max_score = options_.max_score;
  problem.max_price = options_.max_price;
  problem.weights = problem.scale = nullptr;
  return problem;
}

// What tasks ask for is theirs while they are matched; what offers have is kept in sets.
void Session::forget_texts() {
  std::vector<bool> used(texts_.end());
  for (const Labels& set : state_.labels().sets()) {
    for (const auto& [key, value] : set) used[value] = true;
  }
  for (const Conditions& set : state_.only().sets()) {
    for (const auto& [key, condition] : set) {
      for (const int32_t value : condition.in.value_or(std::vector<int32_t>{})) used[value] = true;
      for (const int32_t value : condition.not_in) used[value] = true;
    }
  }
  texts_.forget_unused(used);
  texts_max_ = 2 * texts_.size() + kSpareTexts;
}

Check Session::read(std::string_view bytes, std::span<const Column> columns, const Problem& problem,
                    Constraints& given) {
  if (texts_.size() > texts_max_) forget_texts();
  given.texts = std::move(texts_);
  Check fault = decode_constraints(bytes, columns, problem, given);
  texts_ = std::move(given.texts);
  return fault;
}

std::vector<int32_t> Session::kinds() const {
  std::vector<int32_t> kinds;
  for (size_t d = 0; d < use_.size(); ++d) {
    if (use_[d] == Use::kind) kinds.push_back(static_cast<int32_t>(d));
  }
  return kinds;
}

// Scale and weights with those that the rows bring for new dimensions.
Session::Scale Session::grown(const Problem& rows) const {
  Scale scale = scale_;
  for (size_t d = scale.fixed.size(); d < rows.dimensions; ++d) {
    scale.fixed.push_back(rows.scale ? rows.scale[d] : 0);
    scale.weights.push_back(rows.weights ? rows.weights[d] : kWeight);
    scale.largest.push_back(scale.fixed.back());
  }
  return scale;
}

void Session::grow(const Scale& scale) {
  if (scale.fixed.size() == state_.dimensions()) return;
  scale_ = scale;
  use_.resize(scale.fixed.size(), Use::unknown);
  state_.grow(scale.fixed.size());
  forget_indexes();
}

// M_d comes with the first offers that have any of d; later an offer far above it sets it anew.
void Session::rescale_for(const Change& change) {
  for (size_t d = 0; d < change.rows.dimensions; ++d) {
    const int64_t* column = change.rows.offer_amounts[d];
    if (!column || scale_.fixed[d] > 0) continue;
    int64_t& largest = scale_.largest[d];
    const int64_t before = largest;
    if (largest == 0 && change.rows.offers > 0) largest = *std::max_element(column, column + change.rows.offers);
    for (size_t row = 0; row < change.rows.offers; ++row) {
      if (column[row] > static_cast<Wide>(largest) << 24) largest = column[row];
    }
    if (largest != before) forget_indexes();
  }
}

bool Session::rescale() {
  bool changed = false;
  for (size_t d = 0; d < state_.dimensions(); ++d) {
    if (scale_.fixed[d] > 0) continue;
    int64_t largest = 0;
    for (size_t slot = 0; slot < state_.slots(); ++slot) largest = std::max(largest, state_.record(slot)[d]);
    changed = changed || largest != scale_.largest[d];
    scale_.largest[d] = largest;
  }
  if (changed) forget_indexes();
  return changed;
}

bool Session::offered(size_t slot) const {
  const SessionState::Offer& offer = state_.offer(slot);
  return offer.present && (options_.mode == Mode::packing || offer.held == 0);
}

// Adds and updates; those to be added get their slots.
void Session::take_rows(const Change& change, std::span<int32_t> slots) {
  constexpr size_t kAhead = 8;  // rows whose memory is on its way
  for (size_t row = 0; row < slots.size(); ++row) {
    if (row + kAhead < slots.size() && slots[row + kAhead] >= 0) state_.prefetch(slots[row + kAhead]);
    const SessionState::Record record{change.rows, change.given, row};
    if (row < change.adds) {
      slots[row] = state_.add(change.numbers[row], record);
    } else {
      state_.update(slots[row], record);
    }
  }
}

void Session::refresh_index(std::span<const int32_t> slots) {
  if (!indexes_[0].index && !indexes_[1].index) return;
  std::vector<bool> offers(slots.size());
  for (size_t at = 0; at < slots.size(); ++at) offers[at] = offered(slots[at]);
  for (const Kept& kept : indexes_) {
    if (kept.index) kept.index->refresh(slots, offers);
  }
}

Check Session::apply(const Change& change, Applied& applied) {
  // Weights and scale of new dimensions must be right before they are taken.
  Scale scale = grown(change.rows);
  std::vector<int32_t> slots;
  if (Check fault = check_change(change, scale, slots)) return fault;
  grow(scale);
  std::vector<int32_t> touched;
  for (const int64_t number : change.releases) {
    const int32_t slot = state_.release(number);
    if (slot < 0) continue;
    touched.push_back(slot);
    ++applied.released;
  }
  for (const int64_t number : change.removes) {
    const int32_t slot = state_.slot_of(number);
    if (slot < 0) continue;
    state_.remove(slot);
    touched.push_back(slot);
    ++applied.removed;
  }
  if (change.given) {
    for (const DeviceKind& kind : change.given->devices) use_[kind.dimension] = Use::kind;
  }
  take_rows(change, slots);
  touched.insert(touched.end(), slots.begin(), slots.end());
  for (size_t d = 0; d < change.rows.dimensions; ++d) {
    const int64_t* column = change.rows.offer_amounts[d];
    const bool any = column && std::any_of(column, column + change.rows.offers, [](int64_t x) { return x > 0; });
    if (any && use_[d] == Use::unknown) use_[d] = Use::amount;
  }
  rescale_for(change);
  const bool rescaled = change.rescale && rescale();
  if (state_.sparse()) {
    state_.compact();
    forget_indexes();
  }
  refresh_index(touched);
  version_ += !touched.empty() || rescaled ? 1 : 0;
  return {};
}

Check Session::match(const Call& call, Answer& answer) {
  if (Check fault = check_call(call)) return fault;
  answer.offer_number.assign(call.tasks.tasks, -1);
  const Asks asks = asks_of(call);
  if (wants_index(call, asks)) {
    match_indexed(call, asks, answer.placement);
  } else if (Check fault = match_anew(call, answer.placement)) {
    return fault;
  }
  answer_places(answer);
  version_ += answer.placement.placed > 0 ? 1 : 0;
  return {};
}

}  // namespace windlass::match
