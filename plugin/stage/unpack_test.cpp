// Files that are decompressed: through any number of buffers, and as transfers with their limits.
#include "plugin/stage/unpack.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <thread>

#include "plugin/stage/testing/harness.hpp"
#include "plugin/stage/testing/packed.hpp"
#include "plugin/stage/uring_queue.hpp"

namespace windlass::stage {
namespace {

struct Kind {
  const char* name;
  bool ring;
  unsigned buffers;
  unsigned short_one_in = 0;
  bool direct = false;
};

class UnpackBytes : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam().ring && !testing::engine_is_here("uring")) GTEST_SKIP() << "io_uring is denied here";
    queue = GetParam().ring ? std::move(*make_uring_queue()) : make_plain_queue();
    if (GetParam().short_one_in == 0) return;
    faults.cut_short(42, GetParam().short_one_in);
    queue = std::make_unique<testing::FaultyQueue>(std::move(queue), faults);
  }

  Result<std::uint64_t> unpack(Packing packing, const std::string& bytes, UnpackTask task = {}) {
    const int flags = GetParam().direct ? O_DIRECT : 0;
    from = Fd(::open(folder.write("from", bytes).c_str(), O_RDONLY | O_CLOEXEC | flags));
    to = Fd(::open(folder.at("to").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | flags, 0600));
    const std::uint32_t alignment = GetParam().direct ? 4096 : 1;
    task.packing = packing;
    task.from = {IoOp::Kind::read, from.get(), 0, GetParam().direct, alignment, "from"};
    task.to = {IoOp::Kind::write, to.get(), 0, GetParam().direct, alignment, "to"};
    task.source_bytes = bytes.size();
    return unpack_bytes(real_fs(), *queue, buffers, limits, task, pace);
  }

  testing::Folder folder;
  testing::Faults faults;
  std::unique_ptr<IoQueue> queue;
  Buffers buffers{GetParam().buffers, 8192};
  testing::QuietPace pace;
  Memory memory{64U << 20U};
  UnpackLimits limits{1000, 32U << 20U, memory};
  Fd from, to;
};

TEST_P(UnpackBytes, GivesWhatWasPacked) {
  for (const Packing packing : {Packing::gzip, Packing::zstd}) {
    for (const std::size_t size : {0U, 1U, 4095U, 4096U, 4097U, 8191U, 8192U, 8193U, 24'576U, 300'000U}) {
      for (const bool flat : {false, true}) {
        const std::string content = flat ? std::string(size, 'x') : testing::noise(size);
        const auto hasher = make_hasher(ChecksumKind::xxh3);
        pace.bytes_moved = 0;
        const auto bytes = unpack(packing, testing::packed(packing, content) + testing::packed(packing, "end"),
                                  {.size = size + 3, .hasher = hasher.get()});
        ASSERT_TRUE(bytes) << bytes.error().message;
        ASSERT_EQ(*bytes, size + 3);
        ASSERT_EQ(::ftruncate(to.get(), static_cast<off_t>(*bytes)), 0);
        ASSERT_TRUE(folder.read("to") == content + "end") << size << flat;
        EXPECT_EQ(pace.bytes_moved, size + 3);
        EXPECT_EQ(pace.held, 0);
        const auto truth = make_hasher(ChecksumKind::xxh3);
        truth->add((content + "end").data(), size + 3);
        EXPECT_EQ(hasher->hex(), truth->hex());
      }
    }
  }
}

TEST_P(UnpackBytes, EndsAsSoonAsItIsTooMuch) {
  for (const Packing packing : {Packing::gzip, Packing::zstd}) {
    const std::string bomb = testing::packed(packing, std::string(50'000'000, 'x'));
    pace.bytes_moved = 0;
    const auto bytes = unpack(packing, bomb, {.size = 100'000});
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code, Code::data_loss) << bytes.error().message;
    EXPECT_LE(pace.bytes_moved, 100'001U);
    limits.ratio_max = 3;
    const auto too_many = unpack(packing, bomb);
    ASSERT_FALSE(too_many);
    EXPECT_EQ(too_many.error().code, Code::resource_exhausted) << too_many.error().message;
    EXPECT_LE(pace.bytes_moved, 100'001U + 3 * std::max<std::size_t>(bomb.size(), 4096) + 1);
    EXPECT_EQ(pace.held, 0);
    limits.ratio_max = 1000;
  }
}

TEST_P(UnpackBytes, SaysWhereTheBytesEndTooEarly) {
  const std::string whole = testing::packed(Packing::gzip, testing::noise(100'000));
  for (const std::size_t cut : {whole.size() - 1, whole.size() - 9, whole.size() / 2, std::size_t{10}}) {
    const auto bytes = unpack(Packing::gzip, whole.substr(0, cut));
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code, Code::data_loss);
    EXPECT_NE(bytes.error().message.find("'from' near byte " + std::to_string(cut)), std::string::npos)
        << bytes.error().message;
  }
}

TEST_P(UnpackBytes, AsksForRoomForAllThatItWrites) {
  std::uint64_t asked = 0;
  const std::string packed = testing::packed(Packing::zstd, testing::noise(100'000));
  const auto note = [&](std::uint64_t bytes) -> Status {
    asked += bytes;
    return {};
  };
  ASSERT_TRUE(unpack(Packing::zstd, packed, {.room = note}));
  EXPECT_EQ(asked, 100'000U);
  const auto full = [](std::uint64_t) -> Status { return fail(Code::resource_exhausted, "no room"); };
  EXPECT_EQ(unpack(Packing::zstd, packed, {.room = full}).error().message, "no room");
  EXPECT_EQ(pace.held, 0);
}

TEST_P(UnpackBytes, EndsWhereItIsCancelled) {
  const std::string packed = testing::packed(Packing::gzip, testing::noise(100'000));
  for (std::int64_t after = 0; after < 12; ++after) {
    pace.cancel_after = after;
    EXPECT_EQ(unpack(Packing::gzip, packed).error().code, Code::cancelled);
    EXPECT_EQ(pace.held, 0);
  }
}

TEST_P(UnpackBytes, TakesAWindowFromTheMemoryThereIs) {
  const std::string packed = testing::packed(Packing::zstd, "words", 1, 21);
  limits.window_bytes = 2U << 20U;
  const auto never = unpack(Packing::zstd, packed);
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code, Code::resource_exhausted);
  EXPECT_NE(never.error().message.find("stage.bytes_in_flight_max by"), std::string::npos) << never.error().message;
  limits.window_bytes = 32U << 20U;
  auto taken = memory.take(63U << 20U);
  ASSERT_TRUE(taken);
  EXPECT_TRUE(unpack(Packing::gzip, testing::packed(Packing::gzip, "words"))) << "whose window is small";
  std::thread other([&] {
    EXPECT_TRUE(testing::eventually([&] { return memory.waiting == 1; }));
    taken.reset();
  });
  EXPECT_TRUE(unpack(Packing::zstd, packed)) << "once another has given it back";
  other.join();
  EXPECT_EQ(memory.waiting, 0U);
  EXPECT_TRUE(memory.has(64U << 20U)) << "given back";
  const auto all = memory.take(63U << 20U);
  pace.cancel_after = 3;
  EXPECT_EQ(unpack(Packing::zstd, packed).error().code, Code::cancelled);
  EXPECT_EQ(pace.held, 0);
}

INSTANTIATE_TEST_SUITE_P(Queues, UnpackBytes,
                         ::testing::Values(Kind{"plain1", false, 1}, Kind{"plain4", false, 4}, Kind{"ring1", true, 1},
                                           Kind{"ring2", true, 2}, Kind{"ring3", true, 3}, Kind{"ring4", true, 4},
                                           Kind{"plainShort", false, 4, 3}, Kind{"ringShort", true, 4, 3},
                                           Kind{"ringDirect2", true, 2, 0, true}, Kind{"ringDirect4", true, 4, 0, true},
                                           Kind{"ringDirectShort", true, 4, 3, true}),
                         [](const auto& one) { return one.param.name; });

// Tells of less and less room.
class FillingFs final : public testing::FaultyFs {
 public:
  explicit FillingFs(testing::Faults& faults) : FaultyFs(real_fs(), faults) {}
  int space(int fd, Space& space) override {
    const int result = FaultyFs::space(fd, space);
    if (free_bytes > 0) space.free_bytes = std::max<std::int64_t>(0, free_bytes -= step);
    return result;
  }
  std::int64_t free_bytes = 0, step = 0;
};

class Unpacked : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!testing::engine_is_here(GetParam())) GTEST_SKIP() << "io_uring is denied here";
  }
  void open(Options options = {}) { stager = testing::open_stager(GetParam(), std::move(options), fs, &faults); }
  Transfer transfer(const std::string& bytes, Decompress how = Decompress::automatic) {
    Transfer one = testing::transfer_of(folder.write("from", bytes), folder.at("to"));
    one.decompress = how;
    return one;
  }
  void expect_nothing_left() {
    EXPECT_FALSE(folder.has("to"));
    EXPECT_TRUE(folder.leftovers().empty());
    EXPECT_EQ(stager->counters().bytes_in_flight, 0U);
  }

  testing::Folder folder;
  testing::Faults faults;
  FillingFs fs{faults};
  std::unique_ptr<Stager> stager;
};

TEST_P(Unpacked, GoesThroughLargeBuffersAsThroughSmallOnes) {
  const std::string content = testing::noise(3U << 20U) + std::string(1U << 20U, 'x') + testing::noise(777);
  for (const std::uint64_t budget : {24ULL << 10U, 200ULL << 10U, 4ULL << 20U, 12ULL << 20U, 64ULL << 20U}) {
    Options options;
    options.bytes_in_flight_max = budget;
    open(options);
    for (const Packing packing : {Packing::gzip, Packing::zstd}) {
      if (packing == Packing::zstd && budget < (1U << 20U)) continue;
      const Outcome outcome = testing::stage_one(*stager, transfer(testing::packed(packing, content, 1, 18)));
      ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
      EXPECT_EQ(outcome.bytes, content.size());
      EXPECT_TRUE(folder.read("to") == content) << budget;
      EXPECT_EQ(outcome.engine, GetParam());
      EXPECT_EQ(stager->counters().bytes_in_flight, 0U);
    }
  }
}

TEST_P(Unpacked, LeavesTheRoomThatShallStayFree) {
  Options options;
  options.space.free_min = 10U << 20U;
  open(options);
  const Transfer one = transfer(testing::packed(Packing::gzip, testing::noise(8U << 20U)));
  fs.step = 4U << 20U;
  fs.free_bytes = 24U << 20U;  // enough for what the source has, and then less with each look
  const Outcome outcome = testing::stage_one(*stager, one);
  fs.free_bytes = 0;
  ASSERT_EQ(outcome.state, State::failed);
  EXPECT_EQ(outcome.error->code, Code::resource_exhausted);
  EXPECT_NE(outcome.error->message.find("stage.free_min"), std::string::npos) << outcome.error->message;
  expect_nothing_left();
  EXPECT_EQ(testing::stage_one(*stager, one).state, State::done);
}

TEST_P(Unpacked, CountsAgainstTheQuotaWhatItWrites) {
  Options options;
  options.schedule.quota_per_client = 1'000'000;
  open(options);
  const Outcome outcome =
      testing::stage_one(*stager, transfer(testing::packed(Packing::gzip, std::string(1'000'001, 'x'))));
  ASSERT_EQ(outcome.state, State::failed);
  EXPECT_EQ(outcome.error->code, Code::resource_exhausted);
  EXPECT_NE(outcome.error->message.find("quota_per_client"), std::string::npos) << outcome.error->message;
  expect_nothing_left();
  const std::string fits = testing::packed(Packing::gzip, std::string(1'000'000, 'x'));
  for (int turn = 0; turn < 2; ++turn) EXPECT_EQ(testing::stage_one(*stager, transfer(fits)).state, State::done);
  Transfer told = transfer(fits);
  told.size = 1'000'001;
  Request request;
  request.transfers.push_back(told);
  EXPECT_EQ(stager->submit(std::move(request), "", 0).error().code, Code::resource_exhausted) << "before it begins";
}

TEST_P(Unpacked, ReadsASourceAgainThatChangesAndNeverTakesItForDamaged) {
  const std::string first = testing::packed(Packing::gzip, testing::noise(2U << 20U, 1));
  const std::string second = testing::packed(Packing::zstd, testing::noise(100'000, 2));
  const std::string cut = first.substr(0, first.size() / 2);
  open();
  for (const std::string& before : {first, cut}) {
    std::uint32_t retries = 0;
    std::uint64_t at = 1;
    for (bool struck = true; struck; ++at) {  // at each completion in turn
      faults.stall_at(at);
      const auto call = testing::submit_one(*stager, transfer(before));
      ASSERT_TRUE(testing::eventually([&] { return faults.stalled() > 0 || call->ended(); }));
      struck = faults.stalled() > 0;
      if (struck) folder.write("from", second);
      faults.release();
      call->wait(std::nullopt);
      const Outcome& outcome = call->outcome(0);
      retries += outcome.retries;
      if (before == cut && outcome.state == State::failed) {
        EXPECT_EQ(outcome.error->code, Code::data_loss) << "it was read before it changed";
        continue;
      }
      ASSERT_EQ(outcome.state, State::done) << at << ": " << outcome.error->message;
      const std::string now = folder.read("to");
      EXPECT_TRUE(now == testing::noise(100'000, 2) || (now == testing::noise(2U << 20U, 1) && before == first)) << at;
    }
    EXPECT_GT(retries, 0U);
    EXPECT_GT(at, 15U);
  }
}

TEST_P(Unpacked, CanBeCancelledMidway) {
  Options options;
  options.bandwidth_max = 4U << 20U;
  open(options);
  const auto call = testing::submit_one(*stager, transfer(testing::packed(Packing::zstd, testing::noise(64U << 20U))));
  ASSERT_TRUE(testing::eventually([&] { return call->progress().bytes_done > 0; }));
  EXPECT_EQ(call->progress().bytes_total, -1) << "how much comes out is not known";
  stager->cancel(call);
  call->wait(std::nullopt);
  EXPECT_EQ(call->outcome(0).state, State::cancelled);
  expect_nothing_left();
}

TEST_P(Unpacked, WhoWaitsForTheMemoryOfAWindowKeepsNobodyElse) {
  Options options;
  options.bandwidth_max = 1U << 20U;
  open(options);
  Transfer one = transfer(testing::packed(Packing::zstd, testing::noise(40U << 20U), 1, 25));
  std::vector<std::shared_ptr<Call>> calls;
  for (int i = 0; i < 2; ++i) {
    one.target = *parse_place(folder.at("large" + std::to_string(i)));
    calls.push_back(testing::submit_one(*stager, one));
  }
  ASSERT_TRUE(testing::eventually([&] { return stager->counters().running == 2; }));
  folder.write("small", "bytes");
  EXPECT_EQ(testing::stage_one(*stager, folder.at("small"), folder.at("to")).state, State::done);
  EXPECT_LE(stager->counters().bytes_in_flight, options.bytes_in_flight_max);
  for (const auto& call : calls) {
    EXPECT_FALSE(call->ended());
    stager->cancel(call);
    call->wait(std::nullopt);
    EXPECT_EQ(call->outcome(0).state, State::cancelled);
  }
  EXPECT_TRUE(folder.leftovers().empty());
  EXPECT_EQ(stager->counters().bytes_in_flight, 0U);
}

TEST_P(Unpacked, BytesThatAreToldAreBroughtAtOnceWhereTheyFit) {
  open();
  const std::string content = testing::noise(3U << 20U);
  Transfer one = transfer(testing::packed(Packing::zstd, content));
  one.size = content.size();
  const auto call = testing::submit_one(*stager, one);
  call->wait(std::nullopt);
  ASSERT_EQ(call->outcome(0).state, State::done) << call->outcome(0).error->message;
  EXPECT_EQ(call->progress().bytes_total, static_cast<std::int64_t>(content.size()));
  EXPECT_TRUE(folder.read("to") == content);
}

INSTANTIATE_TEST_SUITE_P(Engines, Unpacked, ::testing::Values("uring", "threads"));

}  // namespace
}  // namespace windlass::stage
