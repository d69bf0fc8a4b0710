#!/usr/bin/env bash
# Is each source file as .clang-format says?
#
#   format.sh          says which are not; seconds for the whole tree
#   format.sh --fix    lays them out
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
tool=clang-format-19
command -v $tool >/dev/null || { echo "format.sh: $tool is not installed; deploy/install.sh test installs it" >&2; exit 1; }
sources() { find bench core metrics parser routing tests \( -name '*.h' -o -name '*.cc' \) | sort; }
looks() { $tool --dry-run -Werror "$1" 2>/dev/null || echo "$1"; }
export -f looks
export tool
case ${1:-} in
  '') wrong=$(sources | xargs -P "$(nproc)" -n 1 bash -c 'looks "$0"')
    [ -z "$wrong" ] || { printf 'FAIL not as .clang-format says; tests/format.sh --fix mends it:\n%s\n' "$wrong"; exit 1; } ;;
  --fix) sources | xargs -P "$(nproc)" -n 20 $tool -i || exit 1 ;;
  *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
echo "format: ok"
