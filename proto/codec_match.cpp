#include <algorithm>

#include "proto/codec_parts.hpp"

namespace windlass::proto {
namespace {

constexpr const char* kModes[] = {"exclusive", "packing"};
constexpr const char* kPolicies[] = {"best_fit", "worst_fit", "dot_product", "cost", "fragmentation"};
constexpr const char* kTies[] = {"stable", "swap_remove"};
constexpr const char* kColumnTypes[] = {"i4", "i8", "u8"};
constexpr std::size_t kFew = 8;                // of what comes in a list, as a rule
constexpr std::uint64_t kRowsMax = INT32_MAX;  // rows are numbered by int32

std::vector<std::int64_t> read_integers(Reader& reader) {
  std::vector<std::int64_t> values;
  if (reader.take_nil()) return values;
  values.reserve(kFew);
  read_array(
      reader, [&](std::size_t) { values.push_back(reader.integer(0)); }, kDimensionsMax);
  return values;
}

bool read_shape(Reader& reader, Match& match, std::string_view key) {
  if (key == "mode") {
    match.mode = static_cast<Mode>(one_of(reader, kModes));
  } else if (key == "policy") {
    match.policy = static_cast<Policy>(one_of(reader, kPolicies));
  } else if (key == "ties") {
    match.ties = static_cast<Ties>(one_of(reader, kTies));
  } else if (key == "normalize") {
    match.normalize = reader.boolean();
  } else if (key == "tasks") {
    match.tasks = reader.unsigned_integer(kRowsMax);
  } else if (key == "offers") {
    match.offers = reader.unsigned_integer(kRowsMax);
  } else if (key == "dimensions") {
    match.dimensions = static_cast<std::uint32_t>(reader.unsigned_integer(kDimensionsMax));
  } else if (key == "weights") {
    match.weights = read_integers(reader);
  } else if (key == "scale") {
    match.scale = read_integers(reader);
  } else if (key == "max_score") {
    match.max_score = optional_of(reader, [&] { return reader.number(); });
  } else if (key == "max_price") {
    if (!reader.take_nil()) match.max_price = reader.integer(-1);
  } else {
    return false;
  }
  return true;
}

bool read_inputs(Reader& reader, Match& match, std::string_view key) {
  if (key == "columns") {
    match.columns = read_columns(reader);
  } else if (key == "task_amounts") {
    match.task_amounts = read_amounts(reader);
  } else if (key == "offer_amounts") {
    match.offer_amounts = read_amounts(reader);
  } else if (key == "priority") {
    match.priority = read_column(reader);
  } else if (key == "price") {
    match.price = read_column(reader);
  } else if (key == "constraints") {
    if (reader.take_nil()) return true;
    if (reader.kind() != Kind::map) reader.fail("a map is wanted here");
    match.constraints = reader.raw();
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool read_match_field(Reader& reader, Match& match, std::string_view key) {
  return read_shape(reader, match, key) || read_inputs(reader, match, key);
}

void check_column(Reader& reader, const std::vector<ColumnSpec>& columns, const char* key, Column column,
                  ColumnSpec wanted) {
  if (!column || reader.failed()) return;
  if (*column >= columns.size()) {
    return reader.fail(std::string(key) + ": there is no column " + std::to_string(*column));
  }
  const ColumnSpec found = columns[*column];
  if (found == wanted) return;
  reader.fail(std::string(key) + ": the column is to be " + kColumnTypes[static_cast<std::size_t>(wanted.type)] +
              " of " + std::to_string(wanted.count) + " entries, not " +
              kColumnTypes[static_cast<std::size_t>(found.type)] + " of " + std::to_string(found.count));
}

namespace {

void check_bare(Reader& reader, const char* rows, std::uint64_t count, const std::vector<Column>& amounts,
                Column other) {
  if (count <= kBareRowsMax || other ||
      std::ranges::any_of(amounts, [](Column column) { return column.has_value(); })) {
    return;
  }
  reader.fail(std::string(rows) + ": " + std::to_string(count) + " rows without a column; at most " +
              std::to_string(kBareRowsMax) + " are served, so send their amounts though they are zero");
}

void check_match(Reader& reader, const Match& match) {
  check_bare(reader, "tasks", match.tasks, match.task_amounts, match.priority);
  check_bare(reader, "offers", match.offers, match.offer_amounts, match.price);
  if (match.task_amounts.size() != match.dimensions || match.offer_amounts.size() != match.dimensions) {
    return reader.fail("task_amounts and offer_amounts are to have one entry per dimension");
  }
  if ((!match.weights.empty() && match.weights.size() != match.dimensions) ||
      (!match.scale.empty() && match.scale.size() != match.dimensions)) {
    return reader.fail("weights and scale are to have one entry per dimension");
  }
  for (const Column column : match.task_amounts) {
    check_column(reader, match.columns, "task_amounts", column, {ColumnType::i8, match.tasks});
  }
  for (const Column column : match.offer_amounts) {
    check_column(reader, match.columns, "offer_amounts", column, {ColumnType::i8, match.offers});
  }
  check_column(reader, match.columns, "priority", match.priority, {ColumnType::i4, match.tasks});
  check_column(reader, match.columns, "price", match.price, {ColumnType::i8, match.offers});
}

void read_match(Reader& reader, Match& match) {
  bool has_tasks = false;
  bool has_offers = false;
  read_map(reader, [&](std::string_view key) {
    has_tasks = has_tasks || key == "tasks";
    has_offers = has_offers || key == "offers";
    return read_match_field(reader, match, key);
  });
  if (!has_tasks || !has_offers) reader.fail("a MATCH needs tasks and offers");
  if (!reader.failed()) check_match(reader, match);
}

void read_match_result(Reader& reader, MatchResult& result) {
  const std::pair<const char*, Column*> columns[] = {{"offer_index", &result.offer_index},
                                                     {"order", &result.order},
                                                     {"score_high", &result.score_high},
                                                     {"score_low", &result.score_low},
                                                     {"price_added", &result.price_added},
                                                     {"device_begin", &result.device_begin},
                                                     {"device_dimension", &result.device_dimension},
                                                     {"device_index", &result.device_index},
                                                     {"offer_number", &result.offer_number}};
  read_map(reader, [&](std::string_view key) {
    if (key == "placed") {
      result.placed = reader.unsigned_integer();
    } else if (key == "version") {
      result.version = reader.unsigned_integer();
    } else if (key == "engine") {
      result.engine = reader.str(kNameBytesMax);
    } else if (key == "columns") {
      result.columns = read_columns(reader);
    } else {
      for (const auto& [name, column] : columns) {
        if (key != name) continue;
        *column = read_column(reader);
        return true;
      }
      return false;
    }
    return true;
  });
}

}  // namespace

void write_options(Writer& writer, const Match& body) {
  writer.str("mode").str(kModes[static_cast<std::size_t>(body.mode)]);
  writer.str("policy").str(kPolicies[static_cast<std::size_t>(body.policy)]);
  writer.str("ties").str(kTies[static_cast<std::size_t>(body.ties)]);
  writer.str("normalize").boolean(body.normalize);
}

void write_amounts(Writer& writer, const std::vector<Column>& columns) {
  writer.array(columns.size());
  for (const Column column : columns) write_column(writer, column);
}

void write_integers(Writer& writer, const char* key, const std::vector<std::int64_t>& values) {
  if (values.empty()) return;
  writer.str(key).array(values.size());
  for (const std::int64_t value : values) writer.integer(value);
}

Column read_column(Reader& reader) {
  return optional_of(reader, [&] { return static_cast<std::uint32_t>(reader.unsigned_integer(kColumnsMax - 1)); });
}

std::vector<Column> read_amounts(Reader& reader) {
  std::vector<Column> columns;
  columns.reserve(kFew);
  read_array(
      reader, [&](std::size_t) { columns.push_back(read_column(reader)); }, kDimensionsMax);
  return columns;
}

std::vector<ColumnSpec> read_columns(Reader& reader) {
  std::vector<ColumnSpec> columns;
  columns.reserve(kFew);
  read_array(
      reader,
      [&](std::size_t) {
        if (reader.array(2) != 2) reader.fail("[type, count] is wanted here");
        ColumnSpec column;
        column.type = static_cast<ColumnType>(one_of(reader, kColumnTypes));
        column.count = reader.unsigned_integer(kColumnBytesMax / bytes_of(column.type));
        columns.push_back(column);
      },
      kColumnsMax);
  return columns;
}

void write_column(Writer& writer, Column column) {
  column ? writer.unsigned_integer(*column) : writer.nil();
}

void write_columns(Writer& writer, const std::vector<ColumnSpec>& columns) {
  writer.str("columns").array(columns.size());
  for (const ColumnSpec& column : columns) {
    writer.array(2).str(kColumnTypes[static_cast<std::size_t>(column.type)]).unsigned_integer(column.count);
  }
}

template <>
Decoded<Match> decode<Match>(std::string_view frame) {
  return decode_with<Match>(frame, read_match);
}

template <>
Decoded<MatchResult> decode<MatchResult>(std::string_view frame) {
  return decode_with<MatchResult>(frame, read_match_result);
}

std::string encode(const Match& body) {
  Writer writer;
  writer.map(10U + (body.weights.empty() ? 0U : 1U) + (body.scale.empty() ? 0U : 1U) + (body.max_score ? 1U : 0U) +
             (body.max_price >= 0 ? 1U : 0U) + (body.priority ? 1U : 0U) + (body.price ? 1U : 0U) +
             (body.constraints.empty() ? 0U : 1U));
  write_options(writer, body);
  writer.str("tasks").unsigned_integer(body.tasks).str("offers").unsigned_integer(body.offers);
  writer.str("dimensions").unsigned_integer(body.dimensions);
  write_integers(writer, "weights", body.weights);
  write_integers(writer, "scale", body.scale);
  if (body.max_score) writer.str("max_score").number(*body.max_score);
  if (body.max_price >= 0) writer.str("max_price").integer(body.max_price);
  write_columns(writer, body.columns);
  writer.str("task_amounts");
  write_amounts(writer, body.task_amounts);
  writer.str("offer_amounts");
  write_amounts(writer, body.offer_amounts);
  if (body.priority) writer.str("priority").unsigned_integer(*body.priority);
  if (body.price) writer.str("price").unsigned_integer(*body.price);
  if (!body.constraints.empty()) writer.str("constraints").raw(body.constraints);
  return writer.take();
}

std::string encode(const MatchResult& body) {
  const bool of_session = body.version.has_value();
  Writer writer(256);
  writer.map(of_session ? 13 : 11).str("placed").unsigned_integer(body.placed).str("engine").str(body.engine);
  write_columns(writer, body.columns);
  const std::pair<const char*, Column> columns[] = {{"offer_index", body.offer_index},
                                                    {"order", body.order},
                                                    {"score_high", body.score_high},
                                                    {"score_low", body.score_low},
                                                    {"price_added", body.price_added},
                                                    {"device_begin", body.device_begin},
                                                    {"device_dimension", body.device_dimension},
                                                    {"device_index", body.device_index}};
  for (const auto& [key, column] : columns) {
    writer.str(key);
    write_column(writer, column);
  }
  if (of_session) {
    writer.str("offer_number");
    write_column(writer, body.offer_number);
    writer.str("version").unsigned_integer(*body.version);
  }
  return writer.take();
}

std::optional<Fault> check_columns(std::span<const ColumnSpec> columns, std::span<const std::size_t> frame_bytes) {
  if (columns.size() != frame_bytes.size()) {
    return Fault{"columns: " + std::to_string(columns.size()) + " are announced and " +
                 std::to_string(frame_bytes.size()) + " came"};
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::uint64_t bytes = columns[i].count * bytes_of(columns[i].type);
    if (bytes == frame_bytes[i]) continue;
    return Fault{"columns: " + std::to_string(i) + ": " + std::to_string(bytes) + " bytes are announced and " +
                 std::to_string(frame_bytes[i]) + " came"};
  }
  return std::nullopt;
}

}  // namespace windlass::proto
