#!/bin/bash
# clang-tidy over what we ship and what a reader copies, with the flags of the clang build, so that clang's own warnings (-Wthread-safety among
# them) count as well. It parses every file as clang would compile it; only code generation is left out. Files are joined
# ten at a time, as in the sanitizer builds: most of the work is the headers, and reading them once a file takes six times as long.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=build-clang
[[ -e $folder/CMakeCache.txt ]] || export CMAKE_GENERATOR=Ninja
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset clang -DHOLDFAST_TESTS=OFF -DHOLDFAST_EXAMPLES=ON -DCMAKE_UNITY_BUILD=ON \
    -DCMAKE_UNITY_BUILD_BATCH_SIZE=10 >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
# Sources that the build generates must be there before ours can be read.
mapfile -t generated < <(ninja -C "$folder" -t targets all | sed -nE 's/^([^:]+\.(h|hpp|inc|cc|cpp)): CUSTOM_COMMAND$/\1/p')
if [[ ${#generated[@]} -gt 0 ]] && ! ninja -C "$folder" "${generated[@]}" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi

# A joined file includes sources, and gRPC's headers after our annotations: neither is a mistake.
if ! run-clang-tidy-14 -quiet -p "$folder" -j "$(nproc)" -checks=-bugprone-suspicious-include,-clang-diagnostic-macro-redefined \
    '/Unity/unity_[0-9]+_cxx[.]cxx$' >"$log" 2>&1; then
    sed -i 's/\x1b\[[0-9;]*m//g' "$log" # It colours even what nobody looks at.
    grep -E '(warning|error):' -A 4 "$log" | grep -v '^--$' >&2 || cat "$log" >&2
    exit 1
fi
