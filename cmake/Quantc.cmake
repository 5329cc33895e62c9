# Helpers of every CMakeLists.txt of the project.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
# Installed programs find our libraries beside themselves, LLVM's where they lie.
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib")
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

# One rounding per operation everywhere: a contracted multiply-add changes the bytes that an encoder writes.
add_compile_options(-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers
  -Wno-missing-designated-field-initializers -ffp-contract=off -fno-math-errno)
include_directories(${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include)
if(QUANTC_ENABLE_FUZZERS) # which see what is executed
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# What nearly every file includes is compiled once (cmake/QuantcMLIR.cmake has more of it): a third of the time of a compilation.
# Programs share it with libraries, so they are compiled as libraries are. ccache needs to know that it has no time in it (here) and
# which macros it may ignore (the launcher of CMakePresets.json). The preset dev does without, which finds includes that are missing.
set(CMAKE_CXX_COMPILE_OPTIONS_PIE ${CMAKE_CXX_COMPILE_OPTIONS_PIC})
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  add_compile_options("SHELL:$<$<COMPILE_LANGUAGE:CXX>:-Xclang -fno-pch-timestamp>")
endif()
set(QUANTC_COMMON_HEADERS <algorithm> <filesystem> <functional> <map> <memory> <optional> <span> <string> <unordered_map> <variant>
  <vector> <fmt/format.h> <nlohmann/json.hpp>)

# quantc_add_headers(NAME header ... [LINK lib ...]): precompiled headers for targets with HEADERS Quantc<NAME>Headers.
function(quantc_add_headers name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${name}-headers.cpp CONTENT "")
  add_library(Quantc${name}Headers OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/${name}-headers.cpp)
  target_link_libraries(Quantc${name}Headers PRIVATE ${ARG_LINK} ${QUANTC_FMT} nlohmann_json::nlohmann_json)
  target_precompile_headers(Quantc${name}Headers PRIVATE ${QUANTC_COMMON_HEADERS} ${ARG_UNPARSED_ARGUMENTS})
endfunction()

# The descriptions that tools read at run time are found beside the program: <program>/../share/quantc.
set(QUANTC_DATA formats containers policies architectures targets tokenizers calibration)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share/quantc)
foreach(data ${QUANTC_DATA})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${data} ${CMAKE_BINARY_DIR}/share/quantc/${data} SYMBOLIC)
endforeach()

# quantc_add_subdirectories(dir ...): those that have a CMakeLists.txt.
function(quantc_add_subdirectories)
  foreach(dir ${ARGN})
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/CMakeLists.txt)
      add_subdirectory(${dir})
    endif()
  endforeach()
endfunction()

# quantc_add_library(NAME SOURCES a.cpp ... [LINK lib ...] [HEADERS target]): a static library Quantc<NAME>, installed as
# quantc::<NAME>.
function(quantc_add_library name)
  cmake_parse_arguments(ARG "" "HEADERS" "SOURCES;LINK" ${ARGN})
  add_library(Quantc${name} STATIC ${ARG_SOURCES})
  if(NOT ARG_HEADERS)
    set(ARG_HEADERS QuantcCommonHeaders)
  endif()
  target_precompile_headers(Quantc${name} REUSE_FROM ${ARG_HEADERS})
  add_library(quantc::${name} ALIAS Quantc${name})
  set_target_properties(Quantc${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(Quantc${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
    $<INSTALL_INTERFACE:include>)
  target_link_libraries(Quantc${name} PUBLIC ${ARG_LINK})
  install(TARGETS Quantc${name} EXPORT quantcTargets ARCHIVE DESTINATION lib)
endfunction()

# A run of a GoogleTest program, with a folder of its own for what it writes.
function(quantc_register_unit_test name program)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${name}.tmp)
  file(MAKE_DIRECTORY ${folder})
  add_test(NAME ${name} COMMAND ${program})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 1500 ENVIRONMENT "TEST_TMPDIR=${folder};${ARGN}")
endfunction()

# quantc_add_unit_test(NAME SOURCES a.cpp ... [LINK lib ...] [SHARDS n] [HEADERS target]): a GoogleTest program, registered with CTest
# under the label "unit"; with shards, n runs of a part of its tests each.
function(quantc_add_unit_test name)
  cmake_parse_arguments(ARG "" "SHARDS;HEADERS" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  if(NOT ARG_HEADERS)
    set(ARG_HEADERS QuantcTestHeaders)
  endif()
  target_precompile_headers(${name} REUSE_FROM ${ARG_HEADERS})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE QUANTC_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(NOT ARG_SHARDS)
    quantc_register_unit_test(${name} ${name})
    return()
  endif()
  foreach(shard RANGE 1 ${ARG_SHARDS})
    math(EXPR index "${shard} - 1")
    quantc_register_unit_test(${name}-${shard} ${name} "GTEST_TOTAL_SHARDS=${ARG_SHARDS};GTEST_SHARD_INDEX=${index}")
  endforeach()
endfunction()

# Headers, data and the CMake package: find_package(quantc) after install.
function(quantc_install)
  include(CMakePackageConfigHelpers)
  install(DIRECTORY include/quantc include/quantc-c DESTINATION include FILES_MATCHING PATTERN "*.h" PATTERN "*.td")
  if(QUANTC_ENABLE_MLIR)
    install(DIRECTORY ${PROJECT_BINARY_DIR}/include/quantc DESTINATION include FILES_MATCHING PATTERN "*.inc")
  endif()
  set(QUANTC_DATA_DESTINATION share/quantc)
  foreach(data ${QUANTC_DATA})
    install(DIRECTORY ${data} DESTINATION ${QUANTC_DATA_DESTINATION})
  endforeach()
  install(EXPORT quantcTargets NAMESPACE quantc:: DESTINATION lib/cmake/quantc)
  configure_package_config_file(cmake/quantcConfig.cmake.in quantcConfig.cmake INSTALL_DESTINATION lib/cmake/quantc
    PATH_VARS QUANTC_DATA_DESTINATION)
  write_basic_package_version_file(quantcConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/quantcConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/quantcConfigVersion.cmake
    DESTINATION lib/cmake/quantc)
endfunction()
