// Requests of matching sessions: each waits for those before it of the same session, then runs as a MATCH does.
#include "worker/core/limits.hpp"
#include "worker/requests/requests.hpp"

namespace windlass::worker {

using proto::Code;
using proto::SessionOp;
using proto::Type;

void Requests::begin_session(const Peer& peer, const proto::Header& header, Frames frames, Time now) {
  const auto body = proto::decode<proto::Session>(frames[0].view());
  if (!body) return reply(peer, header, error_answer(Code::invalid_argument, "SESSION: " + body.error().message), now);
  if (body->op == SessionOp::open) {
    Answer answer = sessions_.open(peer.route, body->rows, header.id, now);
    reply(peer, header, answer, now);
    if (answer.type == Type::result) journal_.put(header.id, std::move(answer), payload_of(Type::session, frames), now);
    return;
  }
  const std::shared_ptr<MatchSession> session = sessions_.find(peer.route, body->session);
  if (!session) {
    const std::string said =
        "no such session is known here: windlassd was started anew or the session was ended, so open "
        "another";
    return reply(peer, header, error_answer(Code::failed_precondition, said), now);
  }
  if (body->op == SessionOp::close) {
    sessions_.close(peer.route, body->session);
    Answer answer = answer_of(Type::result, proto::SessionAnswer{{}, session->version(), {}, {}});
    reply(peer, header, answer, now);
    return journal_.put(header.id, std::move(answer), payload_of(Type::session, frames), now);
  }
  if (session->waiting.size() >= kSessionQueueMax) {
    return refuse_full(peer, header, "too many requests of this session wait already: come again later", now);
  }
  if (!admit(peer, header, frames, now)) return;
  const auto task = task_of(peer, header, std::move(frames), now);
  task->session = session;
  wait_for(peer, task, now);
  session->waiting.push_back(task);
  advance(*session, now);
}

// Nothing has changed by it, so nothing is kept: the same id may come again.
void Requests::refuse(Table::iterator found, const Answer& answer, Time now) {
  const auto refused = running_.extract(found);
  release(refused.mapped());
  for (const Asker& asker : refused.mapped().askers) send(asker.peer, answer.type, refused.key(), answer.frames, now);
  parts_.watcher.answered(refused.mapped().type, answer.code, 0);
}

void Requests::refuse_full(Table::iterator found, const std::string& said, Time now) {
  parts_.watcher.refused("queue_full");
  refuse(found, error_answer(Code::resource_exhausted, said, true, kRetryAfterMs), now);
}

// Hands over what waits, until a matcher is at work on the session.
void Requests::advance(MatchSession& session, Time now) {
  while (!session.busy && !session.waiting.empty()) {
    const std::shared_ptr<MatchTask> task = std::move(session.waiting.front());
    session.waiting.pop_front();
    const auto found = running_.find(task->id);
    if (found == running_.end() || found->second.task != task) continue;  // cancelled, and answered then
    if (!parts_.matchers.start(task)) {
      refuse_full(found, "too many matches wait already: come again later", now);
    } else if (task->ended) {
      finish(found, std::move(task->answer), now);
    } else {
      session.busy = true;
    }
  }
}

// A client that stays silent keeps its sessions while it can be reached.
void Requests::probe_sessions(Time now) {
  for (const Sessions::Probe& probe : sessions_.due(now)) {
    const Peer peer{false, probe.route};
    const Sent sent = send(peer, Type::progress, probe.id, {Frame(proto::encode(proto::Progress{}))}, now);
    if (sent != Sent::gone) peers_.heard(probe.route, now);
    sessions_.probed(probe.route, sent != Sent::gone, now);
  }
}

}  // namespace windlass::worker
