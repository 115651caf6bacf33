#include "plugin/match/index/shapes.hpp"

#include <algorithm>
#include <bit>

#include "proto/keyed_hash.hpp"

namespace windlass::match {
namespace {

class Table {
 public:
  Table(const Problem& problem, size_t tasks) : problem_(problem), slots_(std::bit_ceil(2 * tasks + 2), -1) {}

  // The first task that was found with the same amounts; itself where it is the first.
  int32_t find(int32_t task) {
    for (size_t at = hash(task) & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at] < 0) return slots_[at] = task;
      if (same(slots_[at], task)) return slots_[at];
    }
  }

 private:
  uint64_t hash(int32_t task) const {
    uint64_t mixed = problem_.dimensions;
    for (size_t d = 0; d < problem_.dimensions; ++d) {
      mixed = proto::keyed_hash(mixed ^ static_cast<uint64_t>(problem_.task_amount(task, d)));
    }
    return mixed;
  }
  bool same(int32_t a, int32_t b) const {
    for (size_t d = 0; d < problem_.dimensions; ++d) {
      if (problem_.task_amount(a, d) != problem_.task_amount(b, d)) return false;
    }
    return true;
  }

  const Problem& problem_;
  std::vector<int32_t> slots_;
};

// Whether most tasks of a sample have been seen before.
bool repeats(const Problem& problem) {
  constexpr size_t kSample = 512;
  const size_t count = std::min(kSample, problem.tasks);
  Table table(problem, count);
  size_t known = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto task = static_cast<int32_t>(i * problem.tasks / count);
    known += table.find(task) != task;
  }
  return known * 2 > count;
}

}  // namespace

Shapes shapes_of(const Problem& problem) {
  Shapes shapes;
  if (!repeats(problem)) return shapes;
  Table table(problem, problem.tasks);
  shapes.of.resize(problem.tasks);
  for (size_t i = 0; i < problem.tasks; ++i) {
    const auto task = static_cast<int32_t>(i);
    const int32_t first = table.find(task);
    if (first == task) {
      shapes.of[task] = static_cast<int32_t>(shapes.example.size());
      shapes.example.push_back(task);
    } else {
      shapes.of[task] = shapes.of[first];
    }
  }
  return shapes;
}

}  // namespace windlass::match
