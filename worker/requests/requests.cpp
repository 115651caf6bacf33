// The gate and the dispatch; requests_work.cpp is what runs.
#include "worker/requests/requests.hpp"

#include <algorithm>
#include <string>

#include "worker/core/limits.hpp"

namespace windlass::worker {

using proto::Code;
using proto::Type;

namespace {

const std::string kTooManyAskers =
    std::to_string(kAskersMax) + " peers wait for this request already, as many as may: come again later";

Answer other_payload() {
  return error_answer(Code::invalid_argument,
                      "the id was that of another request, with another payload: draw a new id for each request");
}

}  // namespace

Requests::Requests(Identity identity, Parts parts)
    : identity_(std::move(identity)),
      parts_(std::move(parts)),
      sessions_(identity_.incarnation),
      unsent_(parts_.outbox) {}

Sent Requests::send(const Peer& peer, Type type, const proto::RequestId& id, const Frames& frames, Time now) {
  proto::Header header;
  header.t = static_cast<std::uint32_t>(type);
  header.id = id;
  if (type == Type::progress) return parts_.outbox.send(peer, header, frames);
  return unsent_.send(peer, header, frames, now);
}

void Requests::reply(const Peer& peer, const proto::Header& header, const Answer& answer, Time now) {
  send(peer, answer.type, header.id, answer.frames, now);
  parts_.watcher.answered(static_cast<Type>(header.t), answer.code, 0);
}

void Requests::message(const Peer& peer, Frames frames, Time now) {
  parts_.watcher.received(peer.bridge);
  if (frames.empty()) return parts_.watcher.dropped("malformed");
  const auto header = proto::decode_header(frames[0].view());
  if (!header) {
    const auto id = proto::id_of(frames[0].view());
    if (!id) return parts_.watcher.dropped("malformed");
    proto::Header named;
    named.id = *id;
    return reply(peer, named, error_answer(Code::invalid_argument, "header: " + header.error().message), now);
  }
  const auto type = static_cast<Type>(header->t);
  // An answer is never answered: two that misunderstand each other would never end.
  if (type == Type::result || type == Type::error || type == Type::welcome) return parts_.watcher.dropped("unasked");
  if (frames.size() < 2 || frames.size() > proto::kFramesMax) {
    const std::string wanted =
        "a message is a header, a body and at most " + std::to_string(proto::kColumnsMax) + " columns";
    return reply(peer, *header, error_answer(Code::invalid_argument, wanted), now);
  }
  const bool welcome = peer.bridge || peers_.heard(peer.route, now);
  if (!welcome && type != Type::hello && type != Type::cancel && type != Type::bye) {
    return reply(peer, *header, error_answer(Code::failed_precondition, "say HELLO first", true), now);
  }
  frames.erase(frames.begin());
  serve(peer, *header, std::move(frames), now);
}

void Requests::serve(const Peer& peer, const proto::Header& header, Frames frames, Time now) {
  const bool is_hello = header.t == static_cast<std::uint32_t>(Type::hello);  // its body tells the versions
  if (!is_hello && (header.v < proto::kVersionLowest || header.v > proto::kVersionHighest)) {
    const std::string said = "version " + std::to_string(header.v) + " of the protocol is not spoken here, only " +
                             std::to_string(proto::kVersionLowest) + " to " + std::to_string(proto::kVersionHighest);
    return reply(peer, header, error_answer(Code::failed_precondition, said), now);
  }
  const auto type = static_cast<Type>(header.t);
  const Verdict verdict = may_say(peer.bridge ? Standing::bridge : peer.standing, type);
  if (verdict == Verdict::denied) return deny(peer, header, "message of type " + std::to_string(header.t), now);
  if (verdict == Verdict::unserved) {
    parts_.watcher.refused("not_served");
    const std::string said = "messages of type " + std::to_string(header.t) + " are not served here";
    return reply(peer, header, error_answer(Code::unimplemented, said), now);
  }
  switch (type) {
    case Type::hello:
      return hello(peer, header, frames, now);
    case Type::load:
      return reply(peer, header, answer_of(Type::result, proto::LoadAnswer{parts_.load(now)}), now);
    case Type::grant:
    case Type::release:
      if (parts_.grants == nullptr)
        return reply(peer, header, error_answer(Code::unimplemented, "no grants here"), now);
      return reply(peer, header, parts_.grants->serve(type, frames[0].view(), now), now);
    case Type::progress:
      return ask_progress(peer, header, now);
    case Type::cancel:
      return cancel(peer, header, frames, now);
    case Type::bye:
      return bye(peer, now);
    default:
      return begin(peer, header, std::move(frames), now);
  }
}

void Requests::deny(const Peer& peer, const proto::Header& header, const std::string& what, Time now) {
  parts_.watcher.refused("permission");
  parts_.watcher.denied(peer, what);
  const std::string said = "a key of role " + std::string(name_of(peer.standing)) + " may not send a " + what +
                           " here; `windlass keys list` shows the roles";
  reply(peer, header, error_answer(Code::permission_denied, said), now);
}

void Requests::hello(const Peer& peer, const proto::Header& header, const Frames& frames, Time now) {
  const auto body = proto::decode<proto::Hello>(frames[0].view());
  if (!body) return reply(peer, header, error_answer(Code::invalid_argument, "HELLO: " + body.error().message), now);
  const Verdict verdict = may_greet_as(peer.standing, body->role);
  if (verdict == Verdict::denied) return deny(peer, header, "HELLO in the role of another", now);
  if (verdict == Verdict::unserved) {
    return reply(peer, header, error_answer(Code::invalid_argument, "windlassd serves clients: role is to be client"),
                 now);
  }
  if (body->version_highest < proto::kVersionLowest || body->version_lowest > proto::kVersionHighest) {
    const std::string said = "no common version of the protocol: the client speaks " +
                             std::to_string(body->version_lowest) + " to " + std::to_string(body->version_highest) +
                             ", windlassd " + std::to_string(proto::kVersionLowest) + " to " +
                             std::to_string(proto::kVersionHighest);
    return reply(peer, header, error_answer(Code::failed_precondition, said), now);
  }
  if (!peers_.welcome(peer.route, now)) {
    parts_.watcher.refused("queue_full");
    const std::string said = "windlassd serves " + std::to_string(kPeersMax) + " clients at most";
    return reply(peer, header, error_answer(Code::resource_exhausted, said, true, 1000), now);
  }
  proto::Welcome welcome;
  welcome.version = std::min(body->version_highest, proto::kVersionHighest);
  welcome.features = {"match", "session", "stage", "load", "credits"};
  welcome.credit_requests = kCreditRequests;
  welcome.credit_bytes = kCreditBytes;
  welcome.software = identity_.software;
  welcome.name = identity_.name;
  welcome.incarnation = identity_.incarnation;
  welcome.beat_ms = identity_.beat_ms;
  welcome.suspect_ms = identity_.suspect_ms;
  welcome.dead_ms = identity_.dead_ms;
  parts_.outbox.welcomed(peer);
  reply(peer, header, answer_of(Type::welcome, welcome), now);
}

void Requests::begin(const Peer& peer, const proto::Header& header, Frames frames, Time now) {
  if (const auto kept = journal_.find(header.id)) return again(peer, header, frames, *kept, now);
  if (const auto found = running_.find(header.id); found != running_.end()) {
    return again(peer, header, frames, found->second, now);
  }
  if (journal_.unbury(header.id)) {
    Answer answer = error_answer(Code::cancelled, "the request was cancelled before it came");
    reply(peer, header, answer, now);
    return journal_.put(header.id, std::move(answer), payload_of(static_cast<Type>(header.t), frames), now);
  }
  if (draining_) {
    parts_.watcher.refused("draining");
    return reply(peer, header,
                 error_answer(Code::unavailable, "windlassd is shutting down and takes no new work", true), now);
  }
  if (header.dl && *header.dl == 0) {
    parts_.watcher.refused("expired");
    return reply(peer, header, error_answer(Code::deadline_exceeded, "the deadline was over on arrival", true), now);
  }
  if (header.t == static_cast<std::uint32_t>(Type::match)) return begin_match(peer, header, std::move(frames), now);
  if (header.t == static_cast<std::uint32_t>(Type::session)) {
    return begin_session(peer, header, std::move(frames), now);
  }
  begin_stage(peer, header, frames, now);
}

void Requests::again(const Peer& peer, const proto::Header& header, const Frames& frames, const Journal::Kept& kept,
                     Time now) {
  const bool same = !kept.payload || *kept.payload == payload_of(static_cast<Type>(header.t), frames);
  if (!same) parts_.watcher.refused("other_payload");
  reply(peer, header, same ? kept.answer : other_payload(), now);
}

void Requests::again(const Peer& peer, const proto::Header& header, const Frames& frames, Running& running, Time now) {
  const auto type = static_cast<Type>(header.t);
  const bool same = type == running.type && (running.task ? are_alike(frames, running.task->frames)
                                                          : payload_of(type, frames) == running.payload);
  if (!same) {
    parts_.watcher.refused("other_payload");
    return reply(peer, header, other_payload(), now);
  }
  if (!attach(running, peer)) refuse_full(peer, header, kTooManyAskers, now);
}

bool Requests::attach(Running& running, const Peer& peer) {
  for (Asker& asker : running.askers) {
    if (asker.peer != peer) continue;
    asker.gone_since.reset();
    return true;
  }
  if (running.askers.size() >= kAskersMax) return false;
  running.askers.push_back({peer, std::nullopt});
  return true;
}

void Requests::refuse_full(const Peer& peer, const proto::Header& header, const std::string& said, Time now) {
  parts_.watcher.refused("queue_full");
  reply(peer, header, error_answer(Code::resource_exhausted, said, true, kRetryAfterMs), now);
}

void Requests::ask_progress(const Peer& peer, const proto::Header& header, Time now) {
  if (const auto kept = journal_.find(header.id)) return reply(peer, header, kept->answer, now);
  const auto found = running_.find(header.id);
  if (found == running_.end()) {
    return reply(peer, header, error_answer(Code::not_found, "no request of this id is known here"), now);
  }
  if (!attach(found->second, peer)) return refuse_full(peer, header, kTooManyAskers, now);
  proto::Progress progress;
  if (found->second.type == Type::stage) progress = parts_.stager.progress(found->second.tag);
  reply(peer, header, answer_of(Type::progress, progress), now);
}

void Requests::cancel(const Peer& peer, const proto::Header& header, const Frames& frames, Time now) {
  const auto body = proto::decode<proto::Cancel>(frames[0].view());
  if (!body) return reply(peer, header, error_answer(Code::invalid_argument, "CANCEL: " + body.error().message), now);
  proto::CancelResult result;
  const auto found = running_.find(body->request);
  if (found != running_.end()) {
    result.cancelled = cancel_running(found, now);
  } else if (!journal_.find(body->request)) {
    if (!journal_.bury(body->request, peer.route, now)) {
      return refuse_full(peer, header, "too many requests that are not known here were cancelled in the last minute",
                         now);
    }
    result.cancelled = true;
  }
  reply(peer, header, answer_of(Type::result, result), now);
}

void Requests::bye(const Peer& peer, Time now) {
  if (peer.bridge) return;
  peers_.forget(peer.route);
  sessions_.end_of(peer.route);
  // Closing cancels what nobody else waits for. finish() is not called here: nobody is left to hear it.
  const auto forsaken = ids_of([&](Running& running) {
    const auto left = std::erase_if(running.askers, [&](const Asker& asker) { return asker.peer == peer; });
    return left > 0 && running.askers.empty() && !running.detach;
  });
  for (const proto::RequestId& id : forsaken) {
    if (const auto at = running_.find(id); at != running_.end()) cancel_running(at, now);
  }
}

}  // namespace windlass::worker
