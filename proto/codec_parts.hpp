// What the files of the codec share; nobody else includes it.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "proto/bounded.hpp"
#include "proto/codec.hpp"
#include "proto/writer.hpp"

namespace windlass::proto {

// Scans, reads with `read(reader, body)`, and answers the body or the first fault.
template <class Body, class Read>
Decoded<Body> decode_with(std::string_view bytes, Read&& read, const ScanLimits& limits = {}) {
  if (auto fault = scan(bytes, limits)) return tl::unexpected(Fault{std::move(*fault)});
  Reader reader(bytes);
  Body body;
  read(reader, body);
  if (reader.failed()) return tl::unexpected(Fault{reader.fault()});
  return body;
}

// One of a few names, by its place; fails otherwise and names what is allowed.
template <std::size_t N>
std::size_t one_of(Reader& reader, const char* const (&names)[N]) {
  const std::string_view found = reader.str();
  for (std::size_t i = 0; i < N; ++i) {
    if (found == names[i]) return i;
  }
  std::string allowed;
  for (const char* name : names) allowed += (allowed.empty() ? "" : ", ") + std::string(name);
  reader.fail("one of " + allowed + " is wanted here, not \"" + std::string(found.substr(0, 64)) + "\"");
  return 0;
}

// The next value, or nothing where it is nil.
template <class Take>
auto optional_of(Reader& reader, Take&& take) -> std::optional<decltype(take())> {
  if (reader.take_nil()) return std::nullopt;
  return take();
}

Column read_column(Reader& reader);
std::vector<ColumnSpec> read_columns(Reader& reader);
std::vector<Column> read_amounts(Reader& reader);
RequestId read_id(Reader& reader);
Labels read_labels(Reader& reader);
GrantEntry read_grant(Reader& reader);

void write_column(Writer& writer, Column column);
void write_labels(Writer& writer, const Labels& labels);
void write_grant(Writer& writer, const GrantEntry& grant);
void write_columns(Writer& writer, const std::vector<ColumnSpec>& columns);

// Of a MATCH, and of the SESSION that asks for the like. false where the key is none of its.
bool read_match_field(Reader& reader, Match& match, std::string_view key);
// A column that a body names must be there and have its type and count.
void check_column(Reader& reader, const std::vector<ColumnSpec>& columns, const char* key, Column column,
                  ColumnSpec wanted);
void write_options(Writer& writer, const Match& body);  // 4 keys: mode, policy, ties, normalize
void write_amounts(Writer& writer, const std::vector<Column>& columns);
void write_integers(Writer& writer, const char* key, const std::vector<std::int64_t>& values);  // nothing where empty

}  // namespace windlass::proto
