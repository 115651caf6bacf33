#include "plugin/stage/request.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <msgpack.hpp>
#include <random>

#include "plugin/stage/report.hpp"

namespace windlass::stage {
namespace {

using Packer = msgpack::packer<msgpack::sbuffer>;

void pack_bin(Packer& packer, std::string_view bytes) {
  packer.pack_bin(static_cast<std::uint32_t>(bytes.size()));
  packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

// A request of one transfer with `more` fields besides source and target.
std::string body(std::uint32_t more, const std::function<void(Packer&)>& fields) {
  msgpack::sbuffer buffer;
  Packer packer(buffer);
  packer.pack_map(2);
  packer.pack("transfers");
  packer.pack_array(1);
  packer.pack_map(2 + more);
  packer.pack("source");
  pack_bin(packer, "/a\xFF");
  packer.pack("target");
  pack_bin(packer, "/b");
  if (fields) fields(packer);
  packer.pack("detach");
  packer.pack(true);
  return {buffer.data(), buffer.size()};
}

template <class Value>
Result<Request> with(const char* key, const Value& value) {
  return decode_request(body(1,
                             [&](Packer& packer) {
                               packer.pack(key);
                               packer.pack(value);
                             }),
                        Symlinks::keep);
}

TEST(StageRequest, ReadsEveryField) {
  const auto request = decode_request(body(9,
                                           [](Packer& packer) {
                                             packer.pack("range"), packer.pack(std::vector<std::uint64_t>{5, 7});
                                             packer.pack("size"), packer.pack(7);
                                             packer.pack("checksum"), packer.pack("crc32c:e3069283");
                                             packer.pack("mode"), packer.pack(0640);
                                             packer.pack("priority"), packer.pack(-3);
                                             packer.pack("deadline_ms"), packer.pack(-5);
                                             packer.pack("kind"), packer.pack("result");
                                             packer.pack("symlinks"), packer.pack("skip");
                                             packer.pack("tree_atomic"), packer.pack(true);
                                           }),
                                      Symlinks::keep);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_TRUE(request->detach);
  const Transfer& transfer = request->transfers.at(0);
  EXPECT_EQ(transfer.source.path(), "/a\xFF");
  EXPECT_EQ(transfer.range->length, 7U);
  EXPECT_EQ(transfer.size, 7U);
  EXPECT_EQ(transfer.checksum->expected, "e3069283");
  EXPECT_EQ(transfer.mode, 0640U);
  EXPECT_EQ(transfer.priority, -3);
  EXPECT_EQ(transfer.deadline_ms, -5);
  EXPECT_EQ(transfer.durability, Durability::full) << "results are fully durable unless something else is said";
  EXPECT_EQ(transfer.symlinks, Symlinks::skip);
  EXPECT_TRUE(transfer.tree_atomic);
}

TEST(StageRequest, TakesDefaults) {
  const auto request = decode_request(body(0, {}), Symlinks::refuse);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->transfers[0].durability, Durability::file);
  EXPECT_EQ(request->transfers[0].symlinks, Symlinks::refuse);
  EXPECT_EQ(with("durability", "none")->transfers[0].durability, Durability::none);
}

TEST(StageRequest, LosesNoWish) {
  EXPECT_EQ(with("cahce", true).error().code, Code::invalid_argument);
  EXPECT_EQ(with("cache", true).error().code, Code::unimplemented);
  EXPECT_EQ(with("pin", true).error().field, "pin");
  EXPECT_TRUE(with("cache", false));
}

TEST(StageRequest, TakesWhatIsToBeUndone) {
  EXPECT_EQ(with("decompress", "gzip")->transfers[0].decompress, Decompress::gzip);
  EXPECT_EQ(with("decompress", "zstd")->transfers[0].decompress, Decompress::zstd);
  EXPECT_EQ(with("decompress", "auto")->transfers[0].decompress, Decompress::automatic);
  EXPECT_EQ(with("priority", 1)->transfers[0].decompress, std::nullopt);
  EXPECT_EQ(with("decompress", "lzma").error().code, Code::invalid_argument);
  const auto both = decode_request(body(2,
                                        [](Packer& packer) {
                                          packer.pack("range");
                                          packer.pack(std::vector<std::uint64_t>{0, 1});
                                          packer.pack("decompress");
                                          packer.pack("auto");
                                        }),
                                   Symlinks::keep);
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().code, Code::invalid_argument);
}

TEST(StageRequest, RefusesMalformedFields) {
  EXPECT_EQ(with("mode", 04755).error().code, Code::invalid_argument);
  EXPECT_EQ(with("size", -1).error().code, Code::invalid_argument);
  EXPECT_EQ(with("range", std::vector<std::int64_t>{1}).error().code, Code::invalid_argument);
  EXPECT_EQ(with("range", std::vector<std::uint64_t>{1, INT64_MAX}).error().code, Code::invalid_argument);
  EXPECT_EQ(with("checksum", "sha512").error().field, "checksum");
  EXPECT_EQ(with("durability", "most").error().row, 0);
  EXPECT_EQ(with("tree_atomic", 1).error().code, Code::invalid_argument);
}

// Whatever is cut, flipped or announced, the answer is a request or a refusal.
TEST(StageRequest, OutlivesHostileBytes) {
  const std::string good = body(1, [](Packer& packer) {
    packer.pack("range");
    packer.pack(std::vector<std::uint64_t>{5, 7});
  });
  for (std::size_t cut = 0; cut < good.size(); ++cut) EXPECT_FALSE(decode_request(good.substr(0, cut), Symlinks::keep));
  std::minstd_rand random(11);
  for (int round = 0; round < 20'000; ++round) {
    std::string bad = good;
    for (int i = 0; i < 3; ++i) bad[random() % bad.size()] = static_cast<char>(random());
    const auto request = decode_request(bad, Symlinks::keep);
    if (!request) {
      EXPECT_FALSE(request.error().message.empty());
    }
  }
  EXPECT_FALSE(decode_request(std::string("\xDD\xFF\xFF\xFF\xFF", 5), Symlinks::keep));
  EXPECT_FALSE(decode_request(std::string(1000, '\x91'), Symlinks::keep));
}

TEST(StageReport, IsReadBack) {
  const auto request = decode_request(body(0, {}), Symlinks::keep);
  Outcome outcome;
  outcome.error.emplace();
  outcome.error->code = Code::data_loss;
  outcome.failures.push_back({"a\xFF", Code::not_found, "gone"});
  outcome.failure_count = 7;
  outcome.file_checksums.emplace();
  (*outcome.file_checksums)["x\xFE"] = "md5:00";
  const std::string report = encode_report(request->transfers, {outcome}, 1.5);
  const auto handle = msgpack::unpack(report.data(), report.size());
  const auto whole = handle->as<std::map<std::string, msgpack::object>>();
  const auto first = whole.at("transfers").as<std::vector<std::map<std::string, msgpack::object>>>().at(0);
  EXPECT_EQ(first.at("state").as<std::string>(), "failed");
  EXPECT_TRUE(first.at("checksum").is_nil());
  const auto error = first.at("error").as<std::map<std::string, msgpack::object>>();
  EXPECT_EQ(error.at("code").as<int>(), 15);
  EXPECT_EQ(error.at("failure_count").as<int>(), 7);
  EXPECT_EQ(error.at("source").type, msgpack::type::BIN);
  EXPECT_EQ(error.at("failures").via.array.size, 1U);
  EXPECT_EQ(first.at("file_checksums").via.map.ptr[0].key.type, msgpack::type::BIN);
}

}  // namespace
}  // namespace windlass::stage
