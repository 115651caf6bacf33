#include "proto/codec_parts.hpp"

namespace windlass::proto {
namespace {

constexpr std::size_t kDevicesMax = 4096;  // disks, interfaces or roots in one report
constexpr std::size_t kReasonsMax = 256;

std::map<std::string, Rates> read_rates(Reader& reader) {
  std::map<std::string, Rates> all;
  read_map(
      reader,
      [&](std::string_view device) {
        Rates& rates = all[std::string(device)];
        read_map(reader, [&](std::string_view key) {
          rates.emplace(key, reader.number());
          return true;
        });
        return true;
      },
      kDevicesMax);
  return all;
}

void read_roots(Reader& reader, LoadReport& report) {
  read_map(
      reader,
      [&](std::string_view path) {
        auto& free = report.roots[std::string(path)];
        read_map(reader, [&](std::string_view key) {
          free.emplace(key, reader.unsigned_integer());
          return true;
        });
        return true;
      },
      kDevicesMax);
}

void read_queue(Reader& reader, LoadReport& report) {
  read_map(reader, [&](std::string_view key) {
    if (key == "match") {
      report.queue_match = reader.unsigned_integer();
    } else if (key == "stage") {
      report.queue_stage = reader.unsigned_integer();
    } else if (key == "oldest_seconds") {
      report.queue_oldest_seconds = reader.number();
    } else {
      return false;
    }
    return true;
  });
}

// What the machine says of itself; false where the key is not of this part.
bool read_machine(Reader& reader, LoadReport& report, std::string_view key) {
  if (key == "cores") {
    report.cores = reader.number();
  } else if (key == "cpu_ratio") {
    report.cpu_ratio = reader.number();
  } else if (key == "memory_available_bytes") {
    report.memory_available_bytes = reader.unsigned_integer();
  } else if (key == "memory_total_bytes") {
    report.memory_total_bytes = reader.unsigned_integer();
  } else if (key == "psi") {
    report.psi = read_rates(reader);
  } else if (key == "disk") {
    report.disk = read_rates(reader);
  } else if (key == "net") {
    report.net = read_rates(reader);
  } else if (key == "roots") {
    read_roots(reader, report);
  } else {
    return false;
  }
  return true;
}

void read_report(Reader& reader, LoadReport& report) {
  read_map(reader, [&](std::string_view key) {
    if (read_machine(reader, report, key)) return true;
    if (key == "sequence") {
      report.sequence = reader.unsigned_integer();
    } else if (key == "incarnation") {
      report.incarnation = reader.str(kNameBytesMax);
    } else if (key == "age_seconds") {
      report.age_seconds = reader.number();
    } else if (key == "queue") {
      read_queue(reader, report);
    } else if (key == "bytes_in_flight") {
      report.bytes_in_flight = reader.unsigned_integer();
    } else if (key == "engine") {
      report.engine = reader.str(kNameBytesMax);
    } else if (key == "draining") {
      report.draining = reader.boolean();
    } else if (key == "degraded") {
      read_array(
          reader, [&](std::size_t) { report.degraded.emplace_back(reader.str()); }, kReasonsMax);
    } else if (key == "labels") {
      report.labels = read_labels(reader);
    } else {
      return false;
    }
    return true;
  });
}

void write_rates(Writer& writer, const std::map<std::string, Rates>& all) {
  writer.map(all.size());
  for (const auto& [device, rates] : all) {
    writer.str(device).map(rates.size());
    for (const auto& [key, value] : rates) writer.str(key).number(value);
  }
}

void write_report(Writer& writer, const LoadReport& report) {
  writer.map(report.age_seconds ? 17 : 16);
  writer.str("sequence").unsigned_integer(report.sequence).str("incarnation").str(report.incarnation);
  if (report.age_seconds) writer.str("age_seconds").number(*report.age_seconds);
  writer.str("cores").number(report.cores).str("cpu_ratio").number(report.cpu_ratio);
  writer.str("memory_available_bytes").unsigned_integer(report.memory_available_bytes);
  writer.str("memory_total_bytes").unsigned_integer(report.memory_total_bytes);
  writer.str("psi");
  write_rates(writer, report.psi);
  writer.str("disk");
  write_rates(writer, report.disk);
  writer.str("net");
  write_rates(writer, report.net);
  writer.str("roots").map(report.roots.size());
  for (const auto& [path, free] : report.roots) {
    writer.str(path).map(free.size());
    for (const auto& [key, value] : free) writer.str(key).unsigned_integer(value);
  }
  writer.str("queue").map(3).str("match").unsigned_integer(report.queue_match);
  writer.str("stage").unsigned_integer(report.queue_stage).str("oldest_seconds").number(report.queue_oldest_seconds);
  writer.str("bytes_in_flight").unsigned_integer(report.bytes_in_flight).str("engine").str(report.engine);
  writer.str("draining").boolean(report.draining).str("degraded").array(report.degraded.size());
  for (const std::string& reason : report.degraded) writer.str(reason);
  writer.str("labels");
  write_labels(writer, report.labels);
}

}  // namespace

template <>
Decoded<LoadReport> decode<LoadReport>(std::string_view frame) {
  return decode_with<LoadReport>(frame, read_report);
}

template <>
Decoded<Load> decode<Load>(std::string_view frame) {
  return decode_with<Load>(frame, [](Reader& reader, Load& body) {
    bool has_load = false;
    read_map(reader, [&](std::string_view key) {
      if (key == "load") {
        read_report(reader, body.load);
        has_load = true;
      } else if (key == "offers_version") {
        body.offers_version = reader.unsigned_integer();
      } else if (key == "offers") {
        body.offers.emplace();
        read_array(reader, [&](std::size_t) {
          if (reader.kind() != Kind::map) return reader.fail("an offer is a map");
          body.offers->emplace_back(reader.raw());
        });
      } else if (key == "grants_version") {
        body.grants_version = reader.unsigned_integer();
      } else if (key == "grants") {
        body.grants.emplace();
        read_array(reader, [&](std::size_t) { body.grants->push_back(read_grant(reader)); });
      } else {
        return false;
      }
      return true;
    });
    if (!has_load) reader.fail("a report needs load");
  });
}

template <>
Decoded<LoadAnswer> decode<LoadAnswer>(std::string_view frame) {
  return decode_with<LoadAnswer>(frame, [](Reader& reader, LoadAnswer& body) {
    read_map(reader, [&](std::string_view key) {
      if (key != "load") return false;
      read_report(reader, body.load);
      return true;
    });
  });
}

template <>
Decoded<LoadSeen> decode<LoadSeen>(std::string_view frame) {
  return decode_with<LoadSeen>(frame, [](Reader& reader, LoadSeen& body) {
    read_map(reader, [&](std::string_view key) {
      if (key != "sequence") return false;
      body.sequence = reader.unsigned_integer();
      return true;
    });
  });
}

std::string encode(const Load& body) {
  Writer writer;
  writer.map(2U + (body.offers ? 1U : 0U) + (body.grants_version ? 1U : 0U) + (body.grants ? 1U : 0U)).str("load");
  write_report(writer, body.load);
  writer.str("offers_version").unsigned_integer(body.offers_version);
  if (body.offers) {
    writer.str("offers").array(body.offers->size());
    for (const std::string& offer : *body.offers) writer.raw(offer);
  }
  if (body.grants_version) writer.str("grants_version").unsigned_integer(*body.grants_version);
  if (body.grants) {
    writer.str("grants").array(body.grants->size());
    for (const GrantEntry& grant : *body.grants) write_grant(writer, grant);
  }
  return writer.take();
}

std::string encode(const LoadAnswer& body) {
  Writer writer;
  writer.map(1).str("load");
  write_report(writer, body.load);
  return writer.take();
}

std::string encode(const LoadSeen& body) {
  return Writer().map(1).str("sequence").unsigned_integer(body.sequence).take();
}

}  // namespace windlass::proto
