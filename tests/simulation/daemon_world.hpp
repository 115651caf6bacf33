// One windlassd's decisions (Session, Requests and what they hold) as a shared library for the simulated world of
// world.py, which is its network, its clock, its engines and its disk. Nothing here reads a clock or opens a socket;
// times are microseconds of the world's clock. Bytes handed in are the caller's; those handed out live until the next
// call. One thread.
//
// Messages are frames one after the other, each behind its length as four little-endian bytes (as proto/golden holds
// them). What the daemon wishes or tells is a list of events in msgpack, each [kind (a letter's number), bin, bin], or
// with a list of frames, as bin, in the last place:
//
//   L route, frames    send to a local client           B -, frames       send to the bridge
//   D incarnation, -   dial                             H -, -            hang up
//   S tag, body        a STAGE has begun                C tag, -          and is to be cancelled
//   M id, -            a MATCH waits for a matcher      + incarnation, -  registered
//   ? "1" or "0", -    the bridge is silent or not      ! why, -          the bridge is lost
#pragma once

#include <cstddef>
#include <cstdint>

#define WINDLASS_SIM extern "C" __attribute__((visibility("default")))

namespace windlass::simulation {
class Daemon;
}
using windlass_sim = windlass::simulation::Daemon;

// After each call that answers a count of bytes: so many bytes of events, when the daemon wants to be called again by
// turn(), and whether the disk took all that this call wrote.
struct windlass_sim_answer {
  const char* events;
  std::int64_t due;
  bool disk_works;
};
WINDLASS_SIM windlass_sim_answer windlass_sim_told;

// A process that starts. `ends` is its file of staging's ends; null where it has no state.path.
WINDLASS_SIM windlass_sim* windlass_sim_start(const char* name, std::uint64_t seed, std::int64_t now, const char* ends);
// It is killed.
WINDLASS_SIM void windlass_sim_kill(windlass_sim* daemon);

WINDLASS_SIM std::size_t windlass_sim_local(windlass_sim* daemon, const char* route, std::size_t route_bytes,
                                            const char* frames, std::size_t bytes, std::int64_t now);
WINDLASS_SIM std::size_t windlass_sim_bridge(windlass_sim* daemon, const char* frames, std::size_t bytes,
                                             std::int64_t now);
// Does what is due.
WINDLASS_SIM std::size_t windlass_sim_turn(windlass_sim* daemon, std::int64_t now);
// The daemon's offers change: this one record is all of them. Answers the version that they are of.
WINDLASS_SIM std::uint64_t windlass_sim_offer(windlass_sim* daemon, const char* record, std::size_t bytes);
// The connection to the bridge is broken, and the daemon's socket has seen it.
WINDLASS_SIM std::size_t windlass_sim_unlink(windlass_sim* daemon, std::int64_t now);
WINDLASS_SIM std::size_t windlass_sim_drain(windlass_sim* daemon, std::int64_t now);
// SIGTERM's end: what runs is parked, and BYE is said.
WINDLASS_SIM std::size_t windlass_sim_end(windlass_sim* daemon, std::int64_t now);

// The engines. A STAGE ends with the body of its RESULT; false where the tag is not one that runs.
WINDLASS_SIM bool windlass_sim_end_stage(windlass_sim* daemon, std::uint64_t tag, const char* report,
                                         std::size_t bytes);
WINDLASS_SIM void windlass_sim_set_refusing(windlass_sim* daemon, bool matches, bool stages);
// A matcher takes a MATCH or a request of a session: 1 it runs, 0 it was cancelled, 2 its deadline was over. Then it
// ends; a session's request is done for real.
WINDLASS_SIM int windlass_sim_run_match(windlass_sim* daemon, const char* id, std::int64_t now);
WINDLASS_SIM void windlass_sim_end_match(windlass_sim* daemon, const char* id, const char* body, std::size_t bytes);

// How sending to a local client goes from now on: 0 well, 1 its queue is full, 2 it is gone.
WINDLASS_SIM void windlass_sim_reach(windlass_sim* daemon, const char* route, std::size_t bytes, int how);
// The local client's connection has ended, and the daemon has seen it.
WINDLASS_SIM void windlass_sim_hung_up(windlass_sim* daemon, const char* route, std::size_t bytes);
// How sending to the bridge goes from now on.
WINDLASS_SIM void windlass_sim_reach_bridge(windlass_sim* daemon, int how);

WINDLASS_SIM bool windlass_sim_idle(windlass_sim* daemon);
WINDLASS_SIM bool windlass_sim_registered(windlass_sim* daemon);
WINDLASS_SIM std::uint64_t windlass_sim_kept(windlass_sim* daemon, int what);  // 0 answers, 1 running, 2 clients

// The disk of all daemons: how many bytes more may be written to files of ends before it is full; below zero: no end.
WINDLASS_SIM void windlass_sim_disk(std::int64_t bytes);
