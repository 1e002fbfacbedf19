// Names of the folders that prepared data and runs live in.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace anneal {

// `name` as one path component: separators become `separator`, characters that other systems refuse become
// "_", leading and trailing separators and leading dots go, long names are cut and hashed. Throws
// UserError(kUsage) naming `where` when nothing is left.
std::string sanitized_component(std::string_view name, char separator, const std::string& where);

// "train=90%-val=5%-test=5%", with up to three decimals.
std::string split_folder_name(double train_ratio, double test_share);

// The same as the Python program of old spelled it: percentages cut to whole numbers.
std::string whole_percent_folder_name(double train_ratio, double test_share);

// datasets/<dataset>/<config or default>/<split folder>
std::filesystem::path default_data_folder(const std::string& dataset, const std::string& config,
                                          double train_ratio, double test_share);

}  // namespace anneal
