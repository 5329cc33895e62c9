# LLVM and MLIR from Debian's packages, linked as the two shared libraries.

# The version file of MLIR wants major.minor.
find_package(MLIR 22.1 REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
# _GLIBCXX_USE_CXX11_ABI is the default already; defining it again warns in every file.
separate_arguments(QUANTC_LLVM_DEFINITIONS NATIVE_COMMAND ${LLVM_DEFINITIONS})
list(FILTER QUANTC_LLVM_DEFINITIONS EXCLUDE REGEX GLIBCXX)
add_definitions(${QUANTC_LLVM_DEFINITIONS})

# What nearly every file that uses MLIR includes.
quantc_add_headers(MLIR
  <mlir/Dialect/Affine/IR/AffineOps.h> <mlir/Dialect/Arith/IR/Arith.h> <mlir/Dialect/Func/IR/FuncOps.h>
  <mlir/Dialect/LLVMIR/LLVMDialect.h> <mlir/Dialect/Linalg/IR/Linalg.h> <mlir/Dialect/Math/IR/Math.h>
  <mlir/Dialect/MemRef/IR/MemRef.h> <mlir/Dialect/SCF/IR/SCF.h> <mlir/Dialect/Tensor/IR/Tensor.h>
  <mlir/Dialect/Vector/IR/VectorOps.h> <mlir/IR/Builders.h> <mlir/Pass/Pass.h> <mlir/Transforms/DialectConversion.h>)

# quantc_add_mlir_library(NAME SOURCES a.cpp ... [LINK lib ...] [DEPENDS tablegen targets]): as quantc_add_library, with MLIR.
function(quantc_add_mlir_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;DEPENDS" ${ARGN})
  quantc_add_library(${name} SOURCES ${ARG_SOURCES} LINK ${ARG_LINK} MLIR LLVM HEADERS QuantcMLIRHeaders)
  if(ARG_DEPENDS)
    add_dependencies(Quantc${name} ${ARG_DEPENDS})
  endif()
endfunction()

# quantc_add_tool(NAME SOURCES a.cpp ... LINK lib ... [HEADERS target]): a program in bin/.
function(quantc_add_tool name)
  cmake_parse_arguments(ARG "" "HEADERS" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  if(NOT ARG_HEADERS)
    set(ARG_HEADERS QuantcMLIRHeaders)
  endif()
  target_precompile_headers(${name} REUSE_FROM ${ARG_HEADERS})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()
