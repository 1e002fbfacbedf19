// What the processes of one training have to agree on before it begins.
#pragma once
#include "architecture/model_config.h"
#include "device/device.h"
#include "dist/world.h"
#include "engine/train_request.h"

namespace anneal {

// Whether the model is to be shared over the ranks: what --sharding says; auto shares where the weights (and
// of a full fine-tune what the optimizer holds) do not fit into the memory of every rank's device.
bool decide_sharding(const TrainRequest& request, const ModelConfig& config, c10::Device device,
                     World& world);

// The memory that a rank may count on: machines are shared by the ranks on them.
std::int64_t available_memory_of_rank(const World& world);

// Throws UserError(kDistributed) on every rank where a text is not the same on all.
void require_agreement(const std::string& text, const std::string& what, ProcessGroup& group);

}  // namespace anneal
