// Requests: what runs, from its beginning to its one answer.
#include <algorithm>

#include "worker/limits.hpp"
#include "worker/requests.hpp"

namespace windlass::worker {

using proto::Code;
using proto::Type;

namespace {

std::string client_name(const Peer& peer) {
  if (peer.bridge) return "bridge";
  if (!peer.who.empty()) return "key " + peer.who;
  constexpr const char* kHex = "0123456789abcdef";
  std::string name = "client ";
  for (const char byte : peer.route) {
    name.push_back(kHex[static_cast<unsigned char>(byte) >> 4U]);
    name.push_back(kHex[static_cast<unsigned char>(byte) & 15U]);
  }
  return name;
}

// The deadline of the request holds for each of its transfers, so that none begins after it.
void shorten_deadlines(proto::Stage& stage, std::uint64_t remaining_ms) {
  const auto remaining = static_cast<std::int64_t>(remaining_ms);
  for (proto::Transfer& transfer : stage.transfers) {
    transfer.deadline_ms = std::min(transfer.deadline_ms.value_or(remaining), remaining);
  }
}

}  // namespace

void Requests::begin_match(const Peer& peer, const proto::Header& header, Frames frames, Time now) {
  auto task = std::make_shared<MatchTask>();
  task->id = header.id;
  task->frames = std::move(frames);
  task->received = now;
  if (header.dl) task->deadline = now + std::chrono::milliseconds(*header.dl);
  if (!parts_.matchers.start(task)) {
    parts_.watcher.refused("queue_full");
    const std::string said =
        "too many matches wait already (" + std::to_string(kMatchQueueMax) + " at most): come again later";
    return reply(peer, header, error_answer(Code::resource_exhausted, said, true, 100), now);
  }
  Running running;
  running.type = Type::match;
  running.askers.push_back({peer, std::nullopt});
  running.received = now;
  running.task = task;
  const auto entry = running_.emplace(header.id, std::move(running)).first;
  if (task->ended) {
    parts_.watcher.matched(*task);
    finish(entry, std::move(task->answer), now);
  }
}

void Requests::begin_stage(const Peer& peer, const proto::Header& header, const Frames& frames, Time now) {
  if (stages_.size() >= kStagesMax) {
    parts_.watcher.refused("queue_full");
    return reply(peer, header,
                 error_answer(Code::resource_exhausted, "too many STAGE requests run already", true, 1000), now);
  }
  auto body = proto::decode<proto::Stage>(frames[0].view());
  if (!body) return reply(peer, header, error_answer(Code::invalid_argument, "STAGE: " + body.error().message), now);
  Frame changed;
  std::string_view bytes = frames[0].view();
  if (header.dl) {
    shorten_deadlines(*body, *header.dl);
    changed = Frame(proto::encode(*body));
    bytes = changed.view();
  }
  const std::uint64_t tag = next_tag_++;
  if (const auto accepted = parts_.stager.submit(tag, bytes, client_name(peer)); !accepted) {
    if (accepted.error().code == Code::resource_exhausted) parts_.watcher.refused("queue_full");
    return reply(peer, header, error_answer(accepted.error()), now);
  }
  journal_.began(header.id);
  Running running;
  running.type = Type::stage;
  running.askers.push_back({peer, std::nullopt});
  running.received = now;
  running.tag = tag;
  running.detach = peer.bridge || body->detach.value_or(false);
  running.told = parts_.stager.progress(tag);
  running.told_at = now;
  send(peer, Type::progress, header.id, {Frame(proto::encode(running.told))}, now);
  running_.emplace(header.id, std::move(running));
  stages_.emplace(tag, header.id);
}

bool Requests::cancel_running(Table::iterator found, Time now) {
  if (found->second.type == Type::stage) return parts_.stager.cancel(found->second.tag);
  auto state = MatchTask::State::queued;
  if (!found->second.task->state.compare_exchange_strong(state, MatchTask::State::cancelled)) return false;
  // A matcher will find it cancelled some time; its asker need not wait for that.
  finish(found, error_answer(Code::cancelled, "the request was cancelled before it began"), now);
  return true;
}

void Requests::park_all(Time now) {
  for (auto it = running_.begin(); it != running_.end();) {
    const auto at = it++;
    if (at->second.type != Type::stage) {
      cancel_running(at, now);
      continue;
    }
    parked_ = true;
    stages_.erase(at->second.tag);
    finish(at,
           error_answer(Code::unavailable,
                        "windlassd stops, and this took longer than it waits; what was copied is kept: ask again, and "
                        "it goes on from there",
                        true),
           now);
  }
}

void Requests::finish(Table::iterator found, Answer answer, Time now) {
  const proto::RequestId id = found->first;
  Running running = std::move(found->second);
  running_.erase(found);
  for (const Asker& asker : running.askers) send(asker.peer, answer.type, id, answer.frames, now);
  parts_.watcher.answered(running.type, answer.code, std::chrono::duration<double>(now - running.received).count());
  journal_.put(id, std::move(answer), now);
}

void Requests::take_matches(Time now) {
  for (const auto& task : parts_.matchers.take_ended()) {
    const auto found = running_.find(task->id);
    if (found != running_.end() && found->second.task == task) {  // else cancelled, and answered then
      if (task->tasks > 0 || !task->session) parts_.watcher.matched(*task);
      finish(found, std::move(task->answer), now);
    }
    if (!task->session) continue;
    task->session->busy = false;
    advance(*task->session, now);
  }
}

void Requests::take_stages(Time now) {
  while (const auto tag = parts_.stager.next_ended()) {
    const auto named = stages_.find(*tag);
    if (named == stages_.end()) continue;
    const auto found = running_.find(named->second);
    stages_.erase(named);
    tell_progress(found, now);
    finish(found, {Type::result, Code::ok, {Frame(parts_.stager.take_report(*tag))}}, now);
  }
}

void Requests::tell_progress(Table::iterator found, Time now) {
  Running& running = found->second;
  const proto::Progress progress = parts_.stager.progress(running.tag);
  const bool changed = progress.bytes != running.told.bytes || progress.files != running.told.files ||
                       progress.bytes_total != running.told.bytes_total ||
                       progress.files_total != running.told.files_total;
  if (!changed && now - running.told_at < kProgressProbe) return;
  running.told = progress;
  running.told_at = now;
  const Frames frames{Frame(proto::encode(progress))};
  for (Asker& asker : running.askers) {
    const Sent sent = send(asker.peer, Type::progress, found->first, frames, now);
    if (sent == Sent::yes) {
      asker.gone_since.reset();
    } else if (!asker.gone_since) {
      asker.gone_since = now;
    }
  }
}

void Requests::cancel_for_the_gone(Time now) {
  for (auto it = running_.begin(); it != running_.end();) {
    const auto at = it++;
    const Running& running = at->second;
    if (running.type != Type::stage || running.detach || running.askers.empty()) continue;
    const bool gone = std::all_of(running.askers.begin(), running.askers.end(), [&](const Asker& asker) {
      return asker.gone_since && now - *asker.gone_since >= kClientGone;
    });
    if (gone) cancel_running(at, now);
  }
}

void Requests::turn(Time now) {
  take_matches(now);
  take_stages(now);
  if (!unsent_.empty() && now >= retry_due_) {
    unsent_.retry(now);
    retry_due_ = now + kUnsentRetry;
  }
  if (now >= progress_due_) {
    progress_due_ = now + kProgressPeriod;
    for (const auto& [tag, id] : stages_) tell_progress(running_.find(id), now);
  }
  if (now >= sweep_due_) {
    sweep_due_ = now + std::chrono::seconds(1);
    journal_.sweep(now);
    peers_.sweep(now);
    cancel_for_the_gone(now);
    probe_sessions(now);
  }
}

Time Requests::next_due() const {
  Time due = sweep_due_;
  if (!stages_.empty()) due = std::min(due, progress_due_);
  if (!unsent_.empty()) due = std::min(due, retry_due_);
  return due;
}

void Requests::say_bye(Time now) {
  const Frames frames{Frame(proto::encode(proto::Empty{}))};
  for (const std::string& route : peers_.routes()) send({false, route}, Type::bye, {}, frames, now);
}

}  // namespace windlass::worker
