#include "plugin/stage/request.hpp"

#include <array>
#include <limits>
#include <utility>

#include "proto/bounded.hpp"

namespace windlass::stage {
namespace {

constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();

// The first fault of a transfer's values, kept while the reader goes on.
struct Draft {
  Transfer transfer;
  bool has_source = false, has_target = false;
  std::optional<Durability> durability;
  bool result = false;
  std::optional<Error> fault;

  void blame(Error error, std::string_view field) {
    if (fault) return;
    error.field = field;
    fault = std::move(error);
  }
  template <class T>
  void set(T& place, Result<T> value, std::string_view field) {
    if (value)
      place = std::move(*value);
    else
      blame(std::move(value.error()), field);
  }
};

Error fault_of(Code code, std::string message) {
  Error error;
  error.code = code;
  error.message = std::move(message);
  return error;
}

template <class T, std::size_t N>
Result<T> choice(std::string_view field, std::string_view given,
                 const std::array<std::pair<std::string_view, T>, N>& known) {
  std::string names;
  for (const auto& [name, value] : known) {
    if (name == given) return value;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return fail(Code::invalid_argument, std::string(field) + " is " + quoted(given) + "; give one of " + names);
}

constexpr std::array<std::pair<std::string_view, Durability>, 3> kDurabilities{
    {{"none", Durability::none}, {"file", Durability::file}, {"full", Durability::full}}};
constexpr std::array<std::pair<std::string_view, Symlinks>, 3> kSymlinks{
    {{"keep", Symlinks::keep}, {"skip", Symlinks::skip}, {"refuse", Symlinks::refuse}}};
constexpr std::array<std::pair<std::string_view, bool>, 2> kKinds{{{"input", false}, {"result", true}}};
constexpr std::array<std::pair<std::string_view, Decompress>, 3> kDecompress{
    {{"gzip", Decompress::gzip}, {"zstd", Decompress::zstd}, {"auto", Decompress::automatic}}};

Result<Place> target_place(std::string_view given) {
  auto place = parse_place(given);
  if (!place) return place;
  if (auto fine = check_target_name(*place); !fine) return fail(fine.error());
  return place;
}

void take_range(proto::Reader& reader, Draft& draft) {
  Range range;
  if (reader.array(2) != 2) {
    reader.fail("a range is [first byte, length]");
    return;
  }
  range.first = reader.unsigned_integer(kLargest);
  range.length = reader.unsigned_integer(kLargest);
  if (reader.failed()) return;
  if (range.length > kLargest - range.first)
    draft.blame(
        fault_of(Code::invalid_argument, "the range ends beyond what any file holds; give [first byte, length]"),
        "range");
  draft.transfer.range = range;
}

void take_checksum(proto::Reader& reader, Draft& draft) {
  const std::string_view text = reader.str(128);
  if (reader.failed()) return;
  auto wish = parse_checksum(text);
  if (wish)
    draft.transfer.checksum = std::move(*wish);
  else
    draft.blame(wish.error(), "checksum");
}

void take_unserved_flag(proto::Reader& reader, Draft& draft, std::string_view field) {
  if (reader.boolean() && !reader.failed())
    draft.blame(fault_of(Code::unimplemented, std::string(field) + " is not served by this version; leave it out"),
                field);
}

template <class T, std::size_t N>
std::optional<T> take_choice(proto::Reader& reader, Draft& draft, std::string_view field,
                             const std::array<std::pair<std::string_view, T>, N>& known) {
  const std::string_view given = reader.str(64);
  if (reader.failed()) return std::nullopt;
  auto value = choice(field, given, known);
  if (value) return *value;
  draft.blame(value.error(), field);
  return std::nullopt;
}

bool take_words(proto::Reader& reader, Draft& draft, std::string_view key) {
  Transfer& transfer = draft.transfer;
  if (key == "kind") {
    draft.result = take_choice(reader, draft, key, kKinds).value_or(false);
  } else if (key == "durability") {
    draft.durability = take_choice(reader, draft, key, kDurabilities);
  } else if (key == "symlinks") {
    transfer.symlinks = take_choice(reader, draft, key, kSymlinks).value_or(transfer.symlinks);
  } else if (key == "decompress") {
    transfer.decompress = take_choice(reader, draft, key, kDecompress);
  } else if (key == "cache" || key == "pin") {
    take_unserved_flag(reader, draft, key);
  } else {
    return false;
  }
  return true;
}

bool take_field(proto::Reader& reader, Draft& draft, std::string_view key) {
  Transfer& transfer = draft.transfer;
  if (key == "source") {
    draft.set(transfer.source, parse_place(reader.bin()), key);
    draft.has_source = true;
  } else if (key == "target") {
    draft.set(transfer.target, target_place(reader.bin()), key);
    draft.has_target = true;
  } else if (key == "range") {
    take_range(reader, draft);
  } else if (key == "size") {
    transfer.size = reader.unsigned_integer(kLargest);
  } else if (key == "checksum") {
    take_checksum(reader, draft);
  } else if (key == "mode") {
    transfer.mode = static_cast<std::uint32_t>(reader.unsigned_integer(0777));
  } else if (key == "priority") {
    transfer.priority = reader.integer();
  } else if (key == "deadline_ms") {
    transfer.deadline_ms = reader.integer();
  } else if (key == "tree_atomic") {
    transfer.tree_atomic = reader.boolean();
  } else {
    return take_words(reader, draft, key);
  }
  return true;
}

void check_whole(Draft& draft) {
  if (!draft.has_source || !draft.has_target) {
    const std::string_view missing = draft.has_source ? "target" : "source";
    draft.blame(fault_of(Code::invalid_argument, std::string(missing) + " is missing; give a path"), missing);
  } else if (draft.transfer.decompress && draft.transfer.range) {
    draft.blame(fault_of(Code::invalid_argument, "range and decompress do not go together; leave one of them out"),
                "range");
  }
  draft.transfer.kind = draft.result ? Kind::result : Kind::input;
  draft.transfer.durability = draft.durability.value_or(draft.result ? Durability::full : Durability::file);
}

Result<Transfer> read_transfer(proto::Reader& reader, Symlinks symlinks) {
  Draft draft;
  draft.transfer.symlinks = symlinks;
  proto::read_map(reader, [&](std::string_view key) {
    if (take_field(reader, draft, key)) return true;
    if (!reader.failed()) reader.fail("is not known; leave it out");
    return true;
  });
  if (reader.failed()) return fail(Code::invalid_argument, reader.fault());
  check_whole(draft);
  if (draft.fault) return fail(std::move(*draft.fault));
  return std::move(draft.transfer);
}

void read_transfers(proto::Reader& reader, Symlinks symlinks, Request& request, std::optional<Error>& fault) {
  proto::read_array(
      reader,
      [&](std::size_t row) {
        if (fault) return reader.skip();
        auto transfer = read_transfer(reader, symlinks);
        if (transfer) return request.transfers.push_back(std::move(*transfer));
        fault = std::move(transfer.error());
        fault->row = static_cast<std::int64_t>(row);
        fault->message = "transfer " + std::to_string(row) + ": " + fault->message;
      },
      proto::kTransfersMax);
}

}  // namespace

Result<Request> decode_request(std::string_view body, Symlinks symlinks) {
  if (const auto wrong = proto::scan(body))
    return fail(Code::invalid_argument, "the request cannot be read: " + *wrong);
  proto::Reader reader(body);
  Request request;
  std::optional<Error> fault;
  bool listed = false;
  proto::read_map(reader, [&](std::string_view key) {
    if (key == "transfers") {
      listed = true;
      read_transfers(reader, symlinks, request, fault);
    } else if (key == "detach") {
      request.detach = reader.boolean();
    } else {
      reader.fail("is not known; leave it out");
    }
    return true;
  });
  if (fault) return fail(std::move(*fault));
  if (reader.failed()) return fail(Code::invalid_argument, "the request cannot be read: " + reader.fault());
  if (!listed) return fail(Code::invalid_argument, "the request holds no transfers; give a list of them");
  return request;
}

}  // namespace windlass::stage
