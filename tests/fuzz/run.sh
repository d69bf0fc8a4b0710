#!/usr/bin/env bash
# Runs every fuzz target for a while, as many at once as there are processors: tests/fuzz/run.sh [SECONDS] [TARGET...]
# What it finds is kept in build/fuzz/findings; what it has learnt (the corpus) in build/fuzz/corpus. Fails if anything
# was found. To see a finding again: build/fuzz/tests/fuzz/TARGET build/fuzz/findings/FILE
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift || true
[ -f build/fuzz/build.ninja ] || cmake --preset fuzz >/dev/null
nice cmake --build --preset fuzz --target fuzzers -j "$(nproc)" >build/fuzz/build.log 2>&1 ||
  { grep -E 'error|FAILED' build/fuzz/build.log | head -n 20; exit 1; }
if [ $# = 0 ]; then
  for source in tests/fuzz/*_fuzz.cc; do set -- "$@" "$(basename "$source" .cc)"; done
fi
# The SQL corpus, a statement a file: where the targets that read SQL start from.
statements=build/fuzz/statements
rm -rf "$statements"
PYTHONPATH=tests/support python3 -B - "$statements" <<'PY'
import pathlib, sqlsplit, sys
made = pathlib.Path(sys.argv[1])
made.mkdir(parents=True)
for path in sorted(pathlib.Path("tests/corpus/sql").glob("*.sql")):
    for number, sql in enumerate(sqlsplit.statements(path.read_text())):
        (made / f"{path.stem}-{number}.sql").write_text(sql)
PY
mkdir -p build/fuzz/findings
fuzz() {  # TARGET
  local target=$1 runs seeds=()
  local options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1
           -artifact_prefix="build/fuzz/findings/$target-")
  mkdir -p "build/fuzz/corpus/$target"
  case $target in
    analyse_* | cache_* | classify_*) options+=(-dict=tests/fuzz/sql.dict) seeds+=(tests/fuzz/seeds/sql "$statements") ;;
  esac
  if "build/fuzz/tests/fuzz/$target" "${options[@]}" "build/fuzz/corpus/$target" "${seeds[@]}" >"build/fuzz/$target.log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$target.log")
    echo "ok    $target: $runs inputs in $seconds s"
  else
    echo "FOUND $target: see build/fuzz/$target.log"
    grep -E 'ERROR|SUMMARY|runtime error|waypost: bug|Test unit written' "build/fuzz/$target.log" | head -5
    return 1
  fi
}
export -f fuzz
export seconds statements
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 bash -c 'fuzz "$0"'
