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
  if (const auto known = numbers_.find(text); known != numbers_.end()) return known->second;
  auto number = static_cast<int32_t>(integers_.size());
  if (!spare_.empty()) {
    number = spare_.back();
    spare_.pop_back();
    text = (*kept_)[number] = text;
    integers_[number] = read_integer(text);
  } else {
    if (kept_) text = kept_->emplace_back(text);
    integers_.push_back(read_integer(text));
  }
  numbers_.emplace(text, number);
  return number;
}

void Texts::forget_unused(const std::vector<bool>& used) {
  std::erase_if(numbers_, [&](const auto& entry) { return !used[entry.second]; });
  spare_.clear();
  for (size_t number = 0; number < used.size(); ++number) {
    if (used[number]) continue;
    std::string().swap((*kept_)[number]);
    spare_.push_back(static_cast<int32_t>(number));
  }
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
