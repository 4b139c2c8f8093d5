#!/bin/bash
# Configures build/ where needed and builds in it: build.sh [-DOPTION=VALUE...] [TARGET...]
# Options given once stay: after `make test`, `make build` does not take the tests away again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options=()
targets=()
for word in "$@"; do
    case $word in
        -D*) options+=("$word") ;;
        *) targets+=(--target "$word") ;;
    esac
done

if [[ ! -e build/CMakeCache.txt ]]; then
    # A newcomer waits for the command and the library only; the other parts are switched on by those who ask for them.
    options=(-DHOLDFAST_TESTS=OFF -DHOLDFAST_EXAMPLES=OFF "${options[@]}")
    if [[ -z ${CMAKE_GENERATOR:-} ]] && command -v ninja >/dev/null; then
        export CMAKE_GENERATOR=Ninja
    fi
fi
if [[ ${#options[@]} -gt 0 ]]; then
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    echo "configuring build/" >&2
    cmake --preset release "${options[@]}" >"$log" 2>&1 || {
        cat "$log" >&2
        exit 1
    }
fi
echo "building ${*:-everything} in build/" >&2
cmake --build build --parallel "${JOBS:-$(nproc)}" "${targets[@]}" >&2
