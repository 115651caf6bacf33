// From messages to bytes and back. Every decode scans its bytes first (bounded.hpp), refuses wrong types, doubled keys
// and what is beyond limits.hpp, and passes over keys that it does not know, but in STAGE. Any thread; no state.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "proto/messages.hpp"

namespace windlass::proto {

// What is wrong with a message, in words; to be answered INVALID_ARGUMENT.
struct Fault {
  std::string message;
};

template <class Body>
using Decoded = tl::expected<Body, Fault>;

[[nodiscard]] Decoded<Header> decode_header(std::string_view frame);
// The id of a header that decode_header refuses, where it can be read.
[[nodiscard]] std::optional<RequestId> id_of(std::string_view frame);

// Bodies: Hello, Welcome, Load, LoadSeen, LoadAnswer, LoadReport, Grant, GrantAnswer, Release, ReleaseAnswer, Match,
// MatchResult, Session, SessionAnswer, SessionOffers, Stage, StageResult, Progress, Cancel, CancelResult, Error, Empty
// (a map of whatever keys). A LoadReport alone is what the sampler makes.
template <class Body>
[[nodiscard]] Decoded<Body> decode(std::string_view frame);
template <>
Decoded<Hello> decode<Hello>(std::string_view frame);
template <>
Decoded<Welcome> decode<Welcome>(std::string_view frame);
template <>
Decoded<Load> decode<Load>(std::string_view frame);
template <>
Decoded<LoadSeen> decode<LoadSeen>(std::string_view frame);
template <>
Decoded<LoadAnswer> decode<LoadAnswer>(std::string_view frame);
template <>
Decoded<LoadReport> decode<LoadReport>(std::string_view frame);
template <>
Decoded<Grant> decode<Grant>(std::string_view frame);
template <>
Decoded<GrantAnswer> decode<GrantAnswer>(std::string_view frame);
template <>
Decoded<Release> decode<Release>(std::string_view frame);
template <>
Decoded<ReleaseAnswer> decode<ReleaseAnswer>(std::string_view frame);
template <>
Decoded<Match> decode<Match>(std::string_view frame);
template <>
Decoded<MatchResult> decode<MatchResult>(std::string_view frame);
template <>
Decoded<Session> decode<Session>(std::string_view frame);
template <>
Decoded<SessionAnswer> decode<SessionAnswer>(std::string_view frame);
template <>
Decoded<SessionOffers> decode<SessionOffers>(std::string_view frame);
template <>
Decoded<Stage> decode<Stage>(std::string_view frame);
template <>
Decoded<StageResult> decode<StageResult>(std::string_view frame);
template <>
Decoded<Progress> decode<Progress>(std::string_view frame);
template <>
Decoded<Cancel> decode<Cancel>(std::string_view frame);
template <>
Decoded<CancelResult> decode<CancelResult>(std::string_view frame);
template <>
Decoded<Error> decode<Error>(std::string_view frame);
template <>
Decoded<Empty> decode<Empty>(std::string_view frame);

[[nodiscard]] std::string encode(const Header& header);
[[nodiscard]] std::string encode(const Hello& body);
[[nodiscard]] std::string encode(const Welcome& body);
[[nodiscard]] std::string encode(const Load& body);
[[nodiscard]] std::string encode(const LoadSeen& body);
[[nodiscard]] std::string encode(const LoadAnswer& body);
[[nodiscard]] std::string encode(const Grant& body);
[[nodiscard]] std::string encode(const GrantAnswer& body);
[[nodiscard]] std::string encode(const Release& body);
[[nodiscard]] std::string encode(const ReleaseAnswer& body);
[[nodiscard]] std::string encode(const Match& body);
[[nodiscard]] std::string encode(const MatchResult& body);
[[nodiscard]] std::string encode(const Session& body);
[[nodiscard]] std::string encode(const SessionAnswer& body);
[[nodiscard]] std::string encode(const SessionOffers& body);
[[nodiscard]] std::string encode(const Stage& body);
[[nodiscard]] std::string encode(const StageResult& body);
[[nodiscard]] std::string encode(const Progress& body);
[[nodiscard]] std::string encode(const Cancel& body);
[[nodiscard]] std::string encode(const CancelResult& body);
[[nodiscard]] std::string encode(const Error& body);
[[nodiscard]] std::string encode(const Empty& body);

// What is wrong between the announced columns and the sizes of the frames that came; nullopt where they agree.
[[nodiscard]] std::optional<Fault> check_columns(std::span<const ColumnSpec> columns,
                                                 std::span<const std::size_t> frame_bytes);

// The header's `tp` is a W3C traceparent of version 00.
[[nodiscard]] bool is_traceparent(std::string_view text);

}  // namespace windlass::proto
