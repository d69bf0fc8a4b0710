#!/usr/bin/env bash
# What the documents say, as far as grep can hold it to the code: every link to a file leads somewhere, docs/metrics.md has
# every metric and no other, docs/routing.md, docs/pooling.md and the page have every reason that can be shown, and
# docs/operations.md says what to do for every alert and knows every event of the log.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0
fail() { printf 'FAIL %s\n' "$*"; failed=1; }

while IFS= read -r file; do
  while IFS= read -r link; do
    target=${link%%#*}
    [ -z "$target" ] || [ -e "$(dirname "$file")/$target" ] || fail "$file links to $target, which does not exist"
  done < <(grep -oE '\]\([^) ]+\)' "$file" | sed 's/^](//; s/)$//' | grep -vE '^[a-z]+://')
done < <(git ls-files '*.md' 2>/dev/null || find . -name '*.md' -not -path './build/*')

metrics() { grep -oE '"(waypost|process)_[a-z_]+"' metrics/metrics.def | tr -d '"' | sort -u; }
documented() { sed -nE 's/^\| `((waypost|process)_[a-z_]+)` .*/\1/p' docs/metrics.md | sort; }
differ=$(diff <(metrics) <(documented)) || fail "metrics/metrics.def (<) and docs/metrics.md (>) differ:"$'\n'"$differ"

# NAMES of the array in parser/sql/verdict.cc that begins with PATTERN.
names() { sed -n "/$1/,/};/p" parser/sql/verdict.cc | grep -oE '"[a-z_]+"' | tr -d '"'; }
for reason in $(names 'kReasonNames = {'); do
  grep -q "\`$reason\`" docs/routing.md || fail "docs/routing.md does not explain the reason $reason"
done
for name in $(names 'kReasonNames = {') $(names 'kPinNames = {'); do
  [ "$name" = none ] || grep -qE "^  $name: [[{]" core/admin/page/reasons.js || fail "core/admin/page/reasons.js does not explain $name"
done
for pin in $(names 'kPinNames = {'); do
  [ "$pin" = none ] || grep -q "\`$pin\`" docs/pooling.md || fail "docs/pooling.md does not explain the pin $pin"
done

alerts() { grep -oE 'alert: \w+' deploy/prometheus/waypost.rules.yaml | cut -d' ' -f2 | sort; }
described() { sed -nE 's/^### (Waypost\w+)$/\1/p' docs/operations.md | sort; }
differ=$(diff <(alerts) <(described)) || fail "the alerts (<) and what docs/operations.md says to do (>) differ:"$'\n'"$differ"
for alert in $(alerts); do
  grep -q "runbook: docs/operations.md#${alert,,}$" deploy/prometheus/waypost.rules.yaml || fail "the alert $alert does not lead to docs/operations.md"
done

events() { grep -rhPzo '\b(Log|Say|LogAsked)\((LogLevel|level|"|[a-z_.]+ \? LogLevel)[^"(){};]*"\K[a-z]+(_[a-z]+)+(?=")' core --include=*.cc | tr '\0' '\n' | sort -u; }
[ "$(events | wc -l)" -gt 50 ] || fail "the events of the log are not found in core/"
for event in $(events); do
  [ "$event" = admin_http ] || grep -qE "^\| .*\`$event\`.* \|" docs/operations.md || fail "docs/operations.md does not explain the event $event of the log"
done

[ "$failed" = 0 ] && echo "docs: ok"
exit "$failed"
