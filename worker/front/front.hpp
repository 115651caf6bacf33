// The daemon's front towards its clients: a ROUTER that speaks ZMTP 3 with the NULL mechanism, on sockets of the file
// system and of tcp. It knows clients by their routing ids, takes their messages in fair turns, and sends what they are
// answered; it never blocks, and a client that is not at work costs it no buffer. A client that does not take its
// answers is not read from until it does, so that it waits rather than loses them. Everything is bounded by what
// front_limits.hpp names. A routing id is its user's own: another user who wishes for the same has another route. No
// thread of its own: the control thread waits on its Poll and hands over what is ready.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/keyed_hash.hpp"
#include "worker/core/answer.hpp"
#include "worker/front/incoming.hpp"
#include "worker/front/listener.hpp"
#include "worker/front/outgoing.hpp"
#include "worker/front/poll.hpp"

namespace windlass::worker {

class Front {
 public:
  // Tags below it are not the front's.
  static constexpr std::uint64_t kFirstTag = std::uint64_t{1} << 32U;

  // `refused` hears of each client that is hung up on: a short name of the reason, and a sentence.
  using Refused = std::function<void(const char* reason, std::string_view why)>;
  explicit Front(Poll& poll);
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  void on_refused(Refused refused) { refused_ = std::move(refused); }
  // As many clients as the limit of open files allows, of which so many are for others than the front.
  void leave_to_others(std::size_t connections) { connections_max_ -= std::min(connections, connections_max_); }
  // The memory that there is, of which less than usual is to be used where it is little.
  void fit(std::size_t memory_bytes);
  // Serves whoever comes there; the first that is added comes first in turn.
  void listen(Listener listener);

  // What the Poll told of a tag from kFirstTag on.
  void ready(const epoll_event& event, Time now);
  // Hangs up on who has vanished, and on who is too slow: in greeting, in saying HELLO, in ending a message, or in
  // taking its answers where too much waits in all. To be called now and then, at next_due() at the latest.
  void turn(Time now);
  [[nodiscard]] Time next_due() const;

  // The routes of clients whose connections have ended since it was asked last. To be asked after each receive(), and
  // heeded before the message that it answered: whoever bears the same route came later.
  [[nodiscard]] std::vector<std::string> take_ended() { return std::exchange(ended_, {}); }

  struct Message {
    std::string route;
    Frames frames;
  };
  // The next whole message of those that are ready.
  std::optional<Message> receive();
  // receive() would look for more, though the Poll tells of nothing new.
  [[nodiscard]] bool pending() const { return current_ != kNobody || at_ready_ < ready_.size(); }

  // Leaves with the next flush(), or with the next client's turn. Full: so much waits for this client already, or for
  // all together and for this one more than its share of it.
  Sent send(const std::string& route, std::string_view header, const Frames& frames);
  // Whether an answer of so many bytes is welcome; else its client is to ask again later, when it has read.
  [[nodiscard]] bool has_room(const std::string& route, std::size_t bytes) const;
  // The client has said HELLO, by the judgement of whoever reads messages, and may be silent from now on.
  void welcomed(const std::string& route);
  void flush();

  // Stops listening, and gives what was sent last `linger` to leave.
  void close(std::chrono::milliseconds linger);

  [[nodiscard]] std::size_t connections() const { return connections_; }

 private:
  using Slot = std::uint32_t;
  static constexpr Slot kNobody = ~Slot{0};
  static constexpr std::uint64_t kListenersMax = 16;  // tags from kFirstTag on; those of connections follow
  static constexpr std::uint64_t tag_of(Slot slot) { return kFirstTag + kListenersMax + slot; }

  struct Connection {
    Descriptor socket;
    bool open = false;      // has its route
    bool welcomed = false;  // has said HELLO
    bool dirty = false;
    bool unconfirmed = false;  // is among those
    std::uint32_t watched = EPOLLIN;
    std::optional<uid_t> uid;
    std::uint64_t number = 0;  // of all that came, this one
    std::string route;
    Incoming incoming;
    std::unique_ptr<Outgoing> outgoing;  // null: nothing waits
    std::size_t held = 0;                // of incoming, as counted in held_
    std::size_t at_holder = 0;           // its place among holders_, where that is not 0
    Time heard{};                        // when that was last more
    std::uint64_t taken = 0;             // bytes of outgoing
    std::uint64_t taken_before = 0;      // of those, before the round of this number
    std::uint64_t round = 0;             // 0: it has taken all since, or nothing waited for it then
  };
  struct Known {
    Slot slot = kNobody;
    std::uint64_t number = 0;
  };
  struct Greeting {
    Slot slot = kNobody;
    std::uint64_t number = 0;
    Time until{};
  };

  // Coming and going: front.cpp.
  void accept(Listener& listener, Time now);
  bool admit(Listener::Accepted accepted, Time now);
  [[nodiscard]] std::size_t greetings_max() const;
  bool refuse_one_waiting(Listener& listener);
  void rest(Time now);
  void refuse(const char* reason, std::string_view why) const;
  void hang_up(Slot slot);
  void refuse_and_hang_up(Slot slot, const char* reason, std::string_view why, bool tell = false);
  [[nodiscard]] const Connection* found(const Greeting& greeting) const;
  [[nodiscard]] bool still_greets(const Greeting& greeting) const;
  [[nodiscard]] bool still_mute(const Greeting& greeting) const;
  using Still = bool (Front::*)(const Greeting&) const;
  void hang_up_on_late(std::deque<Greeting>& greetings, Still still, std::string_view why, Time now);

  // Traffic: front_traffic.cpp.
  bool begin_reading();
  bool read_some(Connection& connection);
  void end_reading();
  std::optional<Message> take();
  void enrol(Slot slot, std::string_view wished);
  std::string new_route();
  std::string route_of(const Connection& connection, std::string_view wished);
  Outgoing& outgoing_of(Slot slot);
  void say(Slot slot, std::string_view bytes);
  void flush_one(Slot slot);
  [[nodiscard]] bool is_full(const Connection& connection) const;
  [[nodiscard]] static bool is_paused(const Connection& connection);
  void watch(Slot slot);

  // What is held and what waits: front_bounds.cpp.
  void count_held(Slot slot);
  void forget_held(Slot slot);
  void bound_held(Slot slot);
  void hang_up_on_half(Time now);
  void expect_confirmation(Slot slot);
  void hang_up_on_vanished(Time now);
  [[nodiscard]] std::size_t share_of(std::size_t bytes, std::size_t clients) const;
  void relieve(Time now);
  void hang_up_on_stalled();

  Poll& poll_;
  Refused refused_;
  std::vector<Listener> listeners_;
  std::vector<std::unique_ptr<Connection>> slots_;
  std::vector<Slot> free_;
  proto::KeyedMap<std::string, Slot> routes_;
  std::vector<Slot> ready_;  // to be read, from at_ready_ on
  std::size_t at_ready_ = 0;
  Slot current_ = kNobody;  // whose bytes lie in scratch_
  std::unique_ptr<char[]> scratch_;
  std::string_view unread_;  // of scratch_
  std::vector<std::string> ended_;
  std::vector<Slot> dirty_;
  std::vector<std::unique_ptr<Outgoing>> spare_;  // with their room
  std::deque<Greeting> greetings_;                // in the order they came; some have ended
  std::size_t greeting_ = 0;                      // of them that have not
  std::deque<Greeting> mute_;                     // likewise, until their HELLO
  std::optional<Time> rested_until_;              // the system had no means to accept
  Descriptor reserve_;                            // given up for a moment to refuse one when there are no others
  std::size_t connections_max_;
  std::size_t connections_ = 0;
  std::uint64_t came_ = 0;
  std::uint32_t next_route_;
  Time now_{};            // as told last
  std::size_t held_ = 0;  // bytes of messages that have not come whole
  std::size_t held_max_;
  std::vector<Slot> holders_;  // whose
  Time half_due_{};            // to be looked at
  std::size_t waiting_ = 0;    // bytes that have not left
  std::size_t waiting_max_;
  std::vector<Known> unconfirmed_;  // whose peers have not confirmed all, when last looked at
  Time confirm_due_{};              // to be looked at
  std::size_t waiters_ = 0;         // clients for whom something waits
  std::uint64_t round_ = 0;         // its number; each lasts for kStallMax, while more than waiting_max_ waits
  std::optional<Time> judged_;      // when it is over
};

}  // namespace windlass::worker
