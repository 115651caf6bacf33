// The body of a STAGE as the stager reads it. What it takes the wire's codec takes, too: a daemon reads both ways.
#include "plugin/stage/request.hpp"
#include "tests/fuzz/golden.hpp"

namespace windlass::fuzz {

void run(std::string_view bytes) {
  const auto request = stage::decode_request(bytes, stage::Symlinks::keep);
  if (!request) return require(!request.error().message.empty(), "a refusal says why");
  require(proto::decode<proto::Stage>(bytes).has_value(), "what the stager takes the codec takes");
}

std::vector<std::string> seeds() {
  std::vector<std::string> made;
  for (const proto::GoldenMessage& message : proto::golden_messages()) {
    if (proto::decode<proto::Stage>(message.frames[1])) made.push_back(message.frames[1]);
  }
  return made;
}

}  // namespace windlass::fuzz
