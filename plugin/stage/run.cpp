#include "plugin/stage/run.hpp"

#include <fcntl.h>

namespace windlass::stage {
namespace {

Error invalid(std::string message) {
  Error error;
  error.code = Code::invalid_argument;
  error.message = std::move(message);
  return error;
}

}  // namespace

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

// Opened with O_PATH first: opening a device or a fifo may do something, looking at it does not.
Result<FileInfo> look_at_source(const Shared& shared, const Transfer& transfer) {
  auto seen = shared.roots.open_place(transfer.source, O_PATH);
  if (!seen) return fail(seen.error());
  FileInfo info;
  if (const int result = shared.fs.info(seen->get(), info); result < 0)
    return fail_errno(-result, "look at", transfer.source.given);
  Space space;
  if (const int result = shared.fs.space(seen->get(), space); result < 0)
    return fail_errno(-result, "look at", transfer.source.given);
  if (info.type == FileType::special || info.type == FileType::link || space.kernel_view)
    return fail(invalid(quoted(transfer.source.given) +
                        " is a device, fifo, socket or a file of the kernel; name a regular file or a folder"));
  return info;
}

Result<SourceSize> measure_source(const Shared& shared, const Transfer& transfer) {
  auto info = look_at_source(shared, transfer);
  if (!info) return fail(info.error());
  if (info->type == FileType::folder) return SourceSize{true, 0};
  return SourceSize{false, transfer.range ? transfer.range->length : info->size};
}

Outcome run_transfer(const Tools& tools, const Shared& shared, const Running& running, Helpers& helpers) {
  auto info = look_at_source(shared, running.transfer);
  if (!info) return failed_outcome(std::move(info.error()));
  return info->type == FileType::folder ? run_tree(tools, shared, running, helpers) : run_file(tools, shared, running);
}

}  // namespace windlass::stage
