#!/bin/bash
# The reference of the public headers, as HTML: doc.sh FOLDER. Fails on whatever is undocumented or documented wrongly.
set -euo pipefail
mkdir -p "$1"
output=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
HOLDFAST_DOC_OUTPUT=$output doxygen docs/Doxyfile
