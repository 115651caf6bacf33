#include "plugin/stage/testing/harness.hpp"

#include <stdexcept>

#include "plugin/stage/uring_queue.hpp"

namespace windlass::stage::testing {
namespace {

// Lives as long as the process: a stager keeps a reference.
Fs& faulty_fs(Faults* faults) {
  if (faults == nullptr) return real_fs();
  static std::vector<std::unique_ptr<FaultyFs>> made;
  made.push_back(std::make_unique<FaultyFs>(real_fs(), *faults));
  return *made.back();
}

}  // namespace

bool engine_is_here(const std::string& engine) {
  return engine == "threads" || probe_uring().has_value();
}

std::unique_ptr<Stager> open_stager(const std::string& engine, Options options, Faults* faults) {
  return open_stager(engine, std::move(options), faulty_fs(faults), faults);
}

std::unique_ptr<Stager> open_stager(const std::string& engine, Options options, Fs& fs, Faults* faults) {
  const MakeQueue make = [engine, faults]() -> Result<std::unique_ptr<IoQueue>> {
    Result<std::unique_ptr<IoQueue>> queue = engine == "uring" ? make_uring_queue() : make_plain_queue();
    if (queue && faults != nullptr) return std::make_unique<FaultyQueue>(std::move(*queue), *faults);
    return queue;
  };
  if (options.owner.empty()) options.owner = "test";
  auto stager = Stager::open(std::move(options), fs, engine, make);
  if (!stager) throw std::runtime_error(stager.error().message);
  return std::move(*stager);
}

Transfer transfer_of(const std::string& source, const std::string& target) {
  auto from = parse_place(source);
  auto to = parse_place(target);
  if (!from || !to) throw std::runtime_error(!from ? from.error().message : to.error().message);
  Transfer transfer;
  transfer.source = std::move(*from);
  transfer.target = std::move(*to);
  return transfer;
}

std::shared_ptr<Call> submit_one(Stager& stager, Transfer transfer) {
  Request request;
  request.transfers.push_back(std::move(transfer));
  auto call = stager.submit(std::move(request), "", 0);
  if (!call) throw std::runtime_error(call.error().message);
  return std::move(*call);
}

Outcome stage_one(Stager& stager, Transfer transfer) {
  const auto call = submit_one(stager, std::move(transfer));
  call->wait(std::nullopt);
  return call->outcome(0);
}

Outcome stage_one(Stager& stager, const std::string& source, const std::string& target) {
  return stage_one(stager, transfer_of(source, target));
}

}  // namespace windlass::stage::testing
