// README.md of a model that is put on the Hub.
#pragma once
#include <filesystem>
#include <string>

namespace anneal {

struct ModelCard {
  std::string repository;            // name/model
  std::string base_model;            // as the adapter or the command names it
  bool is_adapter;                   // what the folder holds
  std::filesystem::path run_folder;  // with run_config.json and train_results.json, as far as they are there
};

std::string model_card_text(const ModelCard& card);

}  // namespace anneal
