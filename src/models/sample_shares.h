// How the samples of a step, or of an evaluation, are divided over ranks.
#pragma once
#include <cstddef>
#include <vector>

namespace anneal {

// The samples of each of `ranks` ranks, in ascending order; every rank computes the same. The dearest sample
// goes first, each to the rank that has the least to do (Graham's longest processing time rule).
std::vector<std::vector<std::size_t>> share_samples(const std::vector<double>& costs, int ranks);

}  // namespace anneal
