# Runs one of the two ways from nothing to a lock that is held. Called by CTest with MODE (installed or subdirectory),
# SOURCE and BUILD (of Holdfast), SCRATCH, COMPILER, GENERATOR and STORES.

cmake_minimum_required(VERSION 3.25)

function(run)
    execute_process(COMMAND ${ARGV} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(NOT status EQUAL 0)
        list(JOIN ARGV " " line)
        message(FATAL_ERROR "${line}\nended with ${status}:\n${text}")
    endif()
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})
set(options -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_FLAGS=-O0)
if(MODE STREQUAL "installed")
    run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${SCRATCH}/prefix)
    list(APPEND options -DCMAKE_PREFIX_PATH=${SCRATCH}/prefix)
else()
    list(APPEND options -DHOLDFAST_SOURCE=${SOURCE})
endif()
run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE}/tests/install/consumer -B ${SCRATCH}/build ${options} -DSTORES=${STORES})
# Only what the consumer links: of a project that has us as a subdirectory that is no more than what it uses.
run(${CMAKE_COMMAND} --build ${SCRATCH}/build --parallel 2 --target consumer)
file(MAKE_DIRECTORY ${SCRATCH}/locks)
file(CHMOD ${SCRATCH}/locks PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
run(${SCRATCH}/build/consumer local:${SCRATCH}/locks)

string(REPLACE "," ";" STORES "${STORES}")
# A store that is linked in says that nobody answers; one that is not would say that it is missing.
foreach(store etcd redis)
    execute_process(COMMAND ${SCRATCH}/build/consumer ${store}://127.0.0.1:1 RESULT_VARIABLE status OUTPUT_VARIABLE text)
    if(status EQUAL 0)
        message(FATAL_ERROR "${store}: held a lock where there is no server")
    endif()
    string(FIND "${text}" "holdfast::${store}" not_linked)
    if(store IN_LIST STORES AND NOT not_linked EQUAL -1)
        message(FATAL_ERROR "${store} was linked, but the program does not have it: ${text}")
    elseif(NOT store IN_LIST STORES AND not_linked EQUAL -1)
        message(FATAL_ERROR "${store} was not linked; the error must name the CMake target: ${text}")
    endif()
endforeach()

if(MODE STREQUAL "installed")
    run(${SCRATCH}/prefix/bin/holdfast version)
    run(${SCRATCH}/prefix/bin/holdfast --url local:${SCRATCH}/locks run name -- true)
endif()
