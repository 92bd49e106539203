# find_package(tvmsr): the header of the C ABI, and a function that adds an artifact as a target.
#
#   cmake -Dtvmsr_DIR="$(tvmsr --cmake-dir)" ..
#
#   find_package(tvmsr REQUIRED)
#   tvmsr_add_artifact(upscaler FILE ${CMAKE_SOURCE_DIR}/sr.so)            # or sr.a (--emit static)
#   target_link_libraries(app PRIVATE upscaler)
#
# PREFIX p is what `tvmsr compile --prefix p` was given; of several artifacts in one program each needs its own. An app
# with one prefix gets TVMSR_PREFIX defined; with several, define it before each #include "tvmsr.h" (see the header), and
# pass NO_DEFINE.

get_filename_component(tvmsr_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../include" ABSOLUTE)

if(NOT TARGET tvmsr::headers)
  add_library(tvmsr::headers INTERFACE IMPORTED)
  set_target_properties(tvmsr::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${tvmsr_INCLUDE_DIR}")
endif()

function(tvmsr_add_artifact name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "NO_DEFINE" "FILE;PREFIX" "")
  if(NOT arg_FILE)
    message(FATAL_ERROR "tvmsr_add_artifact(${name}): FILE is missing")
  endif()
  get_filename_component(file "${arg_FILE}" ABSOLUTE)
  if(NOT EXISTS "${file}")
    message(FATAL_ERROR "tvmsr_add_artifact(${name}): there is no ${file}; make it with `tvmsr compile`")
  endif()
  if(file MATCHES "\\.a$")
    find_package(Threads REQUIRED)
    add_library(${name} STATIC IMPORTED GLOBAL)
    target_link_libraries(${name} INTERFACE Threads::Threads)
  else()
    add_library(${name} SHARED IMPORTED GLOBAL)
    # Artifacts have no soname (their bytes do not depend on their name), so the app asks for the file by its path. To
    # ship both side by side, link with -L<folder> -l:<file> instead, and give the app an rpath of $ORIGIN.
  endif()
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${file}")
  target_link_libraries(${name} INTERFACE tvmsr::headers)
  if(arg_PREFIX AND NOT arg_NO_DEFINE)
    target_compile_definitions(${name} INTERFACE TVMSR_PREFIX=${arg_PREFIX})
  endif()
endfunction()
