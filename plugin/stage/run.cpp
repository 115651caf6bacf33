#include "plugin/stage/run.hpp"

namespace windlass::stage {
Outcome failed_outcome(Error error) {
  Outcome outcome;
  outcome.state = error.code == Code::cancelled ? State::cancelled : State::failed;
  outcome.error = std::move(error);
  return outcome;
}

Error replaced_error(const Transfer& transfer) {
  Error error;
  error.code = Code::cancelled;
  error.message = quoted(transfer.target.given) + ": replaced by a later transfer to the same target";
  return error;
}

Ran run_transfer(const Tools& tools, const Shared& shared, const Running& running, Helpers& helpers, bool may_wait) {
  auto info = look_at_source(shared, running.transfer);
  if (!info) return {failed_outcome(std::move(info.error())), nullptr};
  if (info->type == FileType::folder) return {run_tree(tools, shared, running, helpers), nullptr};
  return run_file(tools, shared, running, may_wait);
}

}  // namespace windlass::stage
