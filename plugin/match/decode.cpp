#include "plugin/match/decode.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "plugin/match/amounts.hpp"
#include "proto/bounded.hpp"

namespace windlass::match {
namespace {

constexpr int32_t kNumberMax = std::numeric_limits<int32_t>::max() - 1;
constexpr int64_t kWeightMax = int64_t{1} << 30;
constexpr size_t kPreferMax = 64;
// In process a map may be larger than the wire's limit; its columns carry the rows either way.
constexpr proto::ScanLimits kScan{.bytes_max = size_t{1} << 30, .nodes_max = uint64_t{1} << 28};

class Decoder {
 public:
  Decoder(std::string_view bytes, std::span<const Column> columns, const Problem& problem, Constraints& out)
      : reader_(bytes), columns_(columns), problem_(problem), out_(out) {}

  Check run() {
    proto::read_map(reader_, [&](std::string_view key) { return take(key); });
    if (!unknown_.empty()) {
      return unimplemented("constraints." + unknown_, "the constraint '" + unknown_ + "' is not served");
    }
    if (!reader_.failed() && key_max_ >= out_.keys) {
      reader_.fail("label key " + std::to_string(key_max_) + " is not in keys");
    }
    if (!reader_.failed()) return {};
    return invalid(Side::options, -1, "constraints", reader_.fault());
  }

 private:
  bool take(std::string_view key) {
    if (key == "keys") return take_keys();
    if (key == "offer_labels") return take_rows(out_.offer_labels, offers(), [&] { return labels(); });
    if (key == "task_labels") return take_rows(out_.task_labels, tasks(), [&] { return conditions(); });
    if (key == "task_tags") return take_rows(out_.task_tags, tasks(), [&] { return labels(); });
    if (key == "offer_only") return take_rows(out_.offer_only, offers(), [&] { return conditions(); });
    if (key == "prefer") return take_rows(out_.prefer, tasks(), [&] { return preferences(); });
    if (key == "max_per") return take_rows(out_.max_per, tasks(), [&] { return limits(); });
    if (key == "avoid") return take_rows(out_.avoid, tasks(), [&] { return numbers(); });
    if (key == "staged") return take_rows(out_.staged, offers(), [&] { return numbers(); });
    if (key == "inputs") return take_inputs();
    if (key == "node") return take_column(out_.node, offers());
    if (key == "tenant") return take_column(out_.tenant, tasks());
    if (key == "group") return take_column(out_.group, tasks());
    if (key == "gang") return take_column(out_.gang, tasks());
    if (key == "devices") return take_devices();
    if (key == "locality") return out_.locality = weight(), true;
    if (key == "quotas") return take_quotas();
    if (key == "running") return take_running();
    unknown_ = std::string(key);
    return false;
  }

  size_t tasks() const { return problem_.tasks; }
  size_t offers() const { return problem_.offers; }

  int32_t number(int32_t least = 0, int32_t most = kNumberMax) {
    return static_cast<int32_t>(reader_.integer(least, most));
  }
  int32_t dimension() { return number(0, static_cast<int32_t>(problem_.dimensions) - 1); }
  int64_t amount() { return reader_.integer(0, kAmountMax); }
  int32_t text() { return out_.texts.number_of(reader_.str()); }

  int32_t label_key(int32_t least = 0) {
    const int32_t key = number(least);
    key_max_ = std::max(key_max_, key);
    return key;
  }

  int64_t weight() { return reader_.integer(0, kWeightMax); }

  template <typename T>
  std::span<const T> column(ColumnType type, size_t rows) {
    if (columns_.empty()) return reader_.fail("there are no columns"), std::span<const T>{};
    const Column& found = columns_[reader_.unsigned_integer(columns_.size() - 1)];
    if (reader_.failed()) return {};
    if (found.type != type) return reader_.fail("the column has the wrong type"), std::span<const T>{};
    if (rows != SIZE_MAX && found.count != rows) {
      reader_.fail("the column has " + std::to_string(found.count) + " entries, " + std::to_string(rows) + " belong");
      return {};
    }
    return {static_cast<const T*>(found.data), found.count};
  }

  bool take_column(std::span<const int32_t>& into, size_t rows) {
    into = column<int32_t>(ColumnType::i32, rows);
    return true;
  }

  // A map with numbers as keys; `value(key)` reads what belongs to one. Answers it by key, each once.
  template <typename Key, typename Value>
  auto numbered(Key key, Value value) {
    std::vector<std::pair<int32_t, decltype(value())>> entries;
    const size_t count = reader_.map();
    for (size_t i = 0; i < count && !reader_.failed(); ++i) {
      const int32_t found = key();
      entries.emplace_back(found, value());
    }
    const auto by_key = [](const auto& a, const auto& b) { return a.first < b.first; };
    std::sort(entries.begin(), entries.end(), by_key);
    const auto twice = std::adjacent_find(entries.begin(), entries.end(),
                                          [](const auto& a, const auto& b) { return a.first == b.first; });
    if (twice != entries.end() && !reader_.failed()) {
      reader_.fail("the key " + std::to_string(twice->first) + " occurs twice");
    }
    return entries;
  }

  template <typename Element>
  auto list(Element element, size_t count_max = SIZE_MAX) {
    std::vector<decltype(element())> elements;
    proto::read_array(
        reader_, [&](size_t) { elements.push_back(element()); }, count_max);
    return elements;
  }

  template <typename Element>
  auto ascending(Element element) {
    auto elements = list(element);
    std::sort(elements.begin(), elements.end());
    return elements;
  }

  Labels labels() {
    return numbered([&] { return label_key(); }, [&] { return text(); });
  }
  Conditions conditions() {
    return numbered([&] { return label_key(); }, [&] { return condition(); });
  }
  std::vector<std::pair<int32_t, int64_t>> limits() {
    return numbered([&] { return label_key(kNodeKey); }, [&] { return reader_.integer(1); });
  }
  std::vector<std::pair<int32_t, int64_t>> amounts() {
    return numbered([&] { return dimension(); }, [&] { return amount(); });
  }
  std::vector<int32_t> numbers() {
    return ascending([&] { return number(); });
  }

  Condition condition() {
    Condition made;
    proto::read_map(reader_, [&](std::string_view key) {
      if (key == "in") return made.in = ascending([&] { return text(); }), true;
      if (key == "not_in") return made.not_in = ascending([&] { return text(); }), true;
      if (key == "exists") return made.exists = reader_.boolean(), true;
      if (key == "min") return made.min = reader_.integer(), true;
      if (key == "max") return made.max = reader_.integer(), true;
      reader_.fail("a condition has no '" + std::string(key) + "'");
      return true;
    });
    return made;
  }

  std::vector<Preference> preferences() {
    return list(
        [&] {
          Preference made{};
          if (reader_.array(2) != 2 && !reader_.failed()) reader_.fail("a preference is [labels, weight]");
          made.labels = conditions();
          made.weight = weight();
          return made;
        },
        kPreferMax);
  }

  template <typename Set, typename Read>
  bool take_rows(Rows<Set>& rows, size_t count, Read read) {
    proto::read_map(reader_, [&](std::string_view key) {
      if (key == "sets") return rows.sets = list(read), true;
      if (key == "of") return rows.of = column<int32_t>(ColumnType::i32, count), true;
      return take_more(key);
    });
    return true;
  }

  // `inputs` has one key more than the other rows.
  bool take_more(std::string_view key) {
    if (!in_inputs_ || key != "bytes") return reader_.fail("unknown key '" + std::string(key) + "'"), true;
    out_.input_bytes = column<int64_t>(ColumnType::i64, SIZE_MAX);
    return true;
  }

  bool take_inputs() {
    in_inputs_ = true;
    take_rows(out_.inputs, tasks(), [&] { return numbers(); });
    in_inputs_ = false;
    return true;
  }

  bool take_keys() {
    out_.keys = static_cast<int32_t>(list([&] { return reader_.str(); }).size());
    return true;
  }

  bool take_devices() {
    out_.devices = list([&] {
      DeviceKind kind{};
      proto::read_map(reader_, [&](std::string_view key) {
        if (key == "dimension") return kind.dimension = dimension(), true;
        if (key == "begin") return kind.begin = column<int64_t>(ColumnType::i64, offers() + 1), true;
        if (key == "shares") return kind.shares = column<int64_t>(ColumnType::i64, SIZE_MAX), true;
        return reader_.fail("unknown key '" + std::string(key) + "'"), true;
      });
      if (kind.begin.empty() && !reader_.failed()) reader_.fail("begin is missing");
      return kind;
    });
    return true;
  }

  bool take_quotas() {
    out_.quotas = list([&] {
      Quota quota{};
      if (reader_.array(2) != 2 && !reader_.failed()) reader_.fail("a quota is [tenant, {dimension: cap}]");
      quota.tenant = number();
      quota.caps = amounts();
      return quota;
    });
    return true;
  }

  bool take_running() {
    out_.running = list([&] {
      Running made;
      proto::read_map(reader_, [&](std::string_view key) {
        if (key == "node") return made.node = number(-1), true;
        if (key == "tenant") return made.tenant = number(), true;
        if (key == "group") return made.group = number(-1), true;
        if (key == "avoid") return made.avoid = numbers(), true;
        if (key == "amounts") return made.amounts = amounts(), true;
        if (key == "labels") return made.labels = labels(), true;
        return reader_.fail("unknown key '" + std::string(key) + "'"), true;
      });
      return made;
    });
    return true;
  }

  proto::Reader reader_;
  std::span<const Column> columns_;
  const Problem& problem_;
  Constraints& out_;
  std::string unknown_;
  int32_t key_max_ = -1;
  bool in_inputs_ = false;
};

}  // namespace

Check decode_constraints(std::string_view bytes, std::span<const Column> columns, const Problem& problem,
                         Constraints& constraints) {
  if (const auto fault = proto::scan(bytes, kScan)) return invalid(Side::options, -1, "constraints", *fault);
  return Decoder(bytes, columns, problem, constraints).run();
}

}  // namespace windlass::match
