// A transfer of a folder and all beneath it. Folders are the units of work: the thread that runs the transfer takes
// them one by one, and threads that have nothing else to do join in.
#pragma once

#include "plugin/stage/run.hpp"

namespace windlass::stage {

inline constexpr std::size_t kTreeDepthMax = 1000;  // each level holds two descriptors

// Any thread: whether help_tree() would find something to do.
bool has_work(const TreeRun& tree);
// Takes work of the tree until there is none, or a transfer waits.
void help_tree(TreeRun& tree, const Tools& tools);

}  // namespace windlass::stage
