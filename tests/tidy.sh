#!/usr/bin/env bash
# Runs clang-tidy with the checks of .clang-tidy. What it has passed once it is not asked again: the preprocessed text of a file is
# remembered by its hash.
#
#   tidy.sh [BUILD [FILE...]]    BUILD: a folder with compile_commands.json, default build/dev. FILE: default all of routing/ and
#                                parser/wire/, some 35 s on two cores when none of them is remembered, and the few of
#                                core/base/ and core/env/
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export BUILD=${1:-build/dev} TIDY=clang-tidy-19
shift || true
command -v $TIDY >/dev/null || { echo "tidy.sh: $TIDY is not installed; deploy/install.sh test installs it" >&2; exit 1; }
[ -f "$BUILD/compile_commands.json" ] || { echo "tidy.sh: $BUILD/compile_commands.json not found; build first" >&2; exit 1; }
[ $# -gt 0 ] || set -- routing/*.cc parser/wire/*.cc core/base/*.cc core/env/*.cc
export PASSED=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/waypost-tidy
mkdir -p "$PASSED"
one() {
  local hash
  hash=$({ cat .clang-tidy tests/tidy.sh; g++ -std=c++20 -I. -E "$1" 2>/dev/null || cat "$1" /proc/sys/kernel/random/uuid; } | sha256sum | cut -c1-40)
  [ -e "$PASSED/$hash" ] && return 0
  # The headers of g++ 12 use what they call deprecated.
  "$TIDY" -p "$BUILD" --quiet --extra-arg=-Wno-deprecated-declarations --extra-arg=-Wno-unknown-warning-option "$1" 2>/dev/null && touch "$PASSED/$hash"
}
export -f one
find "$PASSED" -type f -mtime +30 -delete
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'one {}' || { echo "FAIL clang-tidy"; exit 1; }
echo "tidy: ok ($# files)"
