// What waits, by owner: one of each owner is served in turn, in the order in which it came, so that whoever asks much
// waits for himself. Bounded in number and bytes; where it is full the newest of whoever has most in it makes room for
// one that has less. One item that is larger than all the bytes may wait beside them, or it never could. No lock, no
// clock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/keyed_hash.hpp"

namespace windlass::worker {

template <class Item>
class FairQueue {
 public:
  FairQueue(std::size_t items_max, std::size_t bytes_max) : items_max_(items_max), bytes_max_(bytes_max) {}

  struct Pushed {
    bool taken = false;
    std::vector<Item> displaced;  // out of the queue now; empty where it was not taken
  };
  Pushed push(const std::string& owner, Item item, std::size_t bytes) {
    const bool huge = bytes > bytes_max_;
    if (huge && has_huge_) return {};
    if (huge) bytes = 0;  // of those that are bounded
    const auto found = lanes_.find(owner);
    const std::size_t items_after = (found == lanes_.end() ? 0 : found->second.entries.size()) + 1;
    const std::size_t bytes_after = (found == lanes_.end() ? 0 : found->second.bytes) + bytes;
    Pushed pushed;
    if (!can_make_room(bytes, items_after, bytes_after)) return pushed;
    while (bytes_ + bytes > bytes_max_) pushed.displaced.push_back(displace(by_bytes));
    if (size_ >= items_max_) pushed.displaced.push_back(displace(by_items));
    Lane& lane = lanes_.try_emplace(owner).first->second;
    if (lane.entries.empty()) lane.turn = turns_.insert(turns_.end(), owner);
    lane.entries.push_back({std::move(item), bytes, huge});
    has_huge_ = has_huge_ || huge;
    lane.bytes += bytes;
    ++size_;
    bytes_ += bytes;
    pushed.taken = true;
    return pushed;
  }

  std::optional<Item> pop() {
    if (turns_.empty()) return std::nullopt;
    const auto found = lanes_.find(turns_.front());
    Lane& lane = found->second;
    Entry entry = std::move(lane.entries.front());
    lane.entries.pop_front();
    turns_.splice(turns_.end(), turns_, lane.turn);
    took(found, entry);
    return std::move(entry.item);
  }

  // True where it was there.
  bool remove(const std::string& owner, const Item& item) {
    const auto found = lanes_.find(owner);
    if (found == lanes_.end()) return false;
    auto& entries = found->second.entries;
    const auto at = std::find_if(entries.begin(), entries.end(), [&](const Entry& each) { return each.item == item; });
    if (at == entries.end()) return false;
    const Entry entry = std::move(*at);
    entries.erase(at);
    took(found, entry);
    return true;
  }

  void clear() {
    lanes_.clear();
    turns_.clear();
    size_ = bytes_ = 0;
    has_huge_ = false;
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }  // without those of the one that is larger
  [[nodiscard]] bool empty() const { return size_ == 0; }
  // The first of each owner.
  template <class Look>
  void fronts(Look&& look) const {
    for (const auto& [owner, lane] : lanes_) look(lane.entries.front().item);
  }

 private:
  struct Entry {
    Item item;
    std::size_t bytes;
    bool huge;
  };
  struct Lane {  // never empty between two calls
    std::deque<Entry> entries;
    std::size_t bytes = 0;
    std::list<std::string>::iterator turn;
  };
  using Lanes = proto::KeyedMap<std::string, Lane>;

  static std::size_t by_items(const Lane& lane) { return lane.entries.size(); }
  static std::size_t by_bytes(const Lane& lane) { return lane.bytes; }

  // Whether what others have beyond what the newcomer's owner would have is enough to make room.
  [[nodiscard]] bool can_make_room(std::size_t bytes, std::size_t items_after, std::size_t bytes_after) const {
    if (size_ < items_max_ && bytes_ + bytes <= bytes_max_) return true;
    std::size_t bytes_over = 0;
    std::size_t items_most = 0;
    for (const auto& [owner, lane] : lanes_) {
      if (lane.bytes > bytes_after) bytes_over += lane.bytes - bytes_after;
      items_most = std::max(items_most, lane.entries.size());
    }
    if (bytes_ + bytes > bytes_max_ && bytes_ + bytes - bytes_max_ > bytes_over) return false;
    return size_ < items_max_ || items_most > items_after;
  }

  template <class Measure>
  Item displace(Measure measure) {
    const auto most = std::max_element(lanes_.begin(), lanes_.end(), [&](const auto& one, const auto& other) {
      return measure(one.second) < measure(other.second);
    });
    Entry entry = std::move(most->second.entries.back());
    most->second.entries.pop_back();
    took(most, entry);
    return std::move(entry.item);
  }

  void took(typename Lanes::iterator from, const Entry& entry) {
    Lane& lane = from->second;
    lane.bytes -= entry.bytes;
    --size_;
    bytes_ -= entry.bytes;
    if (entry.huge) has_huge_ = false;
    if (!lane.entries.empty()) return;
    turns_.erase(lane.turn);
    lanes_.erase(from);
  }

  std::size_t items_max_;
  std::size_t bytes_max_;
  Lanes lanes_;
  std::list<std::string> turns_;  // owners; who is served next stands first
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
  bool has_huge_ = false;
};

}  // namespace windlass::worker
