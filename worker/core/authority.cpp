#include "worker/core/authority.hpp"

#include <array>

namespace windlass::worker {
namespace {

using proto::Type;

constexpr auto kYes = Verdict::allowed;
constexpr auto kNo = Verdict::denied;
constexpr auto kNobody = Verdict::unserved;

struct Row {
  Type type;
  std::array<Verdict, kStandings> by;  // in the order of Standing
};

constexpr Row kTable[] = {
    //               local  bridge   client scheduler observer node
    {Type::hello, {kYes, kNobody, kYes, kYes, kYes, kNo}},  {Type::load, {kYes, kNobody, kYes, kYes, kYes, kNo}},
    {Type::match, {kYes, kNobody, kYes, kYes, kNo, kNo}},   {Type::session, {kYes, kNobody, kYes, kYes, kNo, kNo}},
    {Type::stage, {kYes, kYes, kYes, kYes, kNo, kNo}},      {Type::progress, {kYes, kYes, kYes, kYes, kNo, kNo}},
    {Type::cancel, {kYes, kYes, kYes, kYes, kNo, kNo}},     {Type::bye, {kYes, kYes, kYes, kYes, kYes, kNo}},
    {Type::grant, {kNobody, kYes, kNo, kNobody, kNo, kNo}}, {Type::release, {kNobody, kYes, kNo, kNobody, kNo, kNo}},
};

}  // namespace

Verdict may_say(Standing standing, Type type) {
  for (const Row& row : kTable) {
    if (row.type == type) return row.by[static_cast<std::size_t>(standing)];
  }
  return kNobody;
}

Verdict may_greet_as(Standing standing, proto::Role role) {
  switch (standing) {
    case Standing::local:
      return role == proto::Role::client ? kYes : kNobody;
    case Standing::client:
    case Standing::scheduler:
      return role == proto::Role::node ? kNobody : kYes;
    case Standing::observer:
      return role == proto::Role::observer ? kYes : kNo;
    case Standing::node:
    case Standing::bridge:
      break;
  }
  return kNo;
}

std::string_view name_of(Standing standing) {
  constexpr std::array<std::string_view, kStandings> kNames = {"local",     "bridge",   "client",
                                                               "scheduler", "observer", "node"};
  return kNames[static_cast<std::size_t>(standing)];
}

}  // namespace windlass::worker
