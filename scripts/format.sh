#!/bin/bash
# clang-format over our C++ files; with --check it changes nothing and fails where a file would be changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

action=(-i)
if [[ ${1:-} == --check ]]; then
    action=(--dry-run -Werror)
fi
folders=()
for folder in include src tests examples bench; do
    [[ ! -d $folder ]] || folders+=("$folder")
done
find "${folders[@]}" \( -name '*.cpp' -o -name '*.hpp' \) -print0 |
    xargs -0 -P "$(nproc)" -n 16 clang-format-14 --style=file "${action[@]}"
