// The daemon's keys while it runs: its own, whom it lets in, and which bridge it believes. No socket. Control thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "worker/base/config.hpp"
#include "worker/base/keys.hpp"
#include "worker/base/log.hpp"
#include "worker/core/answer.hpp"

namespace windlass::worker {

class Security {
 public:
  // Null where security.keys is empty. The error is a whole sentence.
  static tl::expected<std::unique_ptr<Security>, std::string> open(const SecurityConfig& config);

  [[nodiscard]] const OwnKey& own() const { return own_; }
  [[nodiscard]] const AllowedFile& allowed() const { return allowed_; }

  // Looks after the list, once a second however often it is called. A list that cannot be read changes nothing.
  void turn(Time now);

  // The key to demand of the bridge at the next dial: where there are several they take turns, beginning with the one
  // that the bridge had last, so that a bridge may change its key. Nothing where none is believed (any more).
  std::optional<KeyBytes> next_bridge_key();
  // The bridge has the key of the last dial.
  void bridge_answered() { answered_ = true; }
  // Whether it may have another one.
  [[nodiscard]] bool has_other_bridge_key() const;
  // Whether the key of the last dial is still believed.
  [[nodiscard]] bool believes_bridge() const;

 private:
  Security(OwnKey own, AllowedFile allowed, std::optional<KeyBytes> pinned);
  [[nodiscard]] std::vector<KeyBytes> bridge_keys() const;

  OwnKey own_;
  AllowedFile allowed_;
  std::optional<KeyBytes> pinned_;
  std::optional<KeyBytes> dialled_;
  bool answered_ = false;
  Time look_due_{};
  LogLimit log_;
};

}  // namespace windlass::worker
