# Writes the .lua files as a C++ source: cmake -DFOLDER=... -DOUTPUT=... -P embed_scripts.cmake
# The part that the scripts share stands in for the marker in each of them.
file(READ ${FOLDER}/line.lua line)
set(source "// Made from the .lua files; do not edit.\n#include \"redis/scripts.hpp\"\n\nnamespace holdfast::redis {\n")
set(index 0)
foreach(name append renew renew_many remove proclaim break resize probe)
    file(READ ${FOLDER}/${name}.lua text)
    string(REPLACE "--@line\n" "${line}" text "${text}")
    string(SHA1 hash "${text}")
    string(APPEND source "\nconst script ${name}_script{R\"lua(${text})lua\",\n    \"${hash}\", ${index}};\n")
    math(EXPR index "${index} + 1")
endforeach()
string(APPEND source "\n} // namespace holdfast::redis\n")
file(WRITE ${OUTPUT} "${source}")
