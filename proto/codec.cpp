#include "proto/codec.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "proto/codec_parts.hpp"

namespace windlass::proto {
namespace {

constexpr const char* kRoles[] = {"node", "client", "observer"};
constexpr const char* kSides[] = {"", "tasks", "offers", "options"};

std::string name_from(Reader& reader) {
  return std::string(reader.str(kNameBytesMax));
}

std::vector<std::string> read_names(Reader& reader, std::size_t count_max) {
  std::vector<std::string> names;
  read_array(
      reader, [&](std::size_t) { names.push_back(name_from(reader)); }, count_max);
  return names;
}

void write_names(Writer& writer, const std::vector<std::string>& names) {
  writer.array(names.size());
  for (const std::string& name : names) writer.str(name);
}

// Of a HELLO or a WELCOME.
template <class Body>
void write_credits(Writer& writer, const Body& body) {
  writer.str("credit_requests").unsigned_integer(body.credit_requests);
  writer.str("credit_bytes").unsigned_integer(body.credit_bytes);
}

void read_header(Reader& reader, Header& header) {
  bool has_version = false;
  bool has_type = false;
  bool has_id = false;
  read_map(reader, [&](std::string_view key) {
    if (key == "v") {
      header.v = static_cast<std::uint32_t>(reader.unsigned_integer(UINT32_MAX));
      has_version = true;
    } else if (key == "t") {
      header.t = static_cast<std::uint32_t>(reader.unsigned_integer(UINT32_MAX));
      has_type = true;
    } else if (key == "id") {
      header.id = read_id(reader);
      has_id = true;
    } else if (key == "dl") {
      header.dl = optional_of(reader, [&] { return std::min(reader.unsigned_integer(), kDeadlineMsMax); });
    } else if (key == "tp") {
      if (!reader.take_nil()) header.tp = reader.str(kTraceparentBytesMax);
    } else {
      return false;
    }
    return true;
  });
  if (!has_version || !has_type || !has_id) reader.fail("a header needs v, t and id");
}

void read_hello(Reader& reader, Hello& hello) {
  bool has_role = false;
  bool has_versions = false;
  read_map(reader, [&](std::string_view key) {
    if (key == "role") {
      hello.role = static_cast<Role>(one_of(reader, kRoles));
      has_role = true;
    } else if (key == "versions") {
      if (reader.array(2) != 2) reader.fail("[lowest, highest] is wanted here");
      hello.version_lowest = static_cast<std::uint32_t>(reader.unsigned_integer(UINT32_MAX));
      hello.version_highest = static_cast<std::uint32_t>(reader.unsigned_integer(UINT32_MAX));
      if (hello.version_lowest > hello.version_highest) reader.fail("the lowest version is above the highest");
      has_versions = true;
    } else if (key == "features") {
      hello.features = read_names(reader, kFeaturesMax);
    } else if (key == "software") {
      hello.software = name_from(reader);
    } else if (key == "pid") {
      hello.pid = reader.unsigned_integer();
    } else if (key == "name") {
      hello.name = name_from(reader);
    } else if (key == "incarnation") {
      hello.incarnation = name_from(reader);
    } else if (key == "labels") {
      hello.labels = read_labels(reader);
    } else if (key == "process") {
      hello.process = name_from(reader);
    } else if (key == "credit_requests") {
      hello.credit_requests = reader.unsigned_integer();
    } else if (key == "credit_bytes") {
      hello.credit_bytes = reader.unsigned_integer();
    } else {
      return false;
    }
    return true;
  });
  if (!has_role || !has_versions) reader.fail("a HELLO needs role and versions");
  if (hello.role == Role::node && (hello.name.empty() || hello.incarnation.empty())) {
    reader.fail("the HELLO of a node needs name and incarnation");
  }
}

void read_welcome(Reader& reader, Welcome& welcome) {
  read_map(reader, [&](std::string_view key) {
    if (key == "version") {
      welcome.version = static_cast<std::uint32_t>(reader.unsigned_integer(UINT32_MAX));
    } else if (key == "features") {
      welcome.features = read_names(reader, kFeaturesMax);
    } else if (key == "software") {
      welcome.software = name_from(reader);
    } else if (key == "name") {
      welcome.name = name_from(reader);
    } else if (key == "incarnation") {
      welcome.incarnation = name_from(reader);
    } else if (key == "beat_ms") {
      welcome.beat_ms = reader.unsigned_integer(kDeadlineMsMax);
    } else if (key == "suspect_ms") {
      welcome.suspect_ms = reader.unsigned_integer(kDeadlineMsMax);
    } else if (key == "dead_ms") {
      welcome.dead_ms = reader.unsigned_integer(kDeadlineMsMax);
    } else if (key == "credit_requests") {
      welcome.credit_requests = reader.unsigned_integer();
    } else if (key == "credit_bytes") {
      welcome.credit_bytes = reader.unsigned_integer();
    } else {
      return false;
    }
    return true;
  });
  if (welcome.beat_ms == 0 || welcome.suspect_ms < welcome.beat_ms || welcome.dead_ms < welcome.suspect_ms) {
    reader.fail("0 < beat_ms <= suspect_ms <= dead_ms is to hold");
  }
}

void read_error(Reader& reader, Error& error) {
  read_map(reader, [&](std::string_view key) {
    if (key == "code") {
      error.code = static_cast<Code>(reader.unsigned_integer(UINT32_MAX));
    } else if (key == "message") {
      error.message = reader.str();
    } else if (key == "retryable") {
      error.retryable = reader.boolean();
    } else if (key == "retry_after_ms") {
      error.retry_after_ms = reader.unsigned_integer();
    } else if (key == "side") {
      error.side = static_cast<Side>(one_of(reader, kSides));
    } else if (key == "row") {
      error.row = reader.integer();
    } else if (key == "field") {
      error.field = reader.str();
    } else {
      return false;
    }
    return true;
  });
}

}  // namespace

RequestId read_id(Reader& reader) {
  RequestId id;
  const std::string_view bytes = reader.bin();
  if (bytes.size() == id.bytes.size()) {
    std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
  } else {
    reader.fail("an id is 16 bytes, not " + std::to_string(bytes.size()));
  }
  return id;
}

Labels read_labels(Reader& reader) {
  Labels labels;
  read_map(
      reader,
      [&](std::string_view key) {
        labels.emplace(key, reader.str());
        return true;
      },
      kLabelsMax);
  return labels;
}

void write_labels(Writer& writer, const Labels& labels) {
  writer.map(labels.size());
  for (const auto& [key, value] : labels) writer.str(key).str(value);
}

Decoded<Header> decode_header(std::string_view frame) {
  return decode_with<Header>(frame, read_header,
                             {.bytes_max = kHeaderBytesMax, .depth_max = kDepthMax, .nodes_max = kHeaderBytesMax});
}

std::optional<RequestId> id_of(std::string_view frame) {
  if (frame.size() > kHeaderBytesMax) return std::nullopt;
  Reader reader(frame);
  std::optional<RequestId> id;
  const std::size_t pairs = reader.map();
  for (std::size_t i = 0; i < pairs && !reader.failed() && !id; ++i) {
    const bool named = reader.kind() == Kind::str && reader.str() == "id";
    if (!named) {
      if (reader.kind() != Kind::none) reader.skip();
      continue;
    }
    const RequestId found = read_id(reader);
    if (!reader.failed()) id = found;
  }
  return id;
}

template <>
Decoded<Hello> decode<Hello>(std::string_view frame) {
  return decode_with<Hello>(frame, read_hello);
}

template <>
Decoded<Welcome> decode<Welcome>(std::string_view frame) {
  return decode_with<Welcome>(frame, read_welcome);
}

template <>
Decoded<Error> decode<Error>(std::string_view frame) {
  return decode_with<Error>(frame, read_error);
}

template <>
Decoded<Cancel> decode<Cancel>(std::string_view frame) {
  return decode_with<Cancel>(frame, [](Reader& reader, Cancel& cancel) {
    bool named = false;
    read_map(reader, [&](std::string_view key) {
      if (key != "request") return false;
      cancel.request = read_id(reader);
      return named = true;
    });
    if (!named) reader.fail("a CANCEL needs request");
  });
}

template <>
Decoded<CancelResult> decode<CancelResult>(std::string_view frame) {
  return decode_with<CancelResult>(frame, [](Reader& reader, CancelResult& result) {
    read_map(reader, [&](std::string_view key) {
      if (key != "cancelled") return false;
      result.cancelled = reader.boolean();
      return true;
    });
  });
}

template <>
Decoded<Empty> decode<Empty>(std::string_view frame) {
  return decode_with<Empty>(frame,
                            [](Reader& reader, Empty&) { read_map(reader, [](std::string_view) { return false; }); });
}

std::string encode(const Header& header) {
  Writer writer;
  writer.map(3U + (header.dl ? 1U : 0U) + (header.tp.empty() ? 0U : 1U));
  writer.str("v").unsigned_integer(header.v).str("t").unsigned_integer(header.t);
  writer.str("id").bin({header.id.bytes.data(), header.id.bytes.size()});
  if (header.dl) writer.str("dl").unsigned_integer(*header.dl);
  if (!header.tp.empty()) writer.str("tp").str(header.tp);
  return writer.take();
}

std::string encode(const Hello& body) {
  Writer writer;
  const bool node = body.role == Role::node;
  const bool credits = node && body.credit_requests > 0;
  writer.map(5U + (node ? 3U : 0U) + (node && !body.process.empty() ? 1U : 0U) + (credits ? 2U : 0U));
  writer.str("role").str(kRoles[static_cast<std::size_t>(body.role)]);
  writer.str("versions").array(2).unsigned_integer(body.version_lowest).unsigned_integer(body.version_highest);
  writer.str("features");
  write_names(writer, body.features);
  writer.str("software").str(body.software).str("pid").unsigned_integer(body.pid);
  if (node) {
    writer.str("name").str(body.name).str("incarnation").str(body.incarnation).str("labels");
    write_labels(writer, body.labels);
    if (!body.process.empty()) writer.str("process").str(body.process);
  }
  if (credits) write_credits(writer, body);
  return writer.take();
}

std::string encode(const Welcome& body) {
  Writer writer;
  const bool credits = body.credit_requests > 0;
  writer.map(credits ? 10 : 8).str("version").unsigned_integer(body.version).str("features");
  write_names(writer, body.features);
  writer.str("software").str(body.software).str("name").str(body.name).str("incarnation").str(body.incarnation);
  writer.str("beat_ms").unsigned_integer(body.beat_ms).str("suspect_ms").unsigned_integer(body.suspect_ms);
  writer.str("dead_ms").unsigned_integer(body.dead_ms);
  if (credits) write_credits(writer, body);
  return writer.take();
}

std::string encode(const Error& body) {
  Writer writer;
  const bool sided = body.side != Side::none;
  writer.map(4U + (sided ? 1U : 0U) + (body.row >= 0 ? 1U : 0U) + (body.field.empty() ? 0U : 1U));
  writer.str("code").unsigned_integer(static_cast<std::uint32_t>(body.code)).str("message").str(body.message);
  writer.str("retryable").boolean(body.retryable).str("retry_after_ms").unsigned_integer(body.retry_after_ms);
  if (sided) writer.str("side").str(kSides[static_cast<std::size_t>(body.side)]);
  if (body.row >= 0) writer.str("row").integer(body.row);
  if (!body.field.empty()) writer.str("field").str(body.field);
  return writer.take();
}

std::string encode(const Cancel& body) {
  return Writer().map(1).str("request").bin({body.request.bytes.data(), body.request.bytes.size()}).take();
}

std::string encode(const CancelResult& body) {
  return Writer().map(1).str("cancelled").boolean(body.cancelled).take();
}

std::string encode(const Empty&) {
  return Writer().map(0).take();
}

bool is_traceparent(std::string_view text) {
  if (text.size() != 55 || text[2] != '-' || text[35] != '-' || text[52] != '-' || text.substr(0, 2) != "00")
    return false;
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  for (std::size_t i = 3; i < text.size(); ++i) {
    if (i != 35 && i != 52 && !hex(text[i])) return false;
  }
  return true;
}

}  // namespace windlass::proto
