// A number of bytes that is shared out. Thread-safe; holds no memory itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

namespace windlass::stage {

class Memory {
 public:
  explicit Memory(std::uint64_t bytes) : free_(bytes) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // A share, given back at its end. It must end before the whole does.
  class Share {
   public:
    Share(Share&& other) noexcept : of_(std::exchange(other.of_, nullptr)), bytes_(other.bytes_) {}
    Share& operator=(Share&&) = delete;
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() {
      if (of_ != nullptr) of_->free_ += bytes_;
    }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

   private:
    friend class Memory;
    Share(Memory& of, std::uint64_t bytes) : of_(&of), bytes_(bytes) {}
    Memory* of_;
    std::uint64_t bytes_;
  };

  // Absent where there is less.
  std::optional<Share> take(std::uint64_t bytes) {
    std::uint64_t now = free_.load();
    while (now >= bytes)
      if (free_.compare_exchange_weak(now, now - bytes)) return Share(*this, bytes);
    return std::nullopt;
  }
  // Who waits until there is enough says so as long as it does.
  std::atomic<unsigned> waiting{0};
  [[nodiscard]] bool has(std::uint64_t bytes) const { return free_.load() >= bytes; }

 private:
  std::atomic<std::uint64_t> free_;
};

}  // namespace windlass::stage
