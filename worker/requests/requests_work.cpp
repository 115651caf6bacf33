// Requests: what runs, from its beginning to its one answer.
#include <algorithm>

#include "worker/core/limits.hpp"
#include "worker/requests/requests.hpp"

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

std::shared_ptr<MatchTask> Requests::task_of(const Peer& peer, const proto::Header& header, Frames frames, Time now) {
  auto task = std::make_shared<MatchTask>();
  task->id = header.id;
  task->client = peer.route;
  task->frames = std::move(frames);
  task->received = now;
  if (header.dl) task->deadline = now + std::chrono::milliseconds(*header.dl);
  return task;
}

void Requests::begin_match(const Peer& peer, const proto::Header& header, Frames frames, Time now) {
  if (!admit(peer, header, frames, now)) return;
  const auto task = task_of(peer, header, std::move(frames), now);
  if (!parts_.matchers.start(task)) {
    return refuse_full(peer, header,
                       "too many matches wait already (" + std::to_string(kMatchQueueMax) + " or " +
                           std::to_string(kMatchQueueBytesMax >> 20U) + " MiB at most): come again later",
                       now);
  }
  if (task->ended) return end_at_once(peer, header, *task, now);
  wait_for(peer, task, now);
}

bool Requests::admit(const Peer& peer, const proto::Header& header, const Frames& frames, Time now) {
  if (peers_.has_credit(peer.route, bytes_of(frames), unsent_.waiting(peer)) && parts_.outbox.has_room(peer, 0)) {
    return true;
  }
  refuse_full(peer, header,
              "this client has as much under way as it may (" + std::to_string(kCreditRequests) + " requests, " +
                  std::to_string(kCreditBytes >> 20U) + " MiB, as WELCOME says): wait for answers, and take them",
              now);
  return false;
}

bool Requests::has_room(const Running& running, std::size_t bytes) const {
  return std::ranges::all_of(running.askers, [&](const Asker& asker) {
    return unsent_.has_room(asker.peer, bytes) && parts_.outbox.has_room(asker.peer, bytes);
  });
}

bool Requests::admit_stage(const Peer& peer, const proto::Header& header, Time now) {
  if (!parts_.outbox.has_room(peer, 0)) {
    refuse_full(peer, header, "too many answers wait for this client: take them, then ask again", now);
    return false;
  }
  if (stages_.size() >= (peer.bridge ? kStagesMax : kStagesOfClientsMax)) {
    refuse_full(peer, header, "too many STAGE requests run already: come again later", now);
    return false;
  }
  const auto of_client = stages_of_.find(peer.route);
  if (peer.bridge || of_client == stages_of_.end() || of_client->second < kStagesPerClientMax) return true;
  refuse_full(peer, header,
              "this client has " + std::to_string(kStagesPerClientMax) +
                  " STAGE requests running, as many as one may: wait for some to end",
              now);
  return false;
}

// What was small enough to be done on the spot.
void Requests::end_at_once(const Peer& peer, const proto::Header& header, MatchTask& task, Time now) {
  parts_.watcher.matched(task);
  send(peer, task.answer.type, header.id, task.answer.frames, now);
  parts_.watcher.answered(static_cast<Type>(header.t), task.answer.code, 0);
  journal_.put(header.id, std::move(task.answer), payload_of(task), now);
}

// The request is under way from here on, and holds its credits.
void Requests::wait_for(const Peer& peer, const std::shared_ptr<MatchTask>& task, Time now) {
  Running running;
  running.type = task->session ? Type::session : Type::match;
  running.askers.push_back({peer, std::nullopt});
  running.received = now;
  running.owner = peer.route;
  running.bytes = bytes_of(task->frames);
  running.task = task;
  if (task->deadline) running.deadline = deadlines_.emplace(*task->deadline, task->id);
  running.stay = peers_.take(running.owner, running.bytes);
  running_.emplace(task->id, std::move(running));
}

void Requests::begin_stage(const Peer& peer, const proto::Header& header, const Frames& frames, Time now) {
  if (!admit_stage(peer, header, now)) return;
  auto body = proto::decode<proto::Stage>(frames[0].view());
  if (!body) return reply(peer, header, error_answer(Code::invalid_argument, "STAGE: " + body.error().message), now);
  const Payload payload = payload_of(*body, frames[0]);
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
  Running running;
  running.payload = payload;
  journal_.began(header.id, payload);
  running.type = Type::stage;
  running.askers.push_back({peer, std::nullopt});
  running.received = now;
  running.owner = peer.route;
  running.tag = tag;
  running.detach = peer.bridge || body->detach.value_or(false);
  running.told = parts_.stager.progress(tag);
  running.told_at = now;
  send(peer, Type::progress, header.id, {Frame(proto::encode(running.told))}, now);
  if (!peer.bridge) ++stages_of_[peer.route];
  running_.emplace(header.id, std::move(running));
  stages_.emplace(tag, header.id);
}

bool Requests::cancel_running(Table::iterator found, Time now) {
  if (found->second.type == Type::stage) return parts_.stager.cancel(found->second.tag);
  return end_unbegun(found, error_answer(Code::cancelled, "the request was cancelled before it began"), now);
}

// Takes back what waits for a matcher or for those before it in its session; false where it has begun.
bool Requests::end_unbegun(Table::iterator found, Answer answer, Time now) {
  const std::shared_ptr<MatchTask> task = found->second.task;
  const std::shared_ptr<MatchSession> session = task->session;
  if (!session || std::erase(session->waiting, task) == 0) {
    if (!parts_.matchers.withdraw(task)) return false;
    if (session) session->busy = false;
  }
  finish(found, std::move(answer), now);
  if (session) advance(*session, now);
  return true;
}

// What waits beyond its deadline would not begin any more: its place is for others.
void Requests::expire(Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto found = running_.find(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
    found->second.deadline.reset();
    Answer answer = error_answer(Code::deadline_exceeded, "the deadline was over before a matcher was free", true);
    if (end_unbegun(found, std::move(answer), now)) parts_.watcher.refused("expired");  // else it ends as it will
  }
}

void Requests::park_all(Time now) {
  for (const proto::RequestId& id : ids_of([](const Running&) { return true; })) {
    const auto at = running_.find(id);
    if (at == running_.end()) continue;
    if (at->second.type != Type::stage) {
      end_unbegun(at, error_answer(Code::unavailable, "windlassd stops, and did not come to this: ask another", true),
                  now);
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

// What it held while it was under way.
void Requests::release(const Running& running) {
  if (running.deadline) deadlines_.erase(*running.deadline);
  if (running.task) {
    peers_.give_back(running.owner, running.stay, running.bytes);
  } else if (const auto owner = stages_of_.find(running.owner); owner != stages_of_.end() && --owner->second == 0) {
    stages_of_.erase(owner);
  }
}

void Requests::finish(Table::iterator found, Answer answer, Time now) {
  const proto::RequestId id = found->first;
  Running running = std::move(found->second);
  running_.erase(found);
  release(running);
  for (const Asker& asker : running.askers) send(asker.peer, answer.type, id, answer.frames, now);
  parts_.watcher.answered(running.type, answer.code, std::chrono::duration<double>(now - running.received).count());
  if (running.task) running.payload = running.task->payload ? *running.task->payload : payload_of(*running.task);
  journal_.put(id, std::move(answer), running.payload, now);
}

void Requests::take_matches(Time now) {
  for (const auto& task : parts_.matchers.take_ended()) {
    const auto found = running_.find(task->id);
    if (found != running_.end() && found->second.task == task) {  // else cancelled, and answered then
      if (task->displaced) {
        parts_.watcher.refused("queue_full");
        refuse(found, task->answer, now);
      } else if (!task->session && !has_room(found->second, bytes_of(task->answer.frames))) {
        // A session has changed by now; a MATCH is as well asked again.
        refuse_full(found,
                    "the answer finds no room beside those that its client has not taken: take them, then ask again",
                    now);
      } else {
        if (task->tasks > 0 || !task->session) parts_.watcher.matched(*task);
        finish(found, std::move(task->answer), now);
      }
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
    if (sent != Sent::gone) {
      asker.gone_since.reset();  // where its queue is full it is there all the same
    } else if (!asker.gone_since) {
      asker.gone_since = now;
    }
  }
}

// Of so many a period, in turn: the rest waits for the next one.
void Requests::tell_all_progress(Time now) {
  auto next = stages_.upper_bound(told_last_);
  for (std::size_t left = std::min(stages_.size(), kProgressPerPeriod); left > 0; --left, ++next) {
    if (next == stages_.end()) next = stages_.begin();
    told_last_ = next->first;
    tell_progress(running_.find(next->second), now);
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

void Requests::gone(const std::string& route) {
  peers_.forget(route);
}

void Requests::turn(Time now) {
  take_matches(now);
  take_stages(now);
  expire(now);
  if (!unsent_.empty() && now >= retry_due_) {
    unsent_.retry(now);
    retry_due_ = now + kUnsentRetry;
  }
  if (now >= progress_due_) {
    progress_due_ = now + kProgressPeriod;
    tell_all_progress(now);
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
  if (!deadlines_.empty()) due = std::min(due, deadlines_.begin()->first);
  return due;
}

void Requests::say_bye(Time now) {
  const Frames frames{Frame(proto::encode(proto::Empty{}))};
  for (const std::string& route : peers_.routes()) send({false, route}, Type::bye, {}, frames, now);
}

}  // namespace windlass::worker
