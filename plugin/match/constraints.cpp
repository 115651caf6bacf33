#include "plugin/match/constraints.hpp"

#include <algorithm>
#include <charconv>

namespace windlass::match {

std::optional<int64_t> read_integer(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

int32_t Texts::number_of(std::string_view text) {
  if (kept_) {
    const auto known = numbers_.find(text);
    if (known != numbers_.end()) return known->second;
    text = kept_->emplace_back(text);
  }
  const auto [at, fresh] = numbers_.try_emplace(text, static_cast<int32_t>(integers_.size()));
  if (fresh) integers_.push_back(read_integer(text));
  return at->second;
}

int32_t value_of(const Labels& labels, int32_t key) {
  const auto at = std::lower_bound(labels.begin(), labels.end(), key,
                                   [](const auto& label, int32_t wanted) { return label.first < wanted; });
  return at != labels.end() && at->first == key ? at->second : -1;
}

namespace {

bool contains(const std::vector<int32_t>& ascending, int32_t value) {
  return std::binary_search(ascending.begin(), ascending.end(), value);
}

bool holds(const Condition& condition, int32_t value, const Texts& texts) {
  if (value < 0) {  // the key is missing
    return !condition.in && !condition.min && !condition.max && !condition.exists.value_or(false);
  }
  if (!condition.exists.value_or(true)) return false;
  if (condition.in && !contains(*condition.in, value)) return false;
  if (contains(condition.not_in, value)) return false;
  if (!condition.min && !condition.max) return true;
  const std::optional<int64_t> number = texts.integer(value);
  if (!number) return false;
  return (!condition.min || *number >= *condition.min) && (!condition.max || *number <= *condition.max);
}

}  // namespace

bool holds(const Conditions& conditions, const Labels& labels, const Texts& texts) {
  return std::all_of(conditions.begin(), conditions.end(),
                     [&](const auto& entry) { return holds(entry.second, value_of(labels, entry.first), texts); });
}

}  // namespace windlass::match
