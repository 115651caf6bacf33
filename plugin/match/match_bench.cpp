// How long does each engine take on made-up clusters? match_bench [case] [scalar|scan]: CPU milliseconds, best of a few
// runs.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <random>
#include <string>

#include "plugin/match/index/index.hpp"
#include "plugin/match/scalar.hpp"
#include "plugin/match/scan.hpp"
#include "plugin/match/testing.hpp"

namespace {

using namespace windlass::match;

std::mt19937_64 random_bits(7);
int64_t below(int64_t end) {
  return static_cast<int64_t>(random_bits() % static_cast<uint64_t>(end));
}

enum class Kind { continuous, shapes, all_tie, near, none_fits, correlated, grid, sum_ties };

void fill(TestProblem& made, Kind kind, size_t tasks, size_t offers, int64_t share) {
  constexpr size_t kDimensions = 4;
  const auto column = [&](size_t rows, auto value) {
    std::vector<int64_t> values(rows);
    for (int64_t& one : values) one = value();
    return values;
  };
  if (kind == Kind::correlated || kind == Kind::sum_ties) {
    const auto row = [&](std::vector<std::vector<int64_t>>& side, size_t rows, int64_t most) {
      side.assign(kDimensions, std::vector<int64_t>(rows));
      for (size_t r = 0; r < rows; ++r) {
        const int64_t base = below(most);
        for (size_t d = 0; d < kDimensions; ++d) {
          side[d][r] = kind == Kind::correlated ? base + below(most / 20 + 1) : below(most);
        }
        if (kind == Kind::sum_ties) side[1][r] = most - side[0][r], side[3][r] = most - side[2][r];
      }
    };
    row(made.tasks, tasks, 500'000 / share);
    row(made.offers, offers, 1'000'000);
    if (kind == Kind::sum_ties) made.problem.normalize = false;
    return;
  }
  for (size_t d = 0; d < kDimensions; ++d) {
    switch (kind) {
      case Kind::shapes:
        made.tasks.push_back(column(tasks, [&] { return 10'000 << below(3); }));
        made.offers.push_back(column(offers, [&] { return share * (20'000 << below(3)); }));
        break;
      case Kind::all_tie:
        made.tasks.push_back(column(tasks, [&] { return 10'000; }));
        made.offers.push_back(column(offers, [&] { return share * 20'000; }));
        break;
      case Kind::near:
        made.tasks.push_back(column(tasks, [&] { return 1'000'000 + below(100); }));
        made.offers.push_back(column(offers, [&] { return share * 1'000'050 + below(100); }));
        break;
      case Kind::none_fits:
        made.tasks.push_back(column(tasks, [&] { return 500'000 + below(500'000); }));
        made.offers.push_back(
            column(offers, [&] { return d == 0 ? 500'000 - below(500'000) : 500'000 + below(500'000); }));
        break;
      case Kind::grid:
        made.tasks.push_back(column(tasks, [&] { return 10'000 * (below(16) + 1); }));
        made.offers.push_back(column(offers, [&] { return share * 10'000 * (below(32) + 1); }));
        break;
      default:
        made.tasks.push_back(column(tasks, [&] { return 10'000 + below(1'000'000) / share; }));
        made.offers.push_back(column(offers, [&] { return 20'000 + below(2'000'000); }));
    }
  }
}

template <typename Run>
double best_ms(int runs, Run run) {
  double best = 1e300;
  for (int i = 0; i < runs; ++i) {
    const std::clock_t begin = std::clock();  // of this process, so that a busy machine disturbs less
    run();
    best = std::min(best, 1e3 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  return best;
}

struct Case {
  const char* name;
  Kind kind;
  size_t tasks, offers;
  Mode mode = Mode::exclusive;
  Ties ties = Ties::stable;
  Policy policy = Policy::best_fit;
};

const Case kCases[] = {
    {"20Kx20K", Kind::continuous, 20'000, 20'000},
    {"20Kx20K-swap", Kind::continuous, 20'000, 20'000, Mode::exclusive, Ties::swap_remove},
    {"20Kx20K-shapes", Kind::shapes, 20'000, 20'000},
    {"20Kx20K-shapes-swap", Kind::shapes, 20'000, 20'000, Mode::exclusive, Ties::swap_remove},
    {"20Kx20K-all-tie", Kind::all_tie, 20'000, 20'000},
    {"20Kx20K-all-tie-swap", Kind::all_tie, 20'000, 20'000, Mode::exclusive, Ties::swap_remove},
    {"20Kx20K-near", Kind::near, 20'000, 20'000},
    {"20Kx20K-none-fits", Kind::none_fits, 20'000, 20'000},
    {"20Kx20K-correlated", Kind::correlated, 20'000, 20'000},
    {"20Kx20K-grid", Kind::grid, 20'000, 20'000},
    {"20Kx20K-sum-ties", Kind::sum_ties, 20'000, 20'000},
    {"20Kx20K-sum-ties-swap", Kind::sum_ties, 20'000, 20'000, Mode::exclusive, Ties::swap_remove},
    {"20Kx20K-worst", Kind::continuous, 20'000, 20'000, Mode::exclusive, Ties::stable, Policy::worst_fit},
    {"20Kx20K-dot", Kind::continuous, 20'000, 20'000, Mode::exclusive, Ties::stable, Policy::dot_product},
    {"20Kx20K-cost", Kind::continuous, 20'000, 20'000, Mode::exclusive, Ties::stable, Policy::cost},
    {"100Kx100K", Kind::continuous, 100'000, 100'000},
    {"100Kx100K-shapes", Kind::shapes, 100'000, 100'000},
    {"100Kx20K-packing", Kind::continuous, 100'000, 20'000, Mode::packing},
    {"1Mx100K-packing", Kind::continuous, 1'000'000, 100'000, Mode::packing},
    {"1Mx100K-packing-shapes", Kind::shapes, 1'000'000, 100'000, Mode::packing},
};

void run_case(const Case& one, bool scalar, bool scan) {
  TestProblem made;
  fill(made, one.kind, one.tasks, one.offers, one.mode == Mode::packing ? 10 : 1);
  made.problem.mode = one.mode;
  made.problem.ties = one.ties;
  made.problem.policy = one.policy;
  if (one.policy == Policy::cost) {
    for (size_t offer = 0; offer < one.offers; ++offer) made.price.push_back(below(1'000));
  }
  const Problem& problem = made.view();
  size_t placed = 0;
  const double fast =
      index_serves(problem) ? best_ms(one.tasks > 50'000 ? 2 : 40, [&] { placed = match_index(problem).placed; }) : 0;
  std::printf("%-26s index %9.2f ms", one.name, fast);
  if (scan) std::printf("  scan %9.2f ms", best_ms(1, [&] { placed = match_scan(problem).placed; }));
  std::printf("  placed %zu", placed);
  if (scalar) std::printf("  scalar %9.2f ms", best_ms(1, [&] { match_scalar(problem); }));
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string wanted = argc > 1 ? argv[1] : "";
  const bool scalar = argc > 2 && std::strcmp(argv[2], "scalar") == 0;
  const bool scan = argc > 2 && std::strcmp(argv[2], "scan") == 0;
  for (const Case& one : kCases) {
    if (wanted.empty() || wanted == "all" || wanted == one.name) run_case(one, scalar, scan);
  }
  return 0;
}
