// The "constraints" map of a MATCH beside the columns that it names, whose entries the input brings too.
#include <cstring>

#include "plugin/match/decode.hpp"
#include "plugin/match/testing.hpp"
#include "tests/fuzz/golden.hpp"

namespace windlass::fuzz {
namespace {

constexpr std::size_t kTasks = 3, kOffers = 4, kColumnBytes = 64;

struct Columns {
  explicit Columns(std::string_view bytes) {
    std::memcpy(narrow, bytes.data(), sizeof narrow);
    std::memcpy(wide, bytes.data() + sizeof narrow, sizeof wide);
  }
  std::int32_t narrow[4];
  std::int64_t wide[6];
};
static_assert(sizeof(Columns) == kColumnBytes);

}  // namespace

void run(std::string_view bytes) {
  if (bytes.size() < kColumnBytes) return;
  const Columns given(bytes);
  using match::ColumnType;
  const match::Column columns[] = {
      {ColumnType::i32, given.narrow, kTasks},
      {ColumnType::i32, given.narrow, kOffers},
      {ColumnType::i64, given.wide, kOffers + 1},
      {ColumnType::i64, given.wide, 2},
      {ColumnType::i64, given.wide, 6},
      {ColumnType::u64, given.wide, 6},
      {ColumnType::i32, given.narrow + 1, kTasks},
      {ColumnType::i64, given.wide, 0},
  };
  match::TestProblem made;
  made.tasks = {{1, 2, 3}, {0, 1, 0}};
  made.offers = {{5, 6, 7, 8}, {given.wide[0], 1, 2, 3}};
  made.view();
  match::Constraints constraints;
  if (match::decode_constraints(bytes.substr(kColumnBytes), columns, made.problem, constraints)) return;
  (void)match::check_constraints(made.problem, constraints);
}

std::vector<std::string> seeds() {
  std::vector<std::string> made;
  const std::int32_t narrow[4] = {0, -1, 1, 0};
  const std::int64_t wide[6] = {0, 1, 1, 2, 2, 5};
  std::string columns(reinterpret_cast<const char*>(narrow), sizeof narrow);
  columns.append(reinterpret_cast<const char*>(wide), sizeof wide);
  for (const proto::GoldenMessage& message : proto::golden_messages()) {
    const auto body = proto::decode<proto::Match>(message.frames[1]);
    if (body && !body->constraints.empty()) made.push_back(columns + std::string(body->constraints));
    const auto session = proto::decode<proto::Session>(message.frames[1]);
    if (session && !session->rows.constraints.empty()) {
      made.push_back(columns + std::string(session->rows.constraints));
    }
  }
  return made;
}

}  // namespace windlass::fuzz
