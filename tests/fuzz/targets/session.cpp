// The node's session with a hostile bridge: a list of events, each an opening byte (how much time passes, whether the
// header's id is made that of the HELLO under way) and then header and body of a message.
#include "worker/bridge/session.hpp"

#include "tests/fuzz/frames.hpp"

namespace windlass::fuzz {
namespace {

using namespace worker;
using namespace std::chrono_literals;

class Node {
 public:
  Node() { apply(session_.tick(now_)); }

  void take(std::string_view event) {
    if (event.empty()) return;
    const auto what = static_cast<unsigned char>(event[0]);
    now_ += std::chrono::milliseconds((what & 0x0FU) * (what & 0x0FU) * 50);
    apply(session_.tick(now_));
    const auto parts = parts_of(event.substr(1));
    if (parts.size() < 2) return;
    auto header = proto::decode_header(parts[0]);
    if (!header) return;
    if ((what & 0x80U) != 0) header->id = hello_;
    if ((what & 0x40U) != 0) session_.offers_changed();
    apply(session_.heard(*header, parts[1], now_));
    require(session_.due() > now_ || !session_.tick(now_).empty(), "what is due can be done");
  }
  // Left alone for long, a node dials again and again.
  void settle() {
    const int before = dials_;
    for (int i = 0; i < 400; ++i) {
      now_ += 100ms;
      apply(session_.tick(now_));
    }
    require(dials_ > before, "a node whose bridge is silent dials anew");
  }

 private:
  void apply(const Actions& actions) {
    for (const Action& action : actions) {
      if (const auto* hello = std::get_if<SendHello>(&action)) hello_ = hello->id;
      if (std::holds_alternative<Dial>(action)) ++dials_;
    }
  }

  Time now_{};
  proto::RequestId hello_;
  int dials_ = 0;
  Session session_{SessionOptions{.name = "n1", .labels = {}, .software = "fuzz"}, Time{}};
};

}  // namespace

void run(std::string_view bytes) {
  Node node;
  for (const std::string_view event : parts_of(bytes)) node.take(event);
  node.settle();
}

std::vector<std::string> seeds() {
  std::vector<std::string> events;
  std::vector<std::string> made;
  for (const proto::GoldenMessage& message : proto::golden_messages()) {
    const std::string said = joined(std::span(message.frames).first(2));
    events.push_back('\x81' + said);
    events.push_back('\3' + said);
    made.push_back(joined(std::span(events).last(2)));
  }
  made.push_back(joined(events));
  return made;
}

}  // namespace windlass::fuzz
