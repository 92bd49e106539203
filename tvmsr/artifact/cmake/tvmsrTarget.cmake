# tvmsr_target_of_system(<variable> <caller>): the target of the compiler for the system that CMake builds for.
#
# An app is built on one machine and runs on others, so this is the system's general target, also where nothing is cross
# compiled; TARGET host is what this very machine does best.
set(_tvmsr_systems
  # system|processor (on Android: ABI)|target; expressions of CMake
  "Android|arm64-v8a|android-arm64"
  "Android|x86_64|android-x86_64"
  "Linux|aarch64|arm"
  "Linux|arm64|arm"
  "Linux|armv7.*|linux-armv7"
  "Linux|x86_64|x86-64-v3"
  "Linux|AMD64|x86-64-v3"
  "Darwin|arm64|apple-silicon"
)
set_property(GLOBAL PROPERTY TVMSR_SYSTEMS "${_tvmsr_systems}")

function(tvmsr_target_of_system result caller)
  set(processor "${CMAKE_SYSTEM_PROCESSOR}")
  if(ANDROID)
    set(processor "${CMAKE_ANDROID_ARCH_ABI}")
    if(NOT processor)
      set(processor "${ANDROID_ABI}")
    endif()
  elseif(APPLE AND CMAKE_OSX_ARCHITECTURES)
    set(processor "${CMAKE_OSX_ARCHITECTURES}")
  endif()
  get_property(systems GLOBAL PROPERTY TVMSR_SYSTEMS)
  foreach(row IN LISTS systems)
    string(REPLACE "|" ";" row "${row}")
    list(GET row 0 system)
    list(GET row 1 processors)
    list(GET row 2 target)
    if("${CMAKE_SYSTEM_NAME}" STREQUAL system AND "${processor}" MATCHES "^(${processors})$")
      set(${result} "${target}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR
    "${caller}: no target is known for ${CMAKE_SYSTEM_NAME} on '${processor}'. Give TARGET a name of `tvmsr targets` or "
    "a .toml file; in an Android app, name the ABIs that there are targets for in abiFilters (arm64-v8a, x86_64).")
endfunction()
