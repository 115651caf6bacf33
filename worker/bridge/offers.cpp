#include "worker/bridge/offers.hpp"

#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>

#include "proto/limits.hpp"
#include "proto/writer.hpp"
#include "worker/base/yaml_document.hpp"
#include "worker/bridge/offer_check.hpp"

namespace windlass::worker {
namespace {

constexpr std::size_t kOffersMax = 10'000;
constexpr std::size_t kFileBytesMax = 8U << 20U;

struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class Number>
std::optional<Number> number_of(const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [at, fault] = std::from_chars(text.data(), end, value);
  if (fault != std::errc() || at != end || text.empty()) return std::nullopt;
  return value;
}

void write_scalar(proto::Writer& writer, const YAML::Node& node) {
  const std::string text = node.Scalar();
  if (node.Tag() == "!") {  // quoted
    writer.str(text);
  } else if (const auto integer = number_of<std::int64_t>(text)) {
    writer.integer(*integer);
  } else if (text == "true" || text == "false") {
    writer.boolean(text == "true");
  } else if (const auto real = number_of<double>(text); real && std::isfinite(*real)) {
    writer.number(*real);
  } else {
    writer.str(text);
  }
}

std::string key_of(const YAML::Node& key, std::set<std::string>& seen, const std::string& where) {
  if (!key.IsScalar()) throw Wrong(where + ": a key is to be a word");
  if (!seen.insert(key.Scalar()).second) throw Wrong(where + ": the key " + key.Scalar() + " stands there twice");
  return key.Scalar();
}

void write_value(proto::Writer& writer, const YAML::Node& node, const std::string& where, std::size_t depth) {
  if (depth > proto::kDepthMax / 2) throw Wrong(where + " is nested too deeply");
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return write_scalar(writer, node);
    case YAML::NodeType::Sequence:
      writer.array(node.size());
      for (const auto& element : node) write_value(writer, element, where, depth + 1);
      return;
    case YAML::NodeType::Map: {
      writer.map(node.size());
      std::set<std::string> seen;
      for (const auto& entry : node) {
        const std::string key = key_of(entry.first, seen, where);
        writer.str(key);
        write_value(writer, entry.second, where + "." + key, depth + 1);
      }
      return;
    }
    default:
      writer.nil();
  }
}

void write_labels(proto::Writer& writer, const YAML::Node& own, const NodeConfig& node, const std::string& where) {
  if (own && !own.IsNull() && !own.IsMap()) throw Wrong(where + ".labels is to be a map");
  const bool has_own = own && own.IsMap();
  std::vector<std::pair<std::string, std::string>> added;
  for (const auto& [key, value] : node.labels) {
    if (!has_own || !own[key]) added.emplace_back(key, value);
  }
  writer.str("labels").map((has_own ? own.size() : 0) + added.size());
  if (has_own) {
    std::set<std::string> seen;
    for (const auto& entry : own) {
      writer.str(key_of(entry.first, seen, where + ".labels"));
      write_value(writer, entry.second, where + ".labels", 1);
    }
  }
  for (const auto& [key, value] : added) writer.str(key).str(value);
}

bool is_told(const YAML::Node& record, const char* key) {
  return record[key] && !record[key].IsNull();
}

std::string record_of(const YAML::Node& record, const std::string& name, const NodeConfig& node,
                      const std::string& where) {
  if (!record.IsMap()) throw Wrong(where + " is to be a map of fields");
  const bool placed = is_told(record, "node");
  const bool priced = is_told(record, "price") || !node.price;
  const std::set<std::string> instead = {"name", "labels", placed ? "labels" : "node", priced ? "labels" : "price"};
  std::size_t own = 0;
  for (const auto& entry : record) own += entry.first.IsScalar() && instead.contains(entry.first.Scalar()) ? 0 : 1;
  proto::Writer writer;
  writer.map(own + 2 + (placed ? 0 : 1) + (priced ? 0 : 1)).str("name").str(name);
  if (!placed) writer.str("node").str(node.name);
  if (!priced) writer.str("price").number(*node.price);
  std::set<std::string> seen;
  for (const auto& entry : record) {
    const std::string key = key_of(entry.first, seen, where);
    if (instead.contains(key)) continue;
    writer.str(key);
    write_value(writer, entry.second, where + "." + key, 1);
  }
  write_labels(writer, record["labels"], node, where);
  return writer.take();
}

std::string name_of(const YAML::Node& record, std::size_t k, std::size_t count, const NodeConfig& node) {
  if (!record.IsMap() || !is_told(record, "name")) {
    return count == 1 ? node.name : node.name + "/" + std::to_string(k);
  }
  if (!record["name"].IsScalar()) throw Wrong("record " + std::to_string(k) + ".name is to be a text");
  return record["name"].Scalar();
}

std::vector<std::string> records_of(const std::string& text, const NodeConfig& node) {
  const YAML::Node list = load_document(text);
  if (!list.IsSequence()) throw Wrong("a list of records is wanted");
  if (list.size() > kOffersMax) throw Wrong("at most " + std::to_string(kOffersMax) + " records are allowed");
  std::vector<std::string> records;
  std::set<std::string> names;
  OfferDimensions dimensions;
  for (std::size_t k = 0; k < list.size(); ++k) {
    const std::string name = name_of(list[k], k, list.size(), node);
    const std::string where = "record " + std::to_string(k) + " (" + name + ")";
    if (!names.insert(name).second) throw Wrong(where + ": the name stands there twice");
    if (name != node.name && !name.starts_with(node.name + "/")) {
      throw Wrong(where + ".name is to be " + node.name + ", this node's, or to begin with " + node.name + "/");
    }
    records.push_back(record_of(list[k], name, node, where));
    if (const auto fault = offer_fault(records.back(), name, dimensions)) throw Wrong(where + ": " + *fault);
  }
  return records;
}

std::string own_offer(const NodeConfig& node, double cores, std::uint64_t memory_bytes) {
  proto::Writer writer;
  writer.map(node.price ? 5 : 4).str("name").str(node.name).str("resources").map(2);
  writer.str("cpu").number(cores).str("memory").number(static_cast<double>(memory_bytes));
  writer.str("labels").map(node.labels.size());
  for (const auto& [key, value] : node.labels) writer.str(key).str(value);
  writer.str("node").str(node.name);
  if (node.price) writer.str("price").number(*node.price);
  return writer.take();
}

}  // namespace

tl::expected<std::vector<std::string>, std::string> parse_offers(const std::string& text, const NodeConfig& node) {
  try {
    return records_of(text, node);
  } catch (const YAML::Exception& fault) {
    return tl::unexpected("line " + std::to_string(fault.mark.line + 1) + ": " + fault.msg);
  } catch (const Wrong& fault) {
    return tl::unexpected(std::string(fault.what()));
  }
}

tl::expected<std::vector<std::string>, std::string> load_offers(const Config& config, double cores,
                                                                std::uint64_t memory_bytes) {
  const std::string& file = config.offers.file;
  if (file.empty()) return std::vector<std::string>{own_offer(config.node, cores, memory_bytes)};
  std::ifstream stream(file, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.eof() || stream.bad()) {
    return tl::unexpected("offers.file " + file + " cannot be read, or is beyond " + std::to_string(kFileBytesMax) +
                          " bytes");
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  auto offers = parse_offers(text, config.node);
  if (!offers) return tl::unexpected("offers.file " + file + ": " + offers.error());
  return offers;
}

}  // namespace windlass::worker
