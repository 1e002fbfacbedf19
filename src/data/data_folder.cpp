#include "data/data_folder.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "formats/utf8.h"

namespace anneal {
namespace {

constexpr std::size_t kMaximumBytes = 200;
constexpr std::size_t kKeptBytes = 180;
constexpr std::size_t kHashDigits = 16;

std::string percent(double value) {
  auto text = fmt::format("{:.3f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + "%";
}

}  // namespace

std::string sanitized_component(std::string_view name, char separator, const std::string& where) {
  const auto first = name.find_first_not_of("./\\");
  const auto last = name.find_last_not_of("/\\");
  if (first == name.npos)
    fail(ExitCode::kUsage, "\"" + std::string(name) + "\" gives no name for a folder", where,
         "name a file, a folder or an id");
  std::string component(name.substr(first, last + 1 - first));
  for (char& c : component) {
    if (c == '/' || c == '\\')
      c = separator;
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F ||
             std::string_view(":*?\"<>|").find(c) != std::string_view::npos)
      c = '_';
  }
  if (component.size() <= kMaximumBytes) return component;
  return std::string(utf8_prefix(component, kKeptBytes)) + "-" + sha256_hex(name).substr(0, kHashDigits);
}

std::string split_folder_name(double train_ratio, double test_share) {
  const double train = 100 * train_ratio;
  const double held_out = 100 - train;
  return "train=" + percent(train) + "-val=" + percent(held_out * (1 - test_share)) +
         "-test=" + percent(held_out * test_share);
}

std::string whole_percent_folder_name(double train_ratio, double test_share) {
  const int train = static_cast<int>(train_ratio * 100);
  const int validation = static_cast<int>((100 - train) * (1 - test_share));
  return fmt::format("train={}%-val={}%-test={}%", train, validation, 100 - train - validation);
}

std::filesystem::path default_data_folder(const std::string& dataset, const std::string& config,
                                          double train_ratio, double test_share) {
  return std::filesystem::path("datasets") / sanitized_component(dataset, '_', "--hfdc_dataset_name") /
         (config.empty() ? "default" : sanitized_component(config, '_', "--hfdc_dataset_config")) /
         split_folder_name(train_ratio, test_share);
}

}  // namespace anneal
