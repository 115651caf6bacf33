#include "proto/codec_parts.hpp"

namespace windlass::proto {
namespace {

constexpr std::size_t kWordBytesMax = 256;        // checksums and choices
constexpr std::size_t kPathBytesMax = 64 * 1024;  // URLs may be long; the engine knows paths' own limits
constexpr std::size_t kFailuresMax = 100;

std::pair<std::int64_t, std::int64_t> read_range(Reader& reader) {
  if (reader.array(2) != 2) reader.fail("[first byte, length] is wanted here");
  const std::int64_t first = reader.integer(0);
  return {first, reader.integer(0)};
}

bool read_numbers(Reader& reader, Transfer& transfer, std::string_view key) {
  if (key == "range") {
    transfer.range = optional_of(reader, [&] { return read_range(reader); });
  } else if (key == "size") {
    transfer.size = optional_of(reader, [&] { return reader.unsigned_integer(INT64_MAX); });
  } else if (key == "mode") {
    transfer.mode = optional_of(reader, [&] { return static_cast<std::uint32_t>(reader.unsigned_integer(07777)); });
  } else if (key == "priority") {
    transfer.priority = optional_of(reader, [&] { return reader.integer(); });
  } else if (key == "deadline_ms") {
    transfer.deadline_ms = optional_of(reader, [&] { return reader.integer(); });
  } else {
    return false;
  }
  return true;
}

bool read_choices(Reader& reader, Transfer& transfer, std::string_view key) {
  const std::pair<const char*, std::optional<std::string_view>*> words[] = {{"checksum", &transfer.checksum},
                                                                            {"decompress", &transfer.decompress},
                                                                            {"kind", &transfer.kind},
                                                                            {"durability", &transfer.durability},
                                                                            {"symlinks", &transfer.symlinks}};
  const std::pair<const char*, std::optional<bool>*> switches[] = {
      {"cache", &transfer.cache}, {"pin", &transfer.pin}, {"tree_atomic", &transfer.tree_atomic}};
  for (const auto& [name, value] : words) {
    if (key != name) continue;
    *value = optional_of(reader, [&] { return reader.str(kWordBytesMax); });
    return true;
  }
  for (const auto& [name, value] : switches) {
    if (key != name) continue;
    *value = optional_of(reader, [&] { return reader.boolean(); });
    return true;
  }
  return false;
}

void refuse_unknown(Reader& reader, std::string_view key) {
  reader.fail("the key \"" + std::string(key.substr(0, 64)) + "\" is not known here");
}

void read_transfer(Reader& reader, Transfer& transfer) {
  bool has_source = false;
  bool has_target = false;
  read_map(reader, [&](std::string_view key) {
    if (key == "source") {
      transfer.source = reader.bin(kPathBytesMax);
      has_source = true;
    } else if (key == "target") {
      transfer.target = reader.bin(kPathBytesMax);
      has_target = true;
    } else if (!read_numbers(reader, transfer, key) && !read_choices(reader, transfer, key)) {
      refuse_unknown(reader, key);
    }
    return true;
  });
  if (!has_source || !has_target) reader.fail("a transfer needs source and target");
}

void read_stage(Reader& reader, Stage& stage) {
  bool has_transfers = false;
  read_map(reader, [&](std::string_view key) {
    if (key == "transfers") {
      read_array(
          reader, [&](std::size_t) { read_transfer(reader, stage.transfers.emplace_back()); }, kTransfersMax);
      has_transfers = true;
    } else if (key == "detach") {
      stage.detach = optional_of(reader, [&] { return reader.boolean(); });
    } else {
      refuse_unknown(reader, key);
    }
    return true;
  });
  if (!has_transfers) reader.fail("a STAGE needs transfers");
}

void read_failure(Reader& reader, StageFailure& failure) {
  read_map(reader, [&](std::string_view key) {
    if (key == "path") {
      failure.path = reader.bin();
    } else if (key == "code") {
      failure.code = static_cast<std::uint32_t>(reader.unsigned_integer(UINT32_MAX));
    } else if (key == "message") {
      failure.message = reader.str();
    } else {
      return false;
    }
    return true;
  });
}

StageFault read_fault(Reader& reader) {
  StageFault fault;
  read_map(reader, [&](std::string_view key) {
    if (key == "code") {
      fault.code = static_cast<std::uint32_t>(reader.unsigned_integer(UINT32_MAX));
    } else if (key == "message") {
      fault.message = reader.str();
    } else if (key == "source") {
      fault.source = reader.bin();
    } else if (key == "target") {
      fault.target = reader.bin();
    } else if (key == "retryable") {
      fault.retryable = reader.boolean();
    } else if (key == "failures") {
      read_array(
          reader, [&](std::size_t) { read_failure(reader, fault.failures.emplace_back()); }, kFailuresMax);
    } else if (key == "failure_count") {
      fault.failure_count = reader.unsigned_integer();
    } else {
      return false;
    }
    return true;
  });
  return fault;
}

std::vector<std::pair<std::string, std::string>> read_checksums(Reader& reader) {
  std::vector<std::pair<std::string, std::string>> checksums;
  const std::size_t count = reader.map();
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    std::string path(reader.bin());
    checksums.emplace_back(std::move(path), reader.str());
  }
  return checksums;
}

bool read_counts(Reader& reader, TransferEnd& end, std::string_view key) {
  if (key == "bytes") {
    end.bytes = reader.unsigned_integer();
  } else if (key == "files") {
    end.files = reader.unsigned_integer();
  } else if (key == "seconds") {
    end.seconds = reader.number();
  } else if (key == "resumed_bytes") {
    end.resumed_bytes = reader.unsigned_integer();
  } else if (key == "from_cache") {
    end.from_cache = reader.boolean();
  } else if (key == "retries") {
    end.retries = reader.unsigned_integer();
  } else {
    return false;
  }
  return true;
}

void read_end(Reader& reader, TransferEnd& end) {
  read_map(reader, [&](std::string_view key) {
    if (key == "state") {
      end.state = reader.str();
    } else if (key == "engine") {
      end.engine = reader.str();
    } else if (key == "checksum") {
      end.checksum = optional_of(reader, [&] { return std::string(reader.str()); });
    } else if (key == "error") {
      end.error = optional_of(reader, [&] { return read_fault(reader); });
    } else if (key == "file_checksums") {
      end.file_checksums = optional_of(reader, [&] { return read_checksums(reader); });
    } else {
      return read_counts(reader, end, key);
    }
    return true;
  });
}

template <class... Values>
std::size_t given(const Values&... values) {
  return (std::size_t{0} + ... + (values.has_value() ? 1U : 0U));
}

void write_transfer(Writer& writer, const Transfer& t) {
  writer.map(2 + given(t.range, t.size, t.checksum, t.mode, t.priority, t.deadline_ms, t.decompress, t.cache, t.pin,
                       t.kind, t.durability, t.symlinks, t.tree_atomic));
  writer.str("source").bin(t.source).str("target").bin(t.target);
  if (t.range) writer.str("range").array(2).integer(t.range->first).integer(t.range->second);
  if (t.size) writer.str("size").unsigned_integer(*t.size);
  if (t.checksum) writer.str("checksum").str(*t.checksum);
  if (t.mode) writer.str("mode").unsigned_integer(*t.mode);
  if (t.priority) writer.str("priority").integer(*t.priority);
  if (t.deadline_ms) writer.str("deadline_ms").integer(*t.deadline_ms);
  if (t.decompress) writer.str("decompress").str(*t.decompress);
  if (t.cache) writer.str("cache").boolean(*t.cache);
  if (t.pin) writer.str("pin").boolean(*t.pin);
  if (t.kind) writer.str("kind").str(*t.kind);
  if (t.durability) writer.str("durability").str(*t.durability);
  if (t.symlinks) writer.str("symlinks").str(*t.symlinks);
  if (t.tree_atomic) writer.str("tree_atomic").boolean(*t.tree_atomic);
}

void write_fault(Writer& writer, const StageFault& fault) {
  writer.map(7).str("code").unsigned_integer(fault.code).str("message").str(fault.message);
  writer.str("source").bin(fault.source).str("target").bin(fault.target).str("retryable").boolean(fault.retryable);
  writer.str("failures").array(fault.failures.size());
  for (const StageFailure& failure : fault.failures) {
    writer.map(3).str("path").bin(failure.path).str("code").unsigned_integer(failure.code);
    writer.str("message").str(failure.message);
  }
  writer.str("failure_count").unsigned_integer(fault.failure_count);
}

void write_end(Writer& writer, const TransferEnd& end) {
  writer.map(11).str("state").str(end.state).str("bytes").unsigned_integer(end.bytes);
  writer.str("files").unsigned_integer(end.files).str("seconds").number(end.seconds).str("checksum");
  end.checksum ? writer.str(*end.checksum) : writer.nil();
  writer.str("engine").str(end.engine).str("resumed_bytes").unsigned_integer(end.resumed_bytes);
  writer.str("from_cache").boolean(end.from_cache).str("retries").unsigned_integer(end.retries).str("error");
  end.error ? write_fault(writer, *end.error) : static_cast<void>(writer.nil());
  writer.str("file_checksums");
  if (!end.file_checksums) {
    writer.nil();
    return;
  }
  writer.map(end.file_checksums->size());
  for (const auto& [path, checksum] : *end.file_checksums) writer.bin(path).str(checksum);
}

}  // namespace

template <>
Decoded<Stage> decode<Stage>(std::string_view frame) {
  return decode_with<Stage>(frame, read_stage);
}

template <>
Decoded<StageResult> decode<StageResult>(std::string_view frame) {
  return decode_with<StageResult>(frame, [](Reader& reader, StageResult& body) {
    read_map(reader, [&](std::string_view key) {
      if (key == "seconds") {
        body.seconds = reader.number();
      } else if (key == "transfers") {
        read_array(
            reader, [&](std::size_t) { read_end(reader, body.transfers.emplace_back()); }, kTransfersMax);
      } else {
        return false;
      }
      return true;
    });
  });
}

template <>
Decoded<Progress> decode<Progress>(std::string_view frame) {
  return decode_with<Progress>(frame, [](Reader& reader, Progress& body) {
    read_map(reader, [&](std::string_view key) {
      if (key == "bytes") {
        body.bytes = reader.unsigned_integer();
      } else if (key == "bytes_total") {
        body.bytes_total = optional_of(reader, [&] { return reader.unsigned_integer(); });
      } else if (key == "files") {
        body.files = reader.unsigned_integer();
      } else if (key == "files_total") {
        body.files_total = optional_of(reader, [&] { return reader.unsigned_integer(); });
      } else {
        return false;
      }
      return true;
    });
  });
}

std::string encode(const Stage& body) {
  Writer writer;
  writer.map(body.detach ? 2 : 1).str("transfers").array(body.transfers.size());
  for (const Transfer& transfer : body.transfers) write_transfer(writer, transfer);
  if (body.detach) writer.str("detach").boolean(*body.detach);
  return writer.take();
}

std::string encode(const StageResult& body) {
  Writer writer;
  writer.map(2).str("seconds").number(body.seconds).str("transfers").array(body.transfers.size());
  for (const TransferEnd& end : body.transfers) write_end(writer, end);
  return writer.take();
}

std::string encode(const Progress& body) {
  Writer writer;
  writer.map(4).str("bytes").unsigned_integer(body.bytes).str("bytes_total");
  body.bytes_total ? writer.unsigned_integer(*body.bytes_total) : writer.nil();
  writer.str("files").unsigned_integer(body.files).str("files_total");
  body.files_total ? writer.unsigned_integer(*body.files_total) : writer.nil();
  return writer.take();
}

}  // namespace windlass::proto
