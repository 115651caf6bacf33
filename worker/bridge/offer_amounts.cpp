#include "worker/bridge/offer_amounts.hpp"

#include <algorithm>
#include <cmath>

#include "plugin/include/windlass/windlass.h"
#include "proto/bounded.hpp"

namespace windlass::worker {
namespace {

using proto::Kind;
using proto::Reader;

constexpr std::string_view kFields[] = {"name", "resources", "labels", "only", "node", "devices", "price", "staged"};

std::int64_t cut(Reader& reader, windlass_cut_kind kind) {
  const Kind next = reader.kind();
  if (next != Kind::integer && next != Kind::number) {
    reader.skip();
    return 0;
  }
  const double value = reader.number();
  std::int64_t amount = 0;
  if (windlass_cut_amounts(&value, 1, kind, &amount, nullptr) != WINDLASS_OK) return 0;
  return amount;
}

void read_resources(Reader& reader, OfferAmounts& offer) {
  if (reader.kind() != Kind::map) return reader.skip();
  proto::read_map(reader, [&](std::string_view name) {
    offer.amounts[std::string(name)] = cut(reader, WINDLASS_CUT_OFFER);
    return true;
  });
}

void read_devices(Reader& reader, OfferAmounts& offer) {
  if (reader.kind() != Kind::map) return reader.skip();
  proto::read_map(reader, [&](std::string_view kind) {
    if (reader.kind() != Kind::array) return false;
    auto& shares = offer.devices[std::string(kind)];
    proto::read_array(reader, [&](std::size_t) { shares.push_back(cut(reader, WINDLASS_CUT_SHARE)); });
    return true;
  });
}

}  // namespace

OfferAmounts amounts_of_offer(std::string_view record) {
  OfferAmounts offer;
  OfferAmounts loose;  // keys that are dimensions where there is no `resources`
  bool has_resources = false;
  Reader reader(record);
  proto::read_map(reader, [&](std::string_view key) {
    if (key == "name" && reader.kind() == Kind::str) {
      offer.name = reader.str();
    } else if (key == "resources" && reader.kind() == Kind::map) {
      has_resources = true;
      read_resources(reader, offer);
    } else if (key == "devices") {
      read_devices(reader, offer);
    } else if (std::find(std::begin(kFields), std::end(kFields), key) == std::end(kFields)) {
      loose.amounts[std::string(key)] = cut(reader, WINDLASS_CUT_OFFER);
    } else {
      return false;
    }
    return true;
  });
  if (!has_resources) offer.amounts = std::move(loose.amounts);
  return offer;
}

}  // namespace windlass::worker
