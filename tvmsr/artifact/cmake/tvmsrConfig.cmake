# find_package(tvmsr): the header of the C ABI, and functions that make libraries of networks.
#
#   cmake -S . -B build -Dtvmsr_DIR="$(tvmsr --cmake-dir)"
#
#   find_package(tvmsr REQUIRED)
#   tvmsr_add_model(upscaler MODEL net.safetensors)            # compiled when the app is built (tvmsrModel.cmake)
#   tvmsr_add_artifact(upscaler FILE sr.so)                    # compiled before (tvmsrArtifact.cmake)
#   target_link_libraries(app PRIVATE upscaler)
#
# tvmsr::headers is the header alone, for apps that dlopen. add_subdirectory of the checkout gives the same.

# Where `cmake --install` has put this file, tvmsrPaths.cmake says where it has put the header.
include("${CMAKE_CURRENT_LIST_DIR}/tvmsrPaths.cmake" OPTIONAL RESULT_VARIABLE tvmsr_paths)
if(NOT tvmsr_paths)
  get_filename_component(tvmsr_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../include" ABSOLUTE)
endif()

if(NOT TARGET tvmsr::headers)
  add_library(tvmsr::headers INTERFACE IMPORTED GLOBAL)
  set_target_properties(tvmsr::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${tvmsr_INCLUDE_DIR}")
endif()

include("${CMAKE_CURRENT_LIST_DIR}/tvmsrArtifact.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/tvmsrTarget.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/tvmsrCompiler.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/tvmsrModel.cmake")
