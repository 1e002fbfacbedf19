# libtorch from the pinned wheel in .venv (tools/setup makes it). find_package(Torch) would demand a CUDA toolkit.
file(GLOB ANNEAL_TORCH ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
if(NOT EXISTS "${ANNEAL_TORCH}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "no torch in .venv; run tools/setup first")
endif()
# As its metadata says, without what names a build, such as +cpu.
function(version_of_package result package)
  file(GLOB metadata ${package}-*.dist-info)
  string(REGEX REPLACE "^.*-([0-9.]+)[^/]*\\.dist-info$" "\\1" version "${metadata}")
  set(${result} ${version} PARENT_SCOPE)
endfunction()
version_of_package(ANNEAL_TORCH_VERSION ${ANNEAL_TORCH})
function(import_from_torch)
  foreach(name ${ARGN})
    add_library(${name} SHARED IMPORTED GLOBAL)
    set_target_properties(${name} PROPERTIES IMPORTED_LOCATION ${ANNEAL_TORCH}/lib/lib${name}.so)
  endforeach()
endfunction()
import_from_torch(c10 torch_cpu)
add_library(anneal_torch INTERFACE)
# After the system's folders, because the wheel brings its own copy of fmt, of another version than Debian's library.
target_compile_options(anneal_torch INTERFACE "SHELL:-idirafter ${ANNEAL_TORCH}/include")
target_compile_definitions(anneal_torch INTERFACE AT_PER_OPERATOR_HEADERS)
# at::parallel_for is a template: without OpenMP where it is compiled, it runs on one thread and says nothing. The
# run-time library has to be the one that the wheel brings, so that both share one pool of threads.
target_compile_options(anneal_torch INTERFACE -fopenmp)
target_link_libraries(anneal_torch INTERFACE torch_cpu c10 ${ANNEAL_TORCH}/lib/libgomp.so.1)

# What uses process groups.
add_library(anneal_torch_distributed INTERFACE)
target_compile_definitions(anneal_torch_distributed INTERFACE USE_DISTRIBUTED)
target_compile_options(anneal_torch_distributed INTERFACE "SHELL:-idirafter ${ANNEAL_TORCH}/include/torch/csrc/api/include")

# What only src/cuda links: headers of the nvidia wheels that torch's wheel wants, no CUDA toolkit.
set(ANNEAL_NVIDIA ${ANNEAL_TORCH}/../nvidia)
file(GLOB ANNEAL_CUDART ${ANNEAL_NVIDIA}/cu[0-9]*/lib/libcudart.so.*)
file(GLOB ANNEAL_CUDA_INCLUDES ${ANNEAL_NVIDIA}/cu[0-9]*/include)
if(NOT ANNEAL_CUDART OR NOT EXISTS "${ANNEAL_NVIDIA}/nccl/include/nccl.h")
  message(FATAL_ERROR "no nvidia-cuda-runtime or nvidia-nccl wheel in .venv; run tools/setup first")
endif()
import_from_torch(c10_cuda torch_cuda)
add_library(anneal_torch_cuda INTERFACE)
target_compile_options(anneal_torch_cuda INTERFACE "SHELL:-idirafter ${ANNEAL_CUDA_INCLUDES}"
                       "SHELL:-idirafter ${ANNEAL_NVIDIA}/nccl/include")
target_compile_definitions(anneal_torch_cuda INTERFACE USE_C10D_NCCL)
# torch_cuda brings its kernels by being loaded: no symbol of them is named here.
target_link_libraries(anneal_torch_cuda INTERFACE anneal_torch anneal_torch_distributed "-Wl,--no-as-needed" torch_cuda c10_cuda ${ANNEAL_CUDART})
