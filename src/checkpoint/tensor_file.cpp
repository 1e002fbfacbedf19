#include "checkpoint/tensor_file.h"

#include <ATen/ops/aminmax.h>

#include <cmath>
#include <cstring>

namespace anneal {

std::vector<NamedValue> trained_values(const std::vector<Parameter*>& parameters) {
  std::vector<at::Tensor> values;
  for (const auto* parameter : parameters) values.push_back(parameter->value);
  return named_values(parameters, values);
}

std::vector<NamedValue> named_values(const std::vector<Parameter*>& parameters,
                                     const std::vector<at::Tensor>& tensors) {
  std::vector<NamedValue> values;
  for (std::size_t index = 0; index < parameters.size(); ++index) {
    const auto& parameter = *parameters[index];
    values.push_back({parameter.name, tensors[index],
                      parameter.is_shared ? std::optional(parameter.first_element) : std::nullopt});
  }
  return values;
}

NamedTensor view_of(const std::string& name, const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_contiguous() && tensor.is_cpu());
  const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
  return {name, {dtype_of(tensor.scalar_type()), tensor.sizes().vec(), {bytes, tensor.nbytes()}}};
}

namespace {

// Without at::isfinite's temporaries, almost twice the tensor; the extremes of values with a NaN are NaN.
bool is_finite(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return true;
  const auto [least, most] = at::aminmax(tensor.view(-1));
  return std::isfinite(least.item<double>()) && std::isfinite(most.item<double>());
}

}  // namespace

NamedTensor checked_view(const std::string& name, const at::Tensor& tensor) {
  if (!is_finite(tensor))
    fail(ExitCode::kNumerical, "tensor '" + name + "' holds values that are not finite", "checkpoint",
         "lower the learning rate; the last good checkpoint is kept");
  return view_of(name, tensor);
}

void require_on_disk(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors) {
  forget_cached_pages(path);
  const SafetensorsFile file(path);
  for (const auto& [name, view] : tensors) {
    const auto found = file.tensors().find(name);
    if (found == file.tensors().end() || found->second.shape != view.shape ||
        found->second.bytes.size() != view.bytes.size() ||
        std::memcmp(found->second.bytes.data(), view.bytes.data(), view.bytes.size()) != 0)
      fail(ExitCode::kResources, "tensor '" + name + "' is not on the disk as it was written", path.string(),
           "check the disk; the last good state is kept");
  }
}

}  // namespace anneal
