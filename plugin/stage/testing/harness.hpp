// A stager over either engine, with or without faults, and one transfer through it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "plugin/stage/stager.hpp"
#include "plugin/stage/testing/faulty.hpp"
#include "plugin/stage/testing/folder.hpp"

namespace windlass::stage::testing {

// "uring" or "threads"; false where the kernel denies it.
bool engine_is_here(const std::string& engine);

std::unique_ptr<Stager> open_stager(const std::string& engine, Options options = {}, Faults* faults = nullptr);

Transfer transfer_of(const std::string& source, const std::string& target);

// Through a stager, to its end.
Outcome stage_one(Stager& stager, Transfer transfer);
Outcome stage_one(Stager& stager, const std::string& source, const std::string& target);
std::shared_ptr<Call> submit_one(Stager& stager, Transfer transfer);

// Polls, for at most 20 s.
template <class Condition>
bool eventually(Condition condition) {
  const auto until = Clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (Clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace windlass::stage::testing
