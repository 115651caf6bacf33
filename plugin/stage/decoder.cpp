#include "plugin/stage/decoder.hpp"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <new>
#include <string>
#include <utility>

namespace windlass::stage {
namespace {

constexpr std::string_view kGzipMagic("\x1f\x8b\x08", 3);
constexpr std::string_view kZstdMagic("\x28\xb5\x2f\xfd", 4);
constexpr std::string_view kSkippableMagic("\x2a\x4d\x18", 3);  // after a byte 0x50 to 0x5f

constexpr std::string_view kAdvice = "; nothing was published: check the source, it may be cut or damaged";

tl::unexpected<Error> unsound(std::string_view why) {
  return fail(Code::data_loss, std::string(why) + std::string(kAdvice));
}

class Gzip final : public Decoder {
 public:
  Gzip() {
    constexpr int kGzipWindow = 15 + 16;  // the largest window, and gzip's header and trailer
    if (::inflateInit2(&stream_, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip() override { ::inflateEnd(&stream_); }

  Result<Step> step(std::string_view in, char* out, std::size_t room) override {
    if (complete_) {
      if (in.empty()) return Step{};
      if (const std::size_t zeros = padding(in); zeros > 0) return Step{zeros, 0};
      ::inflateReset(&stream_);
      complete_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));  // zlib reads it alone
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(room);
    const int result = ::inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      return unsound(stream_.msg != nullptr ? stream_.msg : "no sound gzip data");
    complete_ = result == Z_STREAM_END;
    any_ = any_ || complete_;
    return Step{in.size() - stream_.avail_in, room - stream_.avail_out};
  }

  [[nodiscard]] bool complete() const override { return complete_; }

 private:
  // Zeros behind a member fill a block of a tape, as gzip and Python take it.
  [[nodiscard]] std::size_t padding(std::string_view in) const {
    return any_ ? std::min(in.find_first_not_of('\0'), in.size()) : 0;
  }

  z_stream stream_{};
  bool complete_ = true;
  bool any_ = false;
};

class Zstd final : public Decoder {
 public:
  explicit Zstd(TakeMemory take_memory) : take_memory_(std::move(take_memory)) {}
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
  ~Zstd() override { ZSTD_freeDCtx(context_); }

  // The head of a frame is kept back until it is whole, as it says how much memory the frame takes.
  Result<Step> step(std::string_view in, char* out, std::size_t room) override {
    if (in_frame_) return decode(in, out, room);
    const std::size_t before = head_.size();
    std::size_t taken = 0;
    while (taken < in.size() && head_.size() < zstd_head(head_).bytes) head_ += in[taken++];
    if (head_.size() < zstd_head(head_).bytes) return Step{taken, 0};
    if (auto ready = make_ready(zstd_head(head_).window); !ready) return fail(std::move(ready.error()));
    in_frame_ = true;
    const std::string head = std::exchange(head_, {});
    auto step = decode(head, out, room);
    if (!step) return step;
    assert(step->taken == head.size());
    return Step{head.size() - before, step->given};
  }

  [[nodiscard]] bool complete() const override { return !in_frame_ && head_.empty(); }

 private:
  // What the frames before it held is given back before more is waited for.
  Status make_ready(std::uint64_t window) {
    // A frame may say any number, and one that is too large for a sum is too large for any memory.
    const std::uint64_t needed = std::max(window, window + kZstdOwnBytes);
    if (context_ != nullptr && needed <= memory_->bytes()) return {};
    ZSTD_freeDCtx(std::exchange(context_, nullptr));
    memory_.reset();
    auto memory = take_memory_(needed);
    if (!memory) return fail(std::move(memory.error()));
    memory_.emplace(std::move(*memory));
    context_ = ZSTD_createDCtx();
    if (context_ == nullptr) throw std::bad_alloc();
    // a larger window is never taken: there is memory for the one that was asked for
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound);
    return {};
  }

  Result<Step> decode(std::string_view in, char* out, std::size_t room) {
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out, room, 0};
    const std::size_t result = ZSTD_decompressStream(context_, &to, &from);
    if (ZSTD_isError(result) != 0) return refused(result);
    in_frame_ = result != 0;
    return Step{from.pos, to.pos};
  }

  static tl::unexpected<Error> refused(std::size_t result) {
    const ZSTD_ErrorCode why = ZSTD_getErrorCode(result);
    if (why == ZSTD_error_memory_allocation) throw std::bad_alloc();
    if (why == ZSTD_error_dictionary_wrong)
      return fail(Code::data_loss,
                  "it was compressed with a dictionary, and none can be given; compress it without one");
    return unsound(ZSTD_getErrorName(result));
  }

  const TakeMemory take_memory_;
  std::optional<Memory::Share> memory_;
  ZSTD_DCtx* context_ = nullptr;
  std::string head_;  // of the next frame
  bool in_frame_ = false;
};

}  // namespace

std::string_view name_of(Packing packing) {
  return packing == Packing::gzip ? "gzip" : "zstd";
}

std::optional<Packing> packing_of(std::string_view begin) {
  if (begin.starts_with(kGzipMagic)) return Packing::gzip;
  if (begin.starts_with(kZstdMagic)) return Packing::zstd;
  const bool skippable = begin.size() >= kMagicBytes && (static_cast<unsigned char>(begin[0]) & 0xF0U) == 0x50 &&
                         begin.substr(1).starts_with(kSkippableMagic);
  return skippable ? std::optional(Packing::zstd) : std::nullopt;
}

// RFC 8878, 3.1.1.1. What is no header is as long as the magic, and zstd itself says what is wrong with it.
ZstdHead zstd_head(std::string_view begin) {
  if (begin.size() < kMagicBytes + 1) return {kMagicBytes + 1, 0};
  if (!begin.starts_with(kZstdMagic)) return {kMagicBytes + 1, 0};
  const auto byte = [&](std::size_t at) { return static_cast<std::uint64_t>(static_cast<unsigned char>(begin[at])); };
  const std::uint64_t descriptor = byte(kMagicBytes);
  const bool single_segment = (descriptor & 0x20U) != 0;
  constexpr std::array<std::size_t, 4> kDictionaryBytes{0, 1, 2, 4};
  constexpr std::array<std::size_t, 4> kContentBytes{0, 2, 4, 8};
  std::size_t content_bytes = kContentBytes[descriptor >> 6U];
  if (single_segment && content_bytes == 0) content_bytes = 1;
  const std::size_t dictionary = kMagicBytes + 1 + (single_segment ? 0 : 1);
  const std::size_t content = dictionary + kDictionaryBytes[descriptor & 3U];
  const ZstdHead head{content + content_bytes, 0};
  if (begin.size() < head.bytes) return head;
  if (!single_segment) {
    const std::uint64_t base = std::uint64_t{1} << (10 + (byte(kMagicBytes + 1) >> 3U));
    return {head.bytes, base + base / 8 * (byte(kMagicBytes + 1) & 7U)};
  }
  std::uint64_t size = content_bytes == 2 ? 256 : 0;
  for (std::size_t i = 0; i < content_bytes; ++i) size += byte(content + i) << 8U * i;
  return {head.bytes, size};
}

std::unique_ptr<Decoder> make_decoder(Packing packing, TakeMemory take_memory) {
  if (packing == Packing::gzip) return std::make_unique<Gzip>();
  return std::make_unique<Zstd>(std::move(take_memory));
}

}  // namespace windlass::stage
