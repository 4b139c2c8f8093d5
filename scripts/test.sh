#!/bin/bash
# Everything that must pass before a change is taken (make test). Runs every stage, also after one has failed, and ends
# with the line "N passed, N failed": the tests of all stages, and one for each check and each build.
# Stages can be named: test.sh format release
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

stages=("$@")
[[ $# -gt 0 ]] || stages=(format release asan tsan tidy)
jobs=${JOBS:-$(nproc)}
passed=0
failed=0
failures=()

# A test that is killed leaves its folder; all of them are in this one. Servers that run as another user must get through.
scratch=$(mktemp -d /tmp/holdfast-tests.XXXXXX)
chmod 711 "$scratch"
export TMPDIR=$scratch
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

say() { printf '\n== %s\n' "$*"; }
pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    failures+=("$1")
}

check() { # NAME COMMAND...: one check, counted as one
    local name=$1
    shift
    if "$@"; then pass; else fail "$name"; fi
}

build_and_test() { # PRESET OPTION...
    local preset=$1 folder=build-$1 output=$scratch/ctest-$1
    shift
    [[ $preset != release ]] || folder=build
    if [[ ! -e $folder/CMakeCache.txt && -z ${CMAKE_GENERATOR:-} ]] && command -v ninja >/dev/null; then
        local -x CMAKE_GENERATOR=Ninja
    fi
    cmake --preset "$preset" -DHOLDFAST_TESTS=ON "$@" >"$scratch/configure" 2>&1 || {
        cat "$scratch/configure"
        fail "$preset: configure"
        return
    }
    # All errors in one go, not just the first file's: ninja and make say it differently.
    local keep_going=(-k)
    [[ ! -e $folder/build.ninja ]] || keep_going=(-k 0)
    if ! "${unshuffled[@]}" cmake --build "$folder" --parallel "$jobs" -- "${keep_going[@]}" >"$scratch/build" 2>&1; then
        grep -vE '^\[[0-9]+/[0-9]+\]' "$scratch/build" | tail -n 200
        fail "$preset: build"
        return
    fi
    pass
    # Tests mostly wait for a server or for time to pass: more of them than cores.
    "${unshuffled[@]}" ctest --preset "$preset" --parallel "$((jobs * 2))" 2>&1 |
        tee "$output" | grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test +#[0-9]+:.* Passed )'
    local summary total=0 bad=0
    summary=$(grep -E '^[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+' "$output" | tail -n 1)
    if [[ $summary =~ ([0-9]+)\ tests\ failed\ out\ of\ ([0-9]+) ]]; then
        bad=${BASH_REMATCH[1]}
        total=${BASH_REMATCH[2]}
    fi
    if [[ $total -eq 0 ]]; then
        fail "$preset: no test ran"
        return
    fi
    passed=$((passed + total - bad))
    failed=$((failed + bad))
    [[ $bad -eq 0 ]] || failures+=("$preset: $bad tests")
}

# GCC 12's ThreadSanitizer cannot place its memory where the kernel shuffles addresses over more than 28 bits.
unshuffled=()
if setarch "$(uname -m)" -R true 2>/dev/null; then
    unshuffled=(setarch "$(uname -m)" -R)
fi

for stage in "${stages[@]}"; do
    began=$SECONDS
    say "$stage"
    case $stage in
        format) check "format (make format repairs it)" scripts/format.sh --check ;;
        release) build_and_test release -DHOLDFAST_EXAMPLES=ON -DHOLDFAST_BENCH=ON ;;
        debug | asan | tsan | clang) build_and_test "$stage" ;;
        tidy) check "clang-tidy" scripts/tidy.sh ;;
        *)
            echo "no such stage: $stage" >&2
            exit 64
            ;;
    esac
    echo "$stage took $((SECONDS - began)) s"
done

say "result after $SECONDS s"
[[ ${#failures[@]} -eq 0 ]] || printf 'FAILED: %s\n' "${failures[@]}"
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
