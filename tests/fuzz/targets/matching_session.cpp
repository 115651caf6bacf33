// The requests of one matching session after another, body and columns each, through the engine to their answers.
#include "tests/fuzz/frames.hpp"
#include "worker/engines/session_run.hpp"
#include "worker/engines/sessions.hpp"

namespace windlass::fuzz {
namespace {

// The session that all requests mean; opened by the first.
class Client {
 public:
  void ask(worker::Frames frames) {
    if (frames.empty()) return;
    const auto body = proto::decode<proto::Session>(frames[0].view());
    if (!body || body->op == proto::SessionOp::close) return;
    if (body->op == proto::SessionOp::open) return open(body->rows);
    if (!session_) open({});
    if (!session_) return;
    worker::MatchTask task;
    task.frames = std::move(frames);
    task.session = session_;
    const std::uint64_t offers = session_->offers() + body->adds;
    if (offers > kPairsMax || body->rows.tasks > kPairsMax || offers * body->rows.tasks > kPairsMax) return;
    (void)worker::is_small_session(task);
    worker::run_session(task);
    if (body->op == proto::SessionOp::change) require_answer<proto::SessionAnswer>(task.answer);
    if (body->op == proto::SessionOp::match) require_answer<proto::MatchResult>(task.answer);
    if (body->op == proto::SessionOp::offers) require_answer<proto::SessionOffers>(task.answer);
  }

 private:
  void open(const proto::Match& options) {
    const worker::Answer answer = sessions_.open("client", options, {}, {});
    require_answer<proto::SessionAnswer>(answer);
    if (answer.type == proto::Type::error) return;
    session_ = sessions_.find("client", *proto::decode<proto::SessionAnswer>(answer.frames[0].view())->session);
  }

  worker::Sessions sessions_{"fuzz"};
  std::shared_ptr<worker::MatchSession> session_;
};

}  // namespace

void run(std::string_view bytes) {
  Client client;
  for (const std::string_view message : parts_of(bytes)) client.ask(frames_of(message));
}

std::vector<std::string> seeds() {
  const std::vector<std::string> messages = golden_requests(proto::Type::session);
  std::vector<std::string> made{joined(messages)};
  for (const std::string& message : messages) made.push_back(joined(std::vector<std::string>{message}));
  // Once more after itself: what a change adds is matched, listed and changed again.
  std::vector<std::string> twice = messages;
  twice.insert(twice.end(), messages.begin(), messages.end());
  made.push_back(joined(twice));
  return made;
}

}  // namespace windlass::fuzz
