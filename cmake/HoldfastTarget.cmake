# What every target of ours is compiled with. Kept in one function so that a warning is switched on in one place.

if(PROJECT_IS_TOP_LEVEL)
    set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
    set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    find_program(CCACHE_PROGRAM ccache)
    if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
        set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
    endif()
    if(NOT CMAKE_BUILD_TYPE)
        set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
    endif()
endif()

find_package(Threads REQUIRED)

function(holdfast_target target)
    target_compile_features(${target} PUBLIC cxx_std_20)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion)
    if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
        target_compile_options(${target} PRIVATE -Wthread-safety)
    elseif(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
        # GCC 12 sees overlapping copies in std::string's own operator+ (GCC bug 105651, mended in 13).
        target_compile_options(${target} PRIVATE -Wno-restrict)
    endif()
    if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # To GCC a joined file is a header: what is in its anonymous namespaces could be in other programs' too.
        target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
    endif()
    if(HOLDFAST_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    if(HOLDFAST_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${HOLDFAST_SANITIZE} -fno-omit-frame-pointer
                                                 -fno-sanitize-recover=all)
        if(CMAKE_CXX_COMPILER_ID MATCHES Clang AND HOLDFAST_SANITIZE MATCHES undefined)
            # Clang 14 cannot emit the check of function types for coroutines ("difference across sections").
            target_compile_options(${target} PRIVATE -fno-sanitize=function)
        endif()
        target_link_options(${target} PUBLIC -fsanitize=${HOLDFAST_SANITIZE})
    endif()
    target_link_libraries(${target} PUBLIC Threads::Threads)
endfunction()
