#include "device/cuda_object.h"

#include <dlfcn.h>

#include "base/error.h"
#include "base/package_libraries.h"
#include "base/program_folder.h"

namespace anneal {
namespace {

// The driver's own interface; its first error code is 0 for success.
struct Driver {
  void* library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(::dlsym(library, name));
  }
};

std::string error_text(const Driver& driver, int code) {
  const char* text = nullptr;
  const auto name_of = driver.find<int(int, const char**)>("cuGetErrorString");
  if (name_of != nullptr) name_of(code, &text);
  return text != nullptr ? text : "error " + std::to_string(code);
}

CudaObject load_where_there_is_a_gpu() {
  CudaObject object;
  object.reason = why_no_gpu();
  if (!object.reason.empty()) return object;
  object = load_cuda_object(cuda_object_path());
  if (object.devices == 0) object.table = nullptr;
  return object;
}

}  // namespace

std::string why_no_gpu() {
  const Driver driver;
  if (driver.library == nullptr) return std::string(kNoDriver) + ": " + ::dlerror();
  const auto init = driver.find<int(unsigned)>("cuInit");
  const auto count = driver.find<int(int*)>("cuDeviceGetCount");
  if (init == nullptr || count == nullptr) return "the NVIDIA driver lacks cuInit";
  if (const int code = init(0); code != 0) return "the NVIDIA driver says: " + error_text(driver, code);
  int devices = 0;
  if (const int code = count(&devices); code != 0)
    return "the NVIDIA driver says: " + error_text(driver, code);
  return devices > 0 ? "" : "the NVIDIA driver has no device";
}

std::filesystem::path cuda_object_path() { return program_folder() / "libanneal_cuda.so"; }

CudaObject load_cuda_object(const std::filesystem::path& path) {
  CudaObject object;
  try {
    load_package_libraries(path.filename().string());
  } catch (const UserError& error) {
    object.reason = error.what();
    return object;
  }
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    object.reason = std::string("the CUDA object does not load: ") + ::dlerror();
    return object;
  }
  const auto get = reinterpret_cast<GetCudaTable>(::dlsym(module, kCudaTableSymbol));
  if (get == nullptr) {
    object.reason = path.string() + " has no " + kCudaTableSymbol;
    return object;
  }
  object.table = get();
  object.devices = object.table->device_count(object.reason);
  return object;
}

const CudaObject& cuda_object() {
  static const CudaObject object = load_where_there_is_a_gpu();
  return object;
}

}  // namespace anneal
