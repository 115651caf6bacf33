#include <algorithm>

#include "proto/codec_parts.hpp"

namespace windlass::proto {
namespace {

using Shares = std::vector<std::pair<std::uint32_t, std::int64_t>>;

Shares read_shares(Reader& reader) {
  Shares shares;
  read_array(
      reader,
      [&](std::size_t) {
        if (reader.array(2) != 2) return reader.fail("[number, share] is wanted here");
        const auto number = static_cast<std::uint32_t>(reader.unsigned_integer(UINT32_MAX));
        const std::int64_t share = reader.integer(1);
        for (const auto& [seen, unused] : shares) {
          if (seen == number) return reader.fail("the device " + std::to_string(number) + " is named twice");
        }
        shares.emplace_back(number, share);
      },
      kGrantDevicesMax);
  return shares;
}

void read_dimensions(Reader& reader, GrantEntry& grant, std::string_view key) {
  read_map(
      reader,
      [&](std::string_view name) {
        if (key == "amounts") {
          grant.amounts.emplace(name, reader.integer(1));
        } else {
          grant.devices.emplace(name, read_shares(reader));
        }
        return true;
      },
      kDimensionsMax);
}

std::string read_about(Reader& reader) {
  if (reader.kind() != Kind::map) reader.fail("a map is wanted here");
  const std::string_view bytes = reader.raw();
  if (bytes.size() > kGrantAboutBytesMax) {
    reader.fail("at most " + std::to_string(kGrantAboutBytesMax) + " bytes are allowed here");
  }
  return std::string(bytes);
}

std::vector<RequestId> read_ids(Reader& reader, std::size_t count_max) {
  std::vector<RequestId> ids;
  read_array(
      reader, [&](std::size_t) { ids.push_back(read_id(reader)); }, count_max);
  return ids;
}

void write_id(Writer& writer, const RequestId& id) {
  writer.bin({id.bytes.data(), id.bytes.size()});
}

void write_ids(Writer& writer, const char* key, const std::vector<RequestId>& ids) {
  writer.str(key).array(ids.size());
  for (const RequestId& id : ids) write_id(writer, id);
}

GrantRefusal read_refusal(Reader& reader) {
  GrantRefusal refusal;
  read_map(reader, [&](std::string_view key) {
    if (key == "grant") {
      refusal.grant = reader.unsigned_integer();
    } else if (key == "code") {
      refusal.code = static_cast<Code>(reader.unsigned_integer(UINT32_MAX));
    } else if (key == "message") {
      refusal.message = reader.str();
    } else {
      return false;
    }
    return true;
  });
  return refusal;
}

}  // namespace

GrantEntry read_grant(Reader& reader) {
  GrantEntry grant;
  bool has_id = false;
  bool has_offer = false;
  read_map(reader, [&](std::string_view key) {
    if (key == "id") {
      grant.id = read_id(reader);
      has_id = true;
    } else if (key == "offer") {
      grant.offer = reader.str();
      has_offer = true;
    } else if (key == "epoch") {
      grant.epoch = reader.unsigned_integer();
    } else if (key == "amounts" || key == "devices") {
      read_dimensions(reader, grant, key);
    } else if (key == "exclusive") {
      grant.exclusive = reader.boolean();
    } else if (key == "about") {
      grant.about = read_about(reader);
    } else if (key == "lease_ms") {
      grant.lease_ms = reader.unsigned_integer();
    } else {
      return false;
    }
    return true;
  });
  if (!has_id || !has_offer) reader.fail("a grant needs id and offer");
  return grant;
}

void write_grant(Writer& writer, const GrantEntry& grant) {
  writer.map(6U + (grant.about.empty() ? 0U : 1U) + (grant.lease_ms == 0 ? 0U : 1U)).str("id");
  write_id(writer, grant.id);
  writer.str("offer").str(grant.offer).str("epoch").unsigned_integer(grant.epoch);
  writer.str("amounts").map(grant.amounts.size());
  for (const auto& [name, amount] : grant.amounts) writer.str(name).integer(amount);
  writer.str("devices").map(grant.devices.size());
  for (const auto& [kind, shares] : grant.devices) {
    writer.str(kind).array(shares.size());
    for (const auto& [number, share] : shares) writer.array(2).unsigned_integer(number).integer(share);
  }
  writer.str("exclusive").boolean(grant.exclusive);
  if (!grant.about.empty()) writer.str("about").raw(grant.about);
  if (grant.lease_ms > 0) writer.str("lease_ms").unsigned_integer(grant.lease_ms);
}

template <>
Decoded<Grant> decode<Grant>(std::string_view frame) {
  return decode_with<Grant>(frame, [](Reader& reader, Grant& body) {
    read_map(reader, [&](std::string_view key) {
      if (key == "lease_ms") {
        body.lease_ms = std::min(reader.unsigned_integer(), kLeaseMsMax);
      } else if (key == "grants") {
        read_array(
            reader, [&](std::size_t) { body.grants.push_back(read_grant(reader)); }, kGrantsMax);
      } else if (key == "renew") {
        body.renew = read_ids(reader, kGrantsMax);
      } else {
        return false;
      }
      return true;
    });
    if (body.lease_ms == 0) reader.fail("a GRANT needs lease_ms, above 0");
  });
}

template <>
Decoded<GrantAnswer> decode<GrantAnswer>(std::string_view frame) {
  return decode_with<GrantAnswer>(frame, [](Reader& reader, GrantAnswer& body) {
    read_map(reader, [&](std::string_view key) {
      if (key == "version") {
        body.version = reader.unsigned_integer();
      } else if (key == "refused") {
        read_array(
            reader, [&](std::size_t) { body.refused.push_back(read_refusal(reader)); }, kGrantsMax);
      } else if (key == "unknown") {
        body.unknown = read_ids(reader, kGrantsMax);
      } else {
        return false;
      }
      return true;
    });
  });
}

template <>
Decoded<Release> decode<Release>(std::string_view frame) {
  return decode_with<Release>(frame, [](Reader& reader, Release& body) {
    read_map(reader, [&](std::string_view key) {
      if (key != "grants") return false;
      body.grants = read_ids(reader, kGrantsMax);
      return true;
    });
  });
}

template <>
Decoded<ReleaseAnswer> decode<ReleaseAnswer>(std::string_view frame) {
  return decode_with<ReleaseAnswer>(frame, [](Reader& reader, ReleaseAnswer& body) {
    read_map(reader, [&](std::string_view key) {
      if (key == "version") return body.version = reader.unsigned_integer(), true;
      if (key == "released") return body.released = reader.unsigned_integer(), true;
      return false;
    });
  });
}

std::string encode(const Grant& body) {
  Writer writer;
  writer.map(3).str("lease_ms").unsigned_integer(body.lease_ms).str("grants").array(body.grants.size());
  for (const GrantEntry& grant : body.grants) write_grant(writer, grant);
  write_ids(writer, "renew", body.renew);
  return writer.take();
}

std::string encode(const GrantAnswer& body) {
  Writer writer;
  writer.map(3).str("version").unsigned_integer(body.version).str("refused").array(body.refused.size());
  for (const GrantRefusal& refusal : body.refused) {
    writer.map(3).str("grant").unsigned_integer(refusal.grant);
    writer.str("code").unsigned_integer(static_cast<std::uint32_t>(refusal.code)).str("message").str(refusal.message);
  }
  write_ids(writer, "unknown", body.unknown);
  return writer.take();
}

std::string encode(const Release& body) {
  Writer writer;
  writer.map(1);
  write_ids(writer, "grants", body.grants);
  return writer.take();
}

std::string encode(const ReleaseAnswer& body) {
  Writer writer;
  writer.map(2).str("version").unsigned_integer(body.version).str("released").unsigned_integer(body.released);
  return writer.take();
}

}  // namespace windlass::proto
