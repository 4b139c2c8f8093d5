# What `cmake --install` installs: headers, libraries, the command with its manual page and completions, and the package
# that find_package(holdfast) reads.
# Each store has an export file of its own: whoever wants the local store needs neither gRPC nor Boost.Asio.

include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/holdfast)
set(components core local)
if(HOLDFAST_ETCD)
    list(APPEND components etcd)
endif()
if(HOLDFAST_REDIS)
    list(APPEND components redis)
endif()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/holdfast DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp")
foreach(component IN LISTS components)
    set_target_properties(holdfast_${component} PROPERTIES EXPORT_NAME ${component})
    install(TARGETS holdfast_${component} EXPORT holdfast-${component}
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT holdfast-${component} NAMESPACE holdfast:: DESTINATION ${package_dir})
endforeach()

set(HOLDFAST_COMPONENTS ${components})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/holdfast-config.cmake.in
                              ${PROJECT_BINARY_DIR}/holdfast-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/holdfast-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/holdfast-config.cmake ${PROJECT_BINARY_DIR}/holdfast-config-version.cmake
        DESTINATION ${package_dir})

# The command is what users call; whatever else src/cli builds is called by the command, and looked for in libexec.
if(HOLDFAST_CLI)
    get_property(targets DIRECTORY ${PROJECT_SOURCE_DIR}/src/cli PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target IN LISTS targets)
        get_target_property(type ${target} TYPE)
        get_target_property(name ${target} OUTPUT_NAME)
        if(type STREQUAL "EXECUTABLE" AND name STREQUAL "holdfast")
            install(TARGETS ${target} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
        elseif(type STREQUAL "EXECUTABLE")
            install(TARGETS ${target} RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/holdfast)
        endif()
    endforeach()
    if(TARGET holdfast_texts)
        set(texts ${PROJECT_BINARY_DIR}/src/cli/texts)
        install(FILES ${texts}/holdfast.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
        install(FILES ${texts}/holdfast DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
        install(FILES ${texts}/_holdfast DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    endif()
endif()
