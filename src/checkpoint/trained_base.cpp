#include "checkpoint/trained_base.h"

#include "base/file.h"
#include "base/json.h"

namespace anneal {

std::optional<Problem> wrong_base_problem(const std::filesystem::path& run,
                                          const std::filesystem::path& base) {
  const auto path = run / "run_config.json";
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json config = read_json_file(path, ExitCode::kModel);
  const auto trained_on = config.is_object() ? optional<std::string>(config, "base_config_sha256", "",
                                                                     path.string(), ExitCode::kModel)
                                             : "";
  const auto given = base / "config.json";
  if (trained_on.empty() || trained_on == sha256_hex_of_file(given, ExitCode::kModel)) return std::nullopt;
  return Problem{"is not the config.json that the run was trained with", given.string(),
                 "name the model of the run with --base_model"};
}

}  // namespace anneal
