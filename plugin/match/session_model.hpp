// The slow side of the sessions' test: plain records and placed tasks, and the random calls that both sides get.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "plugin/match/session.hpp"
#include "plugin/match/testing.hpp"

namespace windlass::match::session_model {

inline constexpr const char* kTexts[] = {"a", "b", "7"};
inline constexpr size_t kKind = 0;  // the dimension of devices, where the case has some

struct Record {
  int64_t number = 0;
  std::vector<int64_t> amounts{};
  int64_t price = -1;
  int32_t node = -1;
  int32_t labels = -1, only = -1, staged = -1;  // of the case's sets
  std::vector<int64_t> shares{};
};

struct Placed {
  int64_t offer = 0;
  std::vector<int64_t> amounts;
  std::vector<int32_t> devices;
  int32_t tenant = 0, group = -1, avoid = -1;
};

// What all calls of one case share.
struct Kit {
  Session::Options options;
  bool constrained = false, devices = false, nodes = false;
  bool labels_alone = false;  // of what tasks may ask for beside amounts
  std::vector<Labels> labels = {{{0, 0}}, {{0, 1}, {1, 2}}, {{1, 0}}};
  std::vector<Conditions> conditions;
  std::vector<std::vector<int32_t>> avoid = {{0}, {1, 2}}, ids = {{0}, {1, 2}};
  std::vector<std::vector<std::pair<int32_t, int64_t>>> max_per = {{{kNodeKey, 1}}, {{0, 2}}};
  std::vector<int64_t> bytes = {10, 0, 1'000};
  std::vector<int64_t> weights, scale;
};

struct TaskRow {
  int64_t number;
  std::vector<int64_t> amounts;
  int32_t priority, labels, tags, tenant, group, max_per, avoid, gang, inputs;
};

class Model {
 public:
  explicit Model(const Kit& kit) : kit_(kit) {}

  std::vector<Record> offers;  // in tie order
  std::map<int64_t, Placed> placed;
  std::vector<int64_t> largest;
  uint64_t version = 0;

  Record* find(int64_t number) {
    for (Record& record : offers) {
      if (record.number == number) return &record;
    }
    return nullptr;
  }
  void put(const Record& record) {
    if (Record* old = find(record.number)) {
      *old = record;
      for (auto& [number, task] : placed) {
        if (task.offer != record.number) continue;
        std::erase_if(task.devices, [&](int32_t at) { return at >= static_cast<int32_t>(record.shares.size()); });
      }
    } else {
      offers.push_back(record);
    }
  }
  bool remove(int64_t number) {
    std::erase_if(placed, [&](const auto& entry) { return entry.second.offer == number; });
    return std::erase_if(offers, [&](const Record& record) { return record.number == number; }) > 0;
  }
  int held(int64_t offer) const {
    int count = 0;
    for (const auto& [number, task] : placed) count += task.offer == offer ? 1 : 0;
    return count;
  }
  void note_scale(const std::vector<Record>& given) {
    const std::vector<int64_t> before = largest;
    for (size_t d = 0; d < largest.size(); ++d) {
      if (kit_.scale[d] > 0) continue;
      for (const Record& record : given) {
        if (before[d] == 0) largest[d] = std::max(largest[d], record.amounts[d]);
      }
      for (const Record& record : given) {
        if (record.amounts[d] > static_cast<Wide>(largest[d]) << 24) largest[d] = record.amounts[d];
      }
    }
  }
  bool rescale() {
    const std::vector<int64_t> before = largest;
    for (size_t d = 0; d < largest.size(); ++d) {
      if (kit_.scale[d] > 0) continue;
      largest[d] = 0;
      for (const Record& record : offers) largest[d] = std::max(largest[d], record.amounts[d]);
    }
    return largest != before;
  }
  std::vector<int64_t> free_shares(const Record& record) const {
    std::vector<int64_t> shares = record.shares;
    for (const auto& [number, task] : placed) {
      if (task.offer != record.number) continue;
      for (const int32_t at : task.devices) shares[at] -= std::min<int64_t>(task.amounts[kKind], 10'000);
    }
    for (int64_t& share : shares) share = std::max<int64_t>(share, 0);
    return shares;
  }
  int64_t free(const Record& record, size_t d) const {
    int64_t amount = record.amounts[d];
    if (kit_.devices && d == kKind) {
      amount = 0;
      for (const int64_t share : free_shares(record)) amount += share;
      return amount;
    }
    for (const auto& [number, task] : placed) {
      if (task.offer == record.number) amount -= task.amounts[d];
    }
    return std::max<int64_t>(amount, 0);
  }

 private:
  const Kit& kit_;
};

class Case {
 public:
  explicit Case(uint64_t seed) : random_(seed) {
    constexpr Policy kPolicies[] = {Policy::best_fit, Policy::worst_fit, Policy::cost, Policy::dot_product};
    kit.options.policy = kPolicies[below(4)];
    kit.options.mode = one_in(2) ? Mode::packing : Mode::exclusive;
    kit.options.normalize = kit.options.policy == Policy::dot_product || !one_in(4);
    if (kit.options.policy != Policy::cost && one_in(4)) {
      kit.options.max_score = static_cast<double>(below(2'000) - 500) / (kit.options.normalize ? 500.0 : 0.01);
    }
    if (one_in(4)) kit.options.max_price = below(5);
    if (one_in(6)) kit.options.engine = EngineChoice::scalar;
    kit.constrained = one_in(2);
    kit.devices = kit.constrained && one_in(2);
    kit.nodes = one_in(2);
    kit.labels_alone = kit.constrained && !kit.devices && one_in(2);
    dimensions_ = static_cast<size_t>(below(4) + 1);
    kind_ = below(4);
    kit.weights.assign(dimensions_, 65'536);
    kit.scale.assign(dimensions_, 0);
    for (int64_t& weight : kit.weights) weight = one_in(3) ? below(200'000) : weight;
    for (int64_t& scale : kit.scale) scale = one_in(6) ? below(100'000) + 1 : 0;
    Texts texts;
    for (const char* text : kTexts) texts.number_of(text);
    kit.conditions = {{{0, Condition{.in = std::vector<int32_t>{0}}}}, {{1, Condition{.not_in = {0}, .max = 9}}}};
  }

  int64_t below(int64_t end) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(end)); }
  bool one_in(int64_t n) { return below(n) == 0; }
  int32_t set(size_t count) { return static_cast<int32_t>(below(static_cast<int64_t>(count) + 1)) - 1; }

  int64_t amount(bool offer) {
    const int64_t size = offer ? 3 : 1;
    if (kind_ == 0) return below(3) * size;
    if (kind_ == 1) return (int64_t{1} << below(6)) * size;
    if (kind_ == 2 && offer) return one_in(8) ? below(100) << 32 : below(1'000);  // far above the scale
    return below(1'000) * size;
  }

  Record record(int64_t number) {
    Record made{.number = number};
    for (size_t d = 0; d < dimensions_; ++d) made.amounts.push_back(amount(true));
    made.price = below(6);
    made.node = kit.nodes ? static_cast<int32_t>(below(5)) : -1;
    if (kit.constrained) {
      made.labels = set(kit.labels.size());
      made.only = one_in(3) ? set(kit.conditions.size()) : -1;
      made.staged = set(kit.ids.size());
    }
    if (kit.devices) {
      made.amounts[kKind] = 0;
      for (int64_t left = below(5); left > 0; --left) made.shares.push_back(one_in(2) ? 10'000 : below(10'001));
      for (const int64_t share : made.shares) made.amounts[kKind] += share;
    }
    return made;
  }

  TaskRow task(int64_t number) {
    TaskRow made{number, {}, static_cast<int32_t>(below(3)), -1, -1, 0, -1, -1, -1, -1, -1};
    for (size_t d = 0; d < dimensions_; ++d) made.amounts.push_back(amount(false));
    if (!kit.constrained) return made;
    if (kit.devices) made.amounts[kKind] = one_in(3) ? below(3) * 10'000 : below(3) * 3'000;
    made.labels = one_in(2) ? set(kit.conditions.size()) : -1;
    made.tags = set(kit.labels.size());
    made.tenant = static_cast<int32_t>(below(2));
    if (kit.labels_alone) return made;
    made.group = static_cast<int32_t>(below(3));
    made.max_per = one_in(2) ? set(kit.max_per.size()) : -1;
    made.avoid = one_in(3) ? set(kit.avoid.size()) : -1;
    if (one_in(4)) {
      made.gang = 0;
      made.priority = 0;
    }
    made.inputs = set(kit.ids.size());
    return made;
  }

  size_t dimensions() const { return dimensions_; }
  Kit kit;

 private:
  std::mt19937_64 random_;
  size_t dimensions_ = 1;
  int64_t kind_ = 0;
};

// Columns and constraints of some rows, as either side of the test wants them.
struct RowColumns : TestProblem {
  std::span<const int32_t> add(std::vector<int32_t> column) { return rows.emplace_back(std::move(column)); }
  std::span<const int64_t> add(std::vector<int64_t> column) { return wides.emplace_back(std::move(column)); }

  template <typename Row, typename Get>
  std::span<const int32_t> of(const std::vector<Row>& all, Get get) {
    std::vector<int32_t> column;
    for (const Row& row : all) column.push_back(get(row));
    return add(std::move(column));
  }

  void take_offers(const Kit& kit, const std::vector<Record>& records) {
    for (const Record& record : records) {
      for (size_t d = 0; d < offers.size(); ++d) offers[d].push_back(record.amounts[d]);
      price.push_back(record.price);
    }
    given.keys = 2;
    if (kit.nodes) given.node = of(records, [](const Record& r) { return r.node; });
    if (!kit.constrained) return;
    given.offer_labels = {kit.labels, of(records, [](const Record& r) { return r.labels; })};
    given.offer_only = {kit.conditions, of(records, [](const Record& r) { return r.only; })};
    given.staged = {kit.ids, of(records, [](const Record& r) { return r.staged; })};
    if (!kit.devices) return;
    std::vector<int64_t> begin = {0}, shares;
    for (const Record& record : records) {
      shares.insert(shares.end(), record.shares.begin(), record.shares.end());
      begin.push_back(static_cast<int64_t>(shares.size()));
    }
    given.devices = {{static_cast<int32_t>(kKind), add(begin), add(shares)}};
  }

  void take_tasks(const Kit& kit, const std::vector<TaskRow>& all) {
    for (const TaskRow& row : all) {
      for (size_t d = 0; d < tasks.size(); ++d) tasks[d].push_back(row.amounts[d]);
      priority.push_back(row.priority);
    }
    if (!kit.constrained) {  // whose a task is asks nothing of offers
      given.tenant = of(all, [](const TaskRow& r) { return r.priority; });
      return;
    }
    given.keys = 2;
    given.task_labels = {kit.conditions, of(all, [](const TaskRow& r) { return r.labels; })};
    given.task_tags = {kit.labels, of(all, [](const TaskRow& r) { return r.tags; })};
    given.tenant = of(all, [](const TaskRow& r) { return r.tenant; });
    if (kit.labels_alone) return;
    given.prefer = {{{{kit.conditions[0], 70'000}}}, of(all, [](const TaskRow& r) { return std::min(r.labels, 0); })};
    given.group = of(all, [](const TaskRow& r) { return r.group; });
    given.max_per = {kit.max_per, of(all, [](const TaskRow& r) { return r.max_per; })};
    given.avoid = {kit.avoid, of(all, [](const TaskRow& r) { return r.avoid; })};
    given.inputs = {kit.ids, of(all, [](const TaskRow& r) { return r.inputs; })};
    given.input_bytes = kit.bytes;
    given.quotas = {{0, {{0, 30'000}}}, {1, {{0, 500}}}};
    if (std::any_of(all.begin(), all.end(), [](const TaskRow& r) { return r.gang >= 0; })) {
      given.gang = of(all, [](const TaskRow& r) { return r.gang; });
    }
  }
};

}  // namespace windlass::match::session_model
