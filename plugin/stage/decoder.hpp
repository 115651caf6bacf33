// What gzip (RFC 1952, zlib) and zstd (RFC 8878, libzstd) made, undone piece by piece: any number of members or frames,
// one after the other. No I/O. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "plugin/stage/memory.hpp"
#include "plugin/stage/result.hpp"

namespace windlass::stage {

enum class Packing : std::uint8_t { gzip, zstd };
enum class Decompress : std::uint8_t { gzip, zstd, automatic };  // what is asked for

std::string_view name_of(Packing packing);

// By a file's first bytes, of which kMagicBytes tell; absent where they are of neither.
inline constexpr std::size_t kMagicBytes = 4;
std::optional<Packing> packing_of(std::string_view begin);

class Decoder {
 public:
  struct Step {
    std::size_t taken = 0;
    std::size_t given = 0;
  };

  virtual ~Decoder() = default;
  // Takes from `in` and gives to `out` as much as it can; nothing of both where it needs more of one. Fails, and is of
  // no use any more, with DATA_LOSS where the bytes are not sound, and as `take_memory` does. The message says why and
  // what to do; where is for the caller to say.
  virtual Result<Step> step(std::string_view in, char* out, std::size_t room) = 0;
  // Nothing was begun that is not complete: the bytes may end here.
  [[nodiscard]] virtual bool complete() const = 0;
};

// What zstd takes for itself beside its window, which may be large and is asked for before it is made, with this.
inline constexpr std::uint64_t kZstdOwnBytes = 512U << 10U;
using TakeMemory = std::function<Result<Memory::Share>(std::uint64_t)>;

// The header of a zstd frame, as far as it is there.
struct ZstdHead {
  std::size_t bytes = 0;     // that it has, or that are needed to know
  std::uint64_t window = 0;  // once all of it is there
};
ZstdHead zstd_head(std::string_view begin);

std::unique_ptr<Decoder> make_decoder(Packing packing, TakeMemory take_memory);

}  // namespace windlass::stage
