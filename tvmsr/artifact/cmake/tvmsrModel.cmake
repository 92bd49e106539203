# tvmsr_add_model(<target> MODEL <file|default:x2|default:x4> [TARGET <name|file.toml>] [BITS <bits>] [PLAN <plan.json>]
#                 [CALIB <folder>] [PREFIX <prefix>] [NO_DEFINE] [STATIC] [COMPILE_OPTIONS <option>...])
#
# A library that `tvmsr compile` makes when the app is built: lib<target>.so (.dylib) in CMAKE_CURRENT_BINARY_DIR, or
# lib<target>.a with STATIC. It is made again when the model, the plan, a picture of CALIB, a TARGET file or tvmsr itself
# has changed. Without TARGET: that of the system that CMake builds for (tvmsrTarget.cmake). Files are relative to
# CMAKE_CURRENT_SOURCE_DIR. PREFIX and NO_DEFINE: see tvmsrArtifact.cmake. COMPILE_OPTIONS: further options of
# `tvmsr compile`.
function(tvmsr_add_model name)
  cmake_parse_arguments(PARSE_ARGV 1 arg
    "NO_DEFINE;STATIC" "MODEL;TARGET;BITS;PLAN;CALIB;PREFIX" "COMPILE_OPTIONS")
  set(caller "tvmsr_add_model(${name})")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${caller}: what is '${arg_UNPARSED_ARGUMENTS}'? Options of the compiler go after COMPILE_OPTIONS.")
  endif()
  if(NOT arg_MODEL)
    message(FATAL_ERROR "${caller}: MODEL is missing: a checkpoint's file, default:x2 or default:x4")
  endif()
  _tvmsr_inputs(inputs "${caller}")
  if(NOT arg_TARGET)
    tvmsr_target_of_system(arg_TARGET "${caller}")
  endif()
  _tvmsr_output(file emit)
  set(options --target "${arg_TARGET}" --emit ${emit} -o "${file}")
  foreach(option IN ITEMS BITS PLAN CALIB PREFIX)
    if(arg_${option})
      string(TOLOWER "--${option}" word)
      list(APPEND options ${word} "${arg_${option}}")
    endif()
  endforeach()

  _tvmsr_find_compiler(command "${caller}")
  add_custom_command(OUTPUT "${file}"
    COMMAND ${command} compile "${arg_MODEL}" ${options} ${arg_COMPILE_OPTIONS}
    DEPENDS ${inputs}
    COMMENT "tvmsr: compiling ${arg_MODEL} for ${arg_TARGET}"
    VERBATIM)
  add_custom_target(${name}_compile DEPENDS "${file}")
  _tvmsr_import(${name} "${file}")
  add_dependencies(${name} ${name}_compile)
  if(arg_PREFIX AND NOT arg_NO_DEFINE)
    target_compile_definitions(${name} INTERFACE TVMSR_PREFIX=${arg_PREFIX})
  endif()
endfunction()

# Makes the files among tvmsr_add_model's arguments absolute; `result`: all that the library depends on.
macro(_tvmsr_inputs result caller)
  get_property(stamp GLOBAL PROPERTY TVMSR_STAMP)
  set(${result} "")
  if(EXISTS "${stamp}")
    list(APPEND ${result} "${stamp}")
  endif()
  foreach(option IN ITEMS MODEL PLAN CALIB TARGET)
    set(value "${arg_${option}}")
    if(value STREQUAL "" OR (option STREQUAL "MODEL" AND value MATCHES "^default:")
        OR (option STREQUAL "TARGET" AND NOT value MATCHES "\\.toml$"))
      continue()
    endif()
    get_filename_component(value "${value}" ABSOLUTE)
    get_source_file_property(generated "${value}" GENERATED)
    if(NOT EXISTS "${value}" AND NOT generated)
      message(FATAL_ERROR "${caller}: ${option}: there is no ${value}")
    endif()
    set(arg_${option} "${value}")
    if(IS_DIRECTORY "${value}")
      file(GLOB pictures CONFIGURE_DEPENDS "${value}/*")
      list(APPEND ${result} ${pictures})
    else()
      list(APPEND ${result} "${value}")
    endif()
  endforeach()
endmacro()

# The file that is made, and the compiler's word for its kind.
macro(_tvmsr_output file emit)
  if(arg_STATIC)
    set(${file} "${CMAKE_CURRENT_BINARY_DIR}/lib${name}.a")
    set(${emit} static)
  else()
    set(${file} "${CMAKE_CURRENT_BINARY_DIR}/lib${name}.so")
    if(APPLE)
      set(${file} "${CMAKE_CURRENT_BINARY_DIR}/lib${name}.dylib")
    endif()
    set(${emit} so)
  endif()
endmacro()
