# _tvmsr_find_compiler(<variable> <caller>): the command line that runs tvmsr.
#
# TVMSR_COMMAND where it is set (a list: "python3;-m;tvmsr"), else the program beside this package's Python, else one on the
# PATH, else ${Python3_EXECUTABLE} -m tvmsr.
set(TVMSR_COMMAND "" CACHE STRING "How tvmsr is run, as a list; empty: it is looked for")
# From <environment>/lib/pythonX.Y/site-packages/tvmsr/artifact/cmake.
get_filename_component(_tvmsr_environment "${CMAKE_CURRENT_LIST_DIR}/../../../../../.." ABSOLUTE)
set_property(GLOBAL PROPERTY TVMSR_ENVIRONMENT "${_tvmsr_environment}")
# Rewritten when tvmsr is updated: artifacts are then compiled again.
get_filename_component(_tvmsr_stamp "${CMAKE_CURRENT_LIST_DIR}/../../__init__.py" ABSOLUTE)
set_property(GLOBAL PROPERTY TVMSR_STAMP "${_tvmsr_stamp}")

function(_tvmsr_find_compiler result caller)
  if(NOT TVMSR_COMMAND)
    get_property(environment GLOBAL PROPERTY TVMSR_ENVIRONMENT)
    # It runs on this machine, so never from the root of the target's system.
    find_program(TVMSR_EXECUTABLE tvmsr HINTS "${environment}/bin" "${environment}/Scripts" NO_CMAKE_FIND_ROOT_PATH)
    mark_as_advanced(TVMSR_EXECUTABLE)
    if(TVMSR_EXECUTABLE)
      set(${result} "${TVMSR_EXECUTABLE}" PARENT_SCOPE)
      return()
    endif()
    find_package(Python3 COMPONENTS Interpreter QUIET)
    if(Python3_EXECUTABLE)
      execute_process(COMMAND "${Python3_EXECUTABLE}" -m tvmsr --version
        RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
      if(NOT failed)
        set(${result} "${Python3_EXECUTABLE};-m;tvmsr" PARENT_SCOPE)
        return()
      endif()
    endif()
    message(FATAL_ERROR
      "${caller}: tvmsr is neither on the PATH nor in the Python that CMake finds (${Python3_EXECUTABLE}). "
      "pip install tvmsr, or set TVMSR_COMMAND.")
  endif()
  set(${result} "${TVMSR_COMMAND}" PARENT_SCOPE)
endfunction()
