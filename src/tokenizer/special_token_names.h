// Which tokens begin, end and pad: from the JSON files that lie beside a tokenizer.json.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace anneal {

struct SpecialTokenNames {
  std::optional<std::string> bos, eos, pad;
  std::vector<std::int32_t> generation_eos_ids;  // of generation_config.json
  std::optional<std::int32_t> generation_bos_id, generation_pad_id;
};

// Files that are missing say nothing; damaged ones throw UserError(kModel).
SpecialTokenNames load_special_token_names(const std::filesystem::path& model_folder);

}  // namespace anneal
