# Targets that stand for a whole folder, so that the front door can build one part without naming what is in it.

function(holdfast_targets_of folder result)
    get_property(found DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
    get_property(below DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
    foreach(one IN LISTS below)
        holdfast_targets_of(${one} more)
        list(APPEND found ${more})
    endforeach()
    set(${result} ${found} PARENT_SCOPE)
endfunction()

# holdfast_group(product src): the target `product` builds everything that src/ and the folders below it define.
function(holdfast_group name folder)
    holdfast_targets_of(${CMAKE_CURRENT_SOURCE_DIR}/${folder} targets)
    add_custom_target(${name} DEPENDS ${targets})
endfunction()
