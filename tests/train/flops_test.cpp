#include "plan/flops.h"

#include <gtest/gtest.h>

#include "models/lora_adapter.h"
#include "models/trained_shape.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

namespace anneal {
namespace {

// Oracle: 4 operations a frozen weight and token, 6 a trained one, added by hand.
TEST(Flops, AreThoseByHand) {
  const ScratchFolder folder;
  write_tiny_model(folder.path(), tiny_config());
  CausalLm model(folder.path(), Precision{at::kFloat, std::nullopt});
  const double weights = 3 * (2 * 24 * 32 + 2 * 24 * 16 + 3 * 24 * 40), head = 37 * 24;
  const double attention =
      55 * 12.0 * 32 * 3;  // pairs of positions, 12 operations an element of the heads, layers
  EXPECT_DOUBLE_EQ(flop_rates(shape_of(model)).of_sample(10, 6), 10 * 4 * weights + attention + 6 * 4 * head);
  model.train_all_weights();
  EXPECT_DOUBLE_EQ(flop_rates(shape_of(model)).of_sample(10, 6), 10 * 6 * weights + attention + 6 * 6 * head);
}

}  // namespace
}  // namespace anneal
