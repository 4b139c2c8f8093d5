#!/bin/bash
# Installs the locks of npm that tests and benchmarks stand beside, of exact versions, into a folder: npm-peers.sh FOLDER
# Does nothing where they are there already. Nothing of them is run while they are installed.
set -euo pipefail

if [[ $# -ne 1 ]]; then
    echo "usage: npm-peers.sh FOLDER" >&2
    exit 64
fi
folder=$1
# ioredis 5 is the last that runs on Debian 12's node 18.
packages=(
    ioredis@5.9.2
    redis-semaphore@5.8.0
    redlock4@npm:redlock@4.2.0
    redlock5@npm:redlock@5.0.0-beta.2
)

mark=$folder/installed
if [[ -e $mark && $(<"$mark") == "${packages[*]}" ]]; then
    exit 0
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "npm-peers: node and npm are missing (the group 'peers' of scripts/packages.txt)" >&2
    exit 1
fi
mkdir -p "$folder"
rm -rf "$folder/node_modules" "$mark"
npm install --prefix "$folder" --no-package-lock --no-save --ignore-scripts --no-audit --no-fund --loglevel=error \
    "${packages[@]}" >&2
echo "${packages[*]}" >"$mark"
