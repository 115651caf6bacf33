#include "worker/bridge/offer_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "plugin/include/windlass/windlass.h"
#include "proto/bounded.hpp"
#include "proto/limits.hpp"

namespace windlass::worker {
namespace {

using proto::Kind;
using proto::Reader;

constexpr std::string_view kFields[] = {"devices", "labels", "name", "node", "only", "price", "resources", "staged"};
constexpr double kPriceMax = 9.2e12;
constexpr std::size_t kShownMax = 60;
constexpr std::size_t kMisspeltMax = 2;  // letters

constexpr const char* kAmount = "a number from 0 to 9.2e14, without quotes";
constexpr const char* kShare = "a list of free shares, each a number from 0 to 1";
constexpr const char* kValue = "a text (a number with a point is one in quotes), true, false or a whole number";
constexpr const char* kCondition =
    "a value, a list of values, or a map of in: [values], not_in: [values], exists: true or false, min: number, max: "
    "number";

// Takes the value.
std::string shown(Reader& reader) {
  switch (reader.kind()) {
    case Kind::str:
      return fmt::format("\"{}\"", reader.str().substr(0, kShownMax));
    case Kind::boolean:
      return reader.boolean() ? "true" : "false";
    case Kind::integer:
      return fmt::format("{}", reader.integer());
    case Kind::number:
      return fmt::format("{}", reader.number());
    default:
      const char* what = name_of(reader.kind());
      reader.skip();
      return what;
  }
}

// How many letters to change, add or leave out to make one of the other.
std::size_t letters_apart(std::string_view one, std::string_view other) {
  std::vector<std::size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::size_t corner = std::exchange(row[0], i + 1);
    for (std::size_t k = 0; k < other.size(); ++k) {
      const std::size_t changed = corner + (one[i] == other[k] ? 0 : 1);
      corner = row[k + 1];
      row[k + 1] = std::min({changed, row[k] + 1, corner + 1});
    }
  }
  return row.back();
}

std::string no_field(std::string_view key) {
  std::string said = "is no field; beside `resources` there may be";
  std::string hint;
  for (const std::string_view field : kFields) {
    said += fmt::format("{} {}", field == kFields[0] ? "" : ",", field);
    if (key.size() < kShownMax && letters_apart(key, field) <= kMisspeltMax)
      hint = fmt::format("; is {} meant?", field);
  }
  return said + hint;
}

class Check {
 public:
  Check(const std::string& name, OfferDimensions& known) : name_(name), known_(known) {}

  std::optional<std::string> run(std::string_view record) {
    bool has_resources = false;
    Reader first(record);
    proto::read_map(first, [&](std::string_view key) {
      if (key == "resources") has_resources = first.kind() != Kind::nil;
      return false;
    });
    Reader reader(record);
    proto::read_map(reader, [&](std::string_view key) {
      field(reader, key, has_resources);
      return true;
    });
    for (const std::string& kind : kinds_) {
      if (amounts_.contains(kind)) wrong("devices." + kind, "is an amount of this record, too");
    }
    if (fault_.empty() && reader.failed()) fault_ = reader.fault();
    if (fault_.empty()) beside_others();
    return fault_.empty() ? std::nullopt : std::optional(fault_);
  }

 private:
  // Only the first is told.
  void wrong(const std::string& field, const std::string& what) {
    if (fault_.empty()) fault_ = field.substr(0, 2 * kShownMax) + " " + what;
  }
  void refuse(Reader& reader, const std::string& field, const char* allowed) {
    const std::string value = shown(reader);
    wrong(field, fmt::format("is {}; allowed is {}", value, allowed));
  }

  // The entries of a map, those that are null left out; what is absent has none.
  template <class Take>
  void entries(Reader& reader, const std::string& field, const char* allowed, Take take) {
    if (reader.take_nil()) return;
    if (reader.kind() != Kind::map) return refuse(reader, field, allowed);
    proto::read_map(reader, [&](std::string_view key) {
      if (key.empty()) wrong(field, "has an empty key");
      if (!reader.take_nil()) take(std::string(key));
      return true;
    });
  }

  void field(Reader& reader, std::string_view key, bool has_resources) {
    const std::string name(key);
    if (key == "resources") {
      entries(reader, name, "a map of dimensions to amounts",
              [&](const std::string& dimension) { amount(reader, dimension); });
    } else if (key == "labels") {
      entries(reader, name, "a map of keys to values",
              [&](const std::string& label) { value(reader, "labels." + label); });
    } else if (key == "only") {
      entries(reader, name, "a map of keys to conditions",
              [&](const std::string& tag) { condition(reader, "only." + tag); });
    } else if (key == "devices") {
      entries(reader, name, "a map of kinds to lists of shares",
              [&](const std::string& kind) { shares(reader, kind); });
    } else if (key == "staged") {
      staged(reader);
    } else if (key == "price") {
      price(reader);
    } else if (key == "node" || key == "name") {
      machine(reader, name);
    } else if (key.empty()) {
      refuse(reader, "an empty key", "none");
    } else if (reader.take_nil()) {
      return;
    } else if (has_resources) {
      reader.skip();
      wrong(name, no_field(key));
    } else {
      amount(reader, name);
    }
  }

  void amount(Reader& reader, const std::string& dimension) {
    amounts_.insert(dimension);
    if (!is_cut(reader, WINDLASS_CUT_OFFER)) refuse(reader, dimension, kAmount);
  }
  void shares(Reader& reader, const std::string& kind) {
    kinds_.insert(kind);
    if (reader.kind() != Kind::array) return refuse(reader, "devices." + kind, kShare);
    proto::read_array(reader, [&](std::size_t) {
      if (!is_cut(reader, WINDLASS_CUT_SHARE)) refuse(reader, "devices." + kind, kShare);
    });
  }
  // Takes a number that has an amount, or leaves what is there.
  static bool is_cut(Reader& reader, windlass_cut_kind kind) {
    const Reader before = reader;
    if (reader.kind() != Kind::integer && reader.kind() != Kind::number) return false;
    const double value = reader.number();
    std::int64_t amount = 0;
    if (!std::isnan(value) && windlass_cut_amounts(&value, 1, kind, &amount, nullptr) == WINDLASS_OK) return true;
    reader = before;
    return false;
  }

  // Takes a whole number that fits, or leaves what is there.
  static bool is_whole(Reader& reader) {
    const Reader before = reader;
    if (reader.kind() == Kind::integer) {
      reader.integer();
      if (!reader.failed()) return true;
    } else if (reader.kind() == Kind::number) {
      const double value = reader.number();
      if (std::rint(value) == value && value >= -0x1p63 && value < 0x1p63) return true;
    }
    reader = before;
    return false;
  }
  void value(Reader& reader, const std::string& field) {
    if (reader.kind() == Kind::str || reader.kind() == Kind::boolean) return reader.skip();
    if (!is_whole(reader)) refuse(reader, field, kValue);
  }
  void values(Reader& reader, const std::string& field) {
    if (reader.kind() != Kind::array) return refuse(reader, field, "a list of values");
    proto::read_array(reader, [&](std::size_t) { value(reader, field); });
  }
  void condition(Reader& reader, const std::string& field) {
    if (reader.kind() == Kind::array) return values(reader, field);
    if (reader.kind() != Kind::map) return value(reader, field);
    proto::read_map(reader, [&](std::string_view part) {
      const std::string where = fmt::format("{}.{}", field, part);
      const bool lists = part == "in" || part == "not_in";
      if (!lists && part != "exists" && part != "min" && part != "max") {
        refuse(reader, where, kCondition);
      } else if (reader.take_nil()) {
        return true;
      } else if (lists) {
        values(reader, where);
      } else if (part == "exists") {
        if (reader.kind() != Kind::boolean)
          refuse(reader, where, "true or false");
        else
          reader.skip();
      } else if (!is_whole(reader)) {
        refuse(reader, where, "a whole number");
      }
      return true;
    });
  }

  void staged(Reader& reader) {
    constexpr const char* kIds = "a list of ids, or a map whose keys are ids: texts that are not empty";
    if (reader.take_nil()) return;
    if (reader.kind() == Kind::map) {
      return proto::read_map(reader, [&](std::string_view id) {
        if (id.empty()) wrong("staged", "has an empty id");
        return false;
      });
    }
    if (reader.kind() != Kind::array) return refuse(reader, "staged", kIds);
    proto::read_array(reader, [&](std::size_t) {
      if (reader.kind() != Kind::str) return refuse(reader, "staged", kIds);
      if (reader.str().empty()) wrong("staged", "has an empty id");
    });
  }
  void price(Reader& reader) {
    if (reader.take_nil()) return;
    const Reader before = reader;
    if (reader.kind() == Kind::integer || reader.kind() == Kind::number) {
      const double value = reader.number();
      if (value >= 0 && value <= kPriceMax) return;
      reader = before;
    }
    refuse(reader, "price", "a number from 0 to 9.2e12");
  }
  void machine(Reader& reader, const std::string& field) {
    if (reader.take_nil()) return;
    const Kind kind = reader.kind();
    if (kind == Kind::str) {
      if (reader.str().empty()) wrong(field, "is empty");
    } else if (kind == Kind::array || kind == Kind::map || kind == Kind::bin) {
      refuse(reader, field, "a text that is not empty");
    } else {
      reader.skip();
    }
  }

  void beside_others() {
    for (const std::string& dimension : amounts_) {
      if (const auto other = known_.kinds.find(dimension); other != known_.kinds.end())
        return wrong(dimension, fmt::format("is an amount, but stands under `devices` of {}", other->second));
    }
    for (const std::string& kind : kinds_) {
      if (const auto other = known_.amounts.find(kind); other != known_.amounts.end())
        return wrong("devices." + kind,
                     fmt::format("is an amount of {}: one or the other in all records", other->second));
    }
    for (const std::string& dimension : amounts_) known_.amounts.emplace(dimension, name_);
    for (const std::string& kind : kinds_) known_.kinds.emplace(kind, name_);
    const std::size_t count = known_.amounts.size() + known_.kinds.size();
    if (count > proto::kDimensionsMax)
      wrong(name_, fmt::format("makes {} dimensions of all records, device kinds included; {} are allowed", count,
                               proto::kDimensionsMax));
  }

  const std::string& name_;
  OfferDimensions& known_;
  std::set<std::string> amounts_, kinds_;
  std::string fault_;
};

}  // namespace

std::optional<std::string> offer_fault(std::string_view record, const std::string& name, OfferDimensions& known) {
  return Check(name, known).run(record);
}

}  // namespace windlass::worker
