# Installs BUILD into a prefix below FOLDER, builds the project CONSUMER against it, and runs its programs.

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${FOLDER})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${FOLDER}/prefix)
run(${CMAKE_COMMAND} -G Ninja -S ${CONSUMER} -B ${FOLDER}/build -DCMAKE_PREFIX_PATH=${FOLDER}/prefix -DMLIR=${MLIR}
  -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER})
run(${CMAKE_COMMAND} --build ${FOLDER}/build)
run(${FOLDER}/build/uses-runtime)
run(${FOLDER}/build/uses-format)
# What is installed finds its data beside itself.
if(MLIR)
  run(${FOLDER}/prefix/bin/quantc doctor)
endif()
