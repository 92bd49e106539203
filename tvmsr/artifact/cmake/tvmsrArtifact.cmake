# tvmsr_add_artifact(<target> FILE <file> [PREFIX <prefix>] [NO_DEFINE])
#
# A library that exists: sr.so, sr.dylib or sr.a (--emit static). PREFIX is what `tvmsr compile --prefix` was given; of
# several artifacts in one program each needs its own. An app with one prefix gets TVMSR_PREFIX defined; with several, pass
# NO_DEFINE and define it before each #include "tvmsr.h" (see the header).
function(tvmsr_add_artifact name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "NO_DEFINE" "FILE;PREFIX" "")
  if(NOT arg_FILE)
    message(FATAL_ERROR "tvmsr_add_artifact(${name}): FILE is missing")
  endif()
  get_filename_component(file "${arg_FILE}" ABSOLUTE)
  if(NOT EXISTS "${file}")
    message(FATAL_ERROR "tvmsr_add_artifact(${name}): there is no ${file}; make it with `tvmsr compile`")
  endif()
  # The linker is asked for a .so by name, so it must be called lib*.so.
  get_filename_component(base "${file}" NAME)
  if(base MATCHES "\\.so$" AND NOT base MATCHES "^lib")
    configure_file("${file}" "${CMAKE_CURRENT_BINARY_DIR}/lib${name}.so" COPYONLY)
    set(file "${CMAKE_CURRENT_BINARY_DIR}/lib${name}.so")
  endif()
  _tvmsr_import(${name} "${file}")
  if(arg_PREFIX AND NOT arg_NO_DEFINE)
    target_compile_definitions(${name} INTERFACE TVMSR_PREFIX=${arg_PREFIX})
  endif()
endfunction()

# The imported target of a library that exists, or will when it is built.
function(_tvmsr_import name file)
  if(file MATCHES "\\.a$")
    find_package(Threads REQUIRED)
    add_library(${name} STATIC IMPORTED GLOBAL)
    target_link_libraries(${name} INTERFACE Threads::Threads)
  else()
    add_library(${name} SHARED IMPORTED GLOBAL)
    if(file MATCHES "\\.so$")
      # Artifacts have no soname: their bytes do not depend on their name. Linked by its path, the path of the build
      # folder would be in the app; this has it linked with -L<folder> -l<name>.
      set_target_properties(${name} PROPERTIES IMPORTED_NO_SONAME TRUE)
    endif()
  endif()
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${file}")
  target_link_libraries(${name} INTERFACE tvmsr::headers)
endfunction()
