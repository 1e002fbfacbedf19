#include "models/flops.h"

#include <gtest/gtest.h>

#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

namespace anneal {
namespace {

// Oracle: 4 operations a frozen weight and token, 6 a trained one, added by hand.
TEST(Flops, AreThoseByHand) {
  const ScratchFolder folder;
  write_tiny_model(folder.path(), tiny_config());
  CausalLm model(folder.path(), Precision{at::kFloat, std::nullopt});
  const auto ids = random_ids(10, 1);
  const std::vector<SampleView> pool{{ids, 4}};
  const double weights = 3 * (2 * 24 * 32 + 2 * 24 * 16 + 3 * 24 * 40), head = 37 * 24;
  const double attention =
      55 * 12.0 * 32 * 3;  // pairs of positions, 12 operations an element of the heads, layers
  EXPECT_DOUBLE_EQ(needed_flops(model, pool), 10 * 4 * weights + attention + 6 * 4 * head);
  model.train_all_weights();
  EXPECT_DOUBLE_EQ(needed_flops(model, pool), 10 * 6 * weights + attention + 6 * 6 * head);
}

}  // namespace
}  // namespace anneal
