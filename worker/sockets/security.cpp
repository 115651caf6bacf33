#include "worker/sockets/security.hpp"

#include <algorithm>
#include <utility>

#include "worker/core/limits.hpp"

namespace windlass::worker {

Security::Security(OwnKey own, AllowedFile allowed, std::optional<KeyBytes> pinned)
    : own_(std::move(own)), allowed_(std::move(allowed)), pinned_(pinned) {}

tl::expected<std::unique_ptr<Security>, std::string> Security::open(const SecurityConfig& config) {
  if (config.keys.empty()) return nullptr;
  auto own = load_own_key(config.keys);
  if (!own) return tl::unexpected(own.error());
  auto allowed = AllowedFile::open(config.keys);
  if (!allowed) return tl::unexpected(allowed.error());
  return std::unique_ptr<Security>(new Security(std::move(*own), std::move(*allowed), key_of_hex(config.bridge_key)));
}

void Security::turn(Time now) {
  if (now < look_due_) return;
  look_due_ = now + kKeyListPeriod;
  const auto read = allowed_.refresh();
  if (!read) {
    if (const auto unsaid = log_.pass("list", now))
      log_error("list of keys is not taken", {{"why", read.error()}, {"unsaid", *unsaid}});
  } else if (*read) {
    log_info("list of keys is taken", {{"keys", static_cast<std::uint64_t>(allowed_.keys().size())}});
  }
}

std::vector<KeyBytes> Security::bridge_keys() const {
  // A pinned key may be in the list too, and be revoked there.
  if (!pinned_) return allowed_.of_role(KeyRole::scheduler);
  const AllowedKey* known = allowed_.find(*pinned_);
  if (known != nullptr && known->role == KeyRole::revoked) return {};
  return {*pinned_};
}

std::optional<KeyBytes> Security::next_bridge_key() {
  const auto keys = bridge_keys();
  const bool again = std::exchange(answered_, false);
  if (keys.empty()) {
    dialled_.reset();
    return std::nullopt;
  }
  auto at = dialled_ ? std::ranges::find(keys, *dialled_) : keys.end();
  if (at != keys.end() && !again) ++at;
  dialled_ = at == keys.end() ? keys.front() : *at;
  return dialled_;
}

bool Security::has_other_bridge_key() const {
  return dialled_ && std::ranges::any_of(bridge_keys(), [this](const KeyBytes& key) { return key != *dialled_; });
}

bool Security::believes_bridge() const {
  return dialled_ && std::ranges::count(bridge_keys(), *dialled_) > 0;
}

}  // namespace windlass::worker
