// One frame of a message: bytes that do not change, shared by whoever still needs them. Frames that came in and columns
// that go out are never copied where their size is worth it. Copies are cheap; any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace windlass::worker {

class Frame {
 public:
  Frame() = default;
  explicit Frame(std::string bytes) {
    auto owned = std::make_shared<const std::string>(std::move(bytes));
    view_ = *owned;
    owner_ = std::move(owned);
  }
  // `bytes` stay as long as `owner` does.
  Frame(std::shared_ptr<const void> owner, std::string_view bytes) : owner_(std::move(owner)), view_(bytes) {}

  [[nodiscard]] std::string_view view() const { return view_; }
  [[nodiscard]] std::size_t size() const { return view_.size(); }
  [[nodiscard]] const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

using Frames = std::vector<Frame>;

[[nodiscard]] inline std::size_t bytes_of(const Frames& frames) {
  std::size_t bytes = 0;
  for (const Frame& frame : frames) bytes += frame.size();
  return bytes;
}

}  // namespace windlass::worker
