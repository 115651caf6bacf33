// A whole MATCH, body and columns, from its bytes through the matcher to its answer.
#include "tests/fuzz/frames.hpp"
#include "worker/engines/match_run.hpp"

namespace windlass::fuzz {

void run(std::string_view bytes) {
  worker::MatchTask task;
  task.frames = frames_of(bytes);
  if (task.frames.empty()) return;
  const auto body = proto::decode<proto::Match>(task.frames[0].view());
  if (body && body->tasks * body->offers > kPairsMax) return;
  (void)worker::is_small_match(task);
  worker::run_match(task);
  require_answer<proto::MatchResult>(task.answer);
  require(task.placed <= task.tasks, "no more tasks are placed than there are");
}

std::vector<std::string> seeds() {
  return golden_requests(proto::Type::match);
}

}  // namespace windlass::fuzz
