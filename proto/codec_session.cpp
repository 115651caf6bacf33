#include "proto/codec_parts.hpp"

namespace windlass::proto {
namespace {

constexpr const char* kOps[] = {"open", "change", "match", "offers", "close"};
constexpr std::uint64_t kRowsMax = INT32_MAX;

template <std::size_t N>
bool read_one_of(Reader& reader, std::string_view key, const std::pair<const char*, Column*> (&columns)[N]) {
  for (const auto& [name, column] : columns) {
    if (key != name) continue;
    *column = read_column(reader);
    return true;
  }
  return false;
}

bool read_change(Reader& reader, Session& session, std::string_view key) {
  const std::pair<const char*, std::uint64_t*> counts[] = {{"adds", &session.adds},
                                                           {"updates", &session.updates},
                                                           {"removes", &session.removes},
                                                           {"releases", &session.releases}};
  for (const auto& [name, count] : counts) {
    if (key != name) continue;
    *count = reader.unsigned_integer(kRowsMax);
    return true;
  }
  if (key == "rescale") {
    session.rescale = reader.boolean();
    return true;
  }
  return read_one_of(reader, key,
                     {{"offer_numbers", &session.offer_numbers},
                      {"remove_numbers", &session.remove_numbers},
                      {"release_numbers", &session.release_numbers},
                      {"task_numbers", &session.task_numbers}});
}

bool needs_session(SessionOp op) {
  return op != SessionOp::open;
}

void check_counted(Reader& reader, const Session& session, const char* key, Column column, std::uint64_t count) {
  if (count > 0 && !column) return reader.fail(std::string(key) + " is missing");
  check_column(reader, session.rows.columns, key, column, {ColumnType::i8, count});
}

void check_session(Reader& reader, const Session& session) {
  const Match& rows = session.rows;
  const std::uint64_t offers = session.adds + session.updates;
  for (const auto* amounts : {&rows.task_amounts, &rows.offer_amounts}) {
    const std::uint64_t count = amounts == &rows.task_amounts ? rows.tasks : offers;
    if (amounts->size() != rows.dimensions && (count > 0 || !amounts->empty())) {
      return reader.fail("task_amounts and offer_amounts are to have one entry per dimension");
    }
    for (const Column column : *amounts) {
      check_column(reader, rows.columns, "amounts", column, {ColumnType::i8, count});
    }
  }
  if ((!rows.weights.empty() && rows.weights.size() != rows.dimensions) ||
      (!rows.scale.empty() && rows.scale.size() != rows.dimensions)) {
    return reader.fail("weights and scale are to have one entry per dimension");
  }
  check_column(reader, rows.columns, "priority", rows.priority, {ColumnType::i4, rows.tasks});
  check_column(reader, rows.columns, "price", rows.price, {ColumnType::i8, offers});
  check_counted(reader, session, "offer_numbers", session.offer_numbers, offers);
  check_counted(reader, session, "remove_numbers", session.remove_numbers, session.removes);
  check_counted(reader, session, "release_numbers", session.release_numbers, session.releases);
  check_counted(reader, session, "task_numbers", session.task_numbers, rows.tasks);
}

void read_session(Reader& reader, Session& session) {
  bool has_op = false;
  bool has_session = false;
  read_map(reader, [&](std::string_view key) {
    if (key == "op") {
      session.op = static_cast<SessionOp>(one_of(reader, kOps));
      has_op = true;
    } else if (key == "session") {
      session.session = reader.unsigned_integer();
      has_session = true;
    } else if (key == "expect") {
      session.expect = reader.integer(-1);
    } else {
      return read_change(reader, session, key) || read_match_field(reader, session.rows, key);
    }
    return true;
  });
  if (!has_op || (needs_session(session.op) && !has_session)) reader.fail("a SESSION needs op and session");
  if (!reader.failed()) check_session(reader, session);
}

void read_answer(Reader& reader, SessionAnswer& answer) {
  read_map(reader, [&](std::string_view key) {
    if (key == "version") return answer.version = reader.unsigned_integer(), true;
    if (key == "session") return answer.session = reader.unsigned_integer(), true;
    if (key == "removed") return answer.removed = reader.unsigned_integer(), true;
    if (key == "released") return answer.released = reader.unsigned_integer(), true;
    return false;
  });
}

void read_devices(Reader& reader, SessionOffers& offers) {
  read_array(
      reader,
      [&](std::size_t) {
        SessionOffers::Devices& devices = offers.devices.emplace_back();
        read_map(reader, [&](std::string_view key) {
          if (key != "dimension") {
            return read_one_of(reader, key, {{"begin", &devices.begin}, {"shares", &devices.shares}});
          }
          devices.dimension = static_cast<std::uint32_t>(reader.unsigned_integer(kDimensionsMax));
          return true;
        });
      },
      kDimensionsMax);
}

void read_offers(Reader& reader, SessionOffers& offers) {
  read_map(reader, [&](std::string_view key) {
    if (key == "version") return offers.version = reader.unsigned_integer(), true;
    if (key == "placed") return offers.placed = reader.unsigned_integer(), true;
    if (key == "offers") return offers.offers = reader.unsigned_integer(kRowsMax), true;
    if (key == "dimensions") {
      return offers.dimensions = static_cast<std::uint32_t>(reader.unsigned_integer(kDimensionsMax)), true;
    }
    if (key == "columns") return offers.columns = read_columns(reader), true;
    if (key == "free_amounts") return offers.free_amounts = read_amounts(reader), true;
    if (key == "devices") return read_devices(reader, offers), true;
    return read_one_of(reader, key,
                       {{"offer_numbers", &offers.offer_numbers},
                        {"price", &offers.price},
                        {"held", &offers.held},
                        {"scale", &offers.scale}});
  });
}

// Writes what differs from its default, and counts it first.
class Sparse {
 public:
  void count(const char* key, std::uint64_t value) {
    if (value > 0) ++pairs_, writer_.str(key).unsigned_integer(value);
  }
  void column(const char* key, Column value) {
    if (value) ++pairs_, writer_.str(key).unsigned_integer(*value);
  }
  void amounts(const char* key, const std::vector<Column>& values) {
    if (!values.empty()) ++pairs_, writer_.str(key), write_amounts(writer_, values);
  }
  void integers(const char* key, const std::vector<std::int64_t>& values) {
    if (!values.empty()) ++pairs_, write_integers(writer_, key, values);
  }
  Writer& more(std::size_t pairs) {
    pairs_ += pairs;
    return writer_;
  }
  std::string take() { return Writer().map(pairs_).raw(writer_.bytes()).take(); }

 private:
  Writer writer_;
  std::size_t pairs_ = 0;
};

}  // namespace

template <>
Decoded<Session> decode<Session>(std::string_view frame) {
  return decode_with<Session>(frame, read_session);
}

template <>
Decoded<SessionAnswer> decode<SessionAnswer>(std::string_view frame) {
  return decode_with<SessionAnswer>(frame, read_answer);
}

template <>
Decoded<SessionOffers> decode<SessionOffers>(std::string_view frame) {
  return decode_with<SessionOffers>(frame, read_offers);
}

std::string encode(const Session& body) {
  Sparse sparse;
  const Match& rows = body.rows;
  sparse.more(1).str("op").str(kOps[static_cast<std::size_t>(body.op)]);
  if (needs_session(body.op)) sparse.more(1).str("session").unsigned_integer(body.session);
  if (body.op == SessionOp::open) {
    write_options(sparse.more(4), rows);
    if (rows.max_score) sparse.more(1).str("max_score").number(*rows.max_score);
    if (rows.max_price >= 0) sparse.more(1).str("max_price").integer(rows.max_price);
  }
  if (body.expect >= 0) sparse.more(1).str("expect").integer(body.expect);
  sparse.count("adds", body.adds);
  sparse.count("updates", body.updates);
  sparse.count("removes", body.removes);
  sparse.count("releases", body.releases);
  if (body.rescale) sparse.more(1).str("rescale").boolean(true);
  sparse.count("tasks", rows.tasks);
  sparse.count("dimensions", rows.dimensions);
  if (!rows.columns.empty()) write_columns(sparse.more(1), rows.columns);
  sparse.column("offer_numbers", body.offer_numbers);
  sparse.column("remove_numbers", body.remove_numbers);
  sparse.column("release_numbers", body.release_numbers);
  sparse.column("task_numbers", body.task_numbers);
  sparse.amounts("offer_amounts", rows.offer_amounts);
  sparse.amounts("task_amounts", rows.task_amounts);
  sparse.column("price", rows.price);
  sparse.column("priority", rows.priority);
  sparse.integers("weights", rows.weights);
  sparse.integers("scale", rows.scale);
  if (!rows.constraints.empty()) sparse.more(1).str("constraints").raw(rows.constraints);
  return sparse.take();
}

std::string encode(const SessionAnswer& body) {
  Sparse sparse;
  if (body.session) sparse.more(1).str("session").unsigned_integer(*body.session);
  sparse.more(1).str("version").unsigned_integer(body.version);
  if (body.removed) sparse.more(1).str("removed").unsigned_integer(*body.removed);
  if (body.released) sparse.more(1).str("released").unsigned_integer(*body.released);
  return sparse.take();
}

std::string encode(const SessionOffers& body) {
  Writer writer;
  writer.map(11).str("version").unsigned_integer(body.version).str("placed").unsigned_integer(body.placed);
  writer.str("offers").unsigned_integer(body.offers).str("dimensions").unsigned_integer(body.dimensions);
  write_columns(writer, body.columns);
  const std::pair<const char*, Column> columns[] = {
      {"offer_numbers", body.offer_numbers}, {"price", body.price}, {"held", body.held}, {"scale", body.scale}};
  for (const auto& [key, column] : columns) {
    writer.str(key);
    write_column(writer, column);
  }
  writer.str("free_amounts");
  write_amounts(writer, body.free_amounts);
  writer.str("devices").array(body.devices.size());
  for (const SessionOffers::Devices& devices : body.devices) {
    writer.map(3).str("dimension").unsigned_integer(devices.dimension).str("begin");
    write_column(writer, devices.begin);
    writer.str("shares");
    write_column(writer, devices.shares);
  }
  return writer.take();
}

}  // namespace windlass::proto
