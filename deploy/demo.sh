#!/usr/bin/env bash
# Installs and builds Waypost, starts a throwaway primary with two synchronous replicas and Waypost before them, runs a
# mixed workload and shows which statement ran on which server, and why. Leaves all of it running to play with.
#
#   demo.sh                       start (again)
#   demo.sh --postgres MAJOR      the same, on servers of that major: 13 to 18 (deploy/postgresql.sh)
#   demo.sh stop                  end it and remove its files
#
# Everything lives in /tmp/waypost-demo (or $WAYPOST_DEMO_DIR). Ports: the usual ones, or the next free.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
dir=${WAYPOST_DEMO_DIR:-/tmp/waypost-demo}
waypost=$root/build/release/waypost

die() { echo "demo.sh: $*" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() { local port=$1; while taken "$port"; do port=$((port + 10)); done; echo "$port"; }

# --- Waypost --------------------------------------------------------------------------------------------------------

waypost_pid() {  # prints the process id of our Waypost, which may have taken the place of the first one (SIGUSR2)
  local process
  for process in /proc/[0-9]*; do
    [ "$(readlink "$process/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$waypost" ] || continue
    tr '\0' ' ' <"$process/cmdline" | grep -qF -- "--config $dir/waypost.toml" && echo "${process##*/}" && return
  done
  return 1
}

stop_waypost() {
  local pid tries
  pid=$(waypost_pid) || return 0
  kill -TERM "$pid"
  for tries in $(seq 50); do [ -d "/proc/$pid" ] || return 0; sleep 0.1; done
  kill -KILL "$pid"
}

write_config() {
  cat >"$dir/waypost.toml" <<CONF
[listen]
port = $port
[admin]
port = $admin_port
[monitor]
user = "postgres"
password = "secret"
[cluster]
state_file = "$dir/state"
[[server]]
name = "pg0"
host = "127.0.0.1"
port = $pg0
[[server]]
name = "pg1"
host = "127.0.0.1"
port = $pg1
[[server]]
name = "pg2"
host = "127.0.0.1"
port = $pg2
[[user]]
name = "openfire"
password = "openfire"
CONF
}

start_waypost() {
  local tries
  "$waypost" check --config "$dir/waypost.toml" >"$dir/check.log" 2>&1 || { cat "$dir/check.log" >&2; die "the configuration that this script wrote has faults"; }
  setsid "$waypost" --config "$dir/waypost.toml" >"$dir/waypost.log" 2>&1 </dev/null &
  echo $! >"$dir/waypost.pid"
  for tries in $(seq 200); do
    # Ready, and its picture of the replicas is good enough to read from them.
    if curl -fs "http://127.0.0.1:$admin_port/readyz" >/dev/null 2>&1 &&
      route 'SELECT 1' | grep -q '"read_safe"'; then
      return 0
    fi
    waypost_pid >/dev/null || { tail -n 20 "$dir/waypost.log" >&2; die "Waypost ended; its log: $dir/waypost.log"; }
    sleep 0.1
  done
  die "Waypost was not ready within 20 s; its log: $dir/waypost.log"
}

route() {  # SQL: the answer of Waypost's API, JSON
  python3 -c 'import json, sys; print(json.dumps({"sql": sys.argv[1], "database": "openfire", "user": "openfire"}))' "$1" |
    curl -s -X POST -H 'Content-Type: application/json' -d @- "http://127.0.0.1:$admin_port/api/v1/route"
}

# --- workload and table ---------------------------------------------------------------------------------------------

through_waypost() { PGPASSWORD=openfire PGOPTIONS='' "$@"; }
on_server() { PGPASSWORD=secret psql -XqAt -h 127.0.0.1 -p "$1" -U postgres -d openfire -c "$2"; }

reset_statistics() {
  for server_port in "$pg0" "$pg1" "$pg2"; do on_server "$server_port" 'SELECT pg_stat_statements_reset()' >/dev/null; done
}

calls() {  # PORT PATTERN: how often that server itself says role openfire ran statements LIKE PATTERN
  on_server "$1" "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements
    WHERE query LIKE '${2//\'/\'\'}' AND userid = 'openfire'::regrole"
}

why() {  # SQL: reason and class, from Waypost
  route "$1" | python3 -c 'import json, sys; a = json.load(sys.stdin); print(a["reason"] + " (" + a["class"] + ")")' 2>/dev/null ||
    echo '?'
}

row() { printf '%-67s %6s %6s %6s   %s\n' "$@"; }

# What to show; what to run by psql (each line a session); how the servers remember it; whose reason to ask for.
labels=() scripts=() patterns=() asked=()
statement() { labels+=("$1"); scripts+=("$2"); patterns+=("$3"); asked+=("${4:-$2}"); }

workload() {
  statement "SELECT count(*) FROM note" "SELECT count(*) FROM note" "SELECT count(*) FROM note"
  statement "SELECT body FROM note WHERE id = 1" "SELECT body FROM note WHERE id = 1" "SELECT body FROM note WHERE id = %"
  statement "WITH n AS (SELECT * FROM note) SELECT max(id) FROM n" \
    "WITH n AS (SELECT * FROM note) SELECT max(id) FROM n" "WITH n AS (SELECT %"
  statement "EXPLAIN SELECT * FROM note" "EXPLAIN SELECT * FROM note" "EXPLAIN SELECT %"
  statement "INSERT INTO note VALUES (...)" "INSERT INTO note VALUES (1001, 'x') ON CONFLICT DO NOTHING" "INSERT INTO note %"
  statement "UPDATE note SET ..." "UPDATE note SET body = 'y' WHERE id = 2" "UPDATE note SET %"
  statement "SELECT * FROM note WHERE id = 3 FOR UPDATE" "SELECT * FROM note WHERE id = 3 FOR UPDATE" "SELECT % FOR UPDATE"
  statement "WITH d AS (DELETE FROM note ...) SELECT ..." \
    "WITH d AS (DELETE FROM note WHERE id = 1001 RETURNING id) SELECT count(*) FROM d" "WITH d AS %"
  statement "SELECT nextval('note_id')" "SELECT nextval('note_id')" "SELECT nextval(%"
  statement "SELECT add_note('hello')            -- a function that writes" \
    "SELECT add_note('hello')" "SELECT add_note(%"
  statement "SELECT note_length(1)               -- a STABLE function, followed   " \
    "SELECT note_length(1)" "SELECT note_length(%"
  statement "SELECT pg_advisory_xact_lock(1)" "SELECT pg_advisory_xact_lock(1)" "SELECT pg_advisory_xact_lock(%"
  statement "SHOW transaction_read_only" "SHOW transaction_read_only" "SHOW transaction_read_only"
  statement "BEGIN; SELECT min(id) FROM note; COMMIT" "BEGIN; SELECT min(id) FROM note; COMMIT;" "SELECT min(id) FROM note" "BEGIN"
  statement "BEGIN READ ONLY; SELECT max(id) FROM note; COMMIT" \
    "BEGIN READ ONLY; SELECT max(id) FROM note; COMMIT;" "SELECT max(id) FROM note" "BEGIN READ ONLY"
}

prepare_objects() {
  through_waypost psql -XqAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U openfire -d openfire >/dev/null <<'SQL'
SET client_min_messages = warning;
DROP TABLE IF EXISTS note;
DROP SEQUENCE IF EXISTS note_id;
CREATE SEQUENCE note_id;
CREATE TABLE note (id int PRIMARY KEY, body text);
INSERT INTO note SELECT i, 'note ' || i FROM generate_series(1, 1000) i;
CREATE OR REPLACE FUNCTION add_note(text) RETURNS int LANGUAGE sql VOLATILE
  AS 'INSERT INTO note SELECT max(id) + 1000, $1 FROM note RETURNING id';
CREATE OR REPLACE FUNCTION note_length(int) RETURNS int LANGUAGE sql STABLE
  AS 'SELECT length(body) FROM note WHERE id = $1';
SQL
  through_waypost pgbench -i -q -s 1 -h 127.0.0.1 -p "$port" -U openfire openfire >"$dir/pgbench-init.log" 2>&1 ||
    { cat "$dir/pgbench-init.log" >&2; die "pgbench -i failed"; }
}

wait_for_catalogue() {  # the tables and functions just made are known
  local tries
  for tries in $(seq 100); do
    route 'SELECT count(*) FROM note' | grep -q '"read_safe"' && return 0
    sleep 0.1
  done
  echo "demo.sh: Waypost's catalogue does not know the new tables after 10 s; the table below shows why" >&2
}

run_pgbench() { through_waypost pgbench -n -c 8 -j 2 "$@" -h 127.0.0.1 -p "$port" -U openfire openfire >"$dir/pgbench.log" 2>&1 ||
  { cat "$dir/pgbench.log" >&2; die "pgbench $* failed"; }; }

show_row() { row "$1" "$(calls "$pg0" "$2")" "$(calls "$pg1" "$2")" "$(calls "$pg2" "$2")" "$(why "$3")"; }

show_workload() {
  local i
  workload
  reset_statistics
  for i in "${!scripts[@]}"; do
    for _ in 1 2 3; do
      echo "${scripts[$i]}" | through_waypost psql -Xq -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U openfire -d openfire >/dev/null ||
        die "failed through Waypost: ${scripts[$i]}"
    done
  done
  echo
  row "statement (each run three times by psql)" pg0 pg1 pg2 "why"
  row "" primary repl. repl. ""
  echo "---------------------------------------------------------------------------------------------------------------------"
  for i in "${!labels[@]}"; do show_row "${labels[$i]}" "${patterns[$i]}" "${asked[$i]}"; done
  reset_statistics
  run_pgbench -S -M prepared -t 500
  echo "--- pgbench -S -M prepared, 8 clients, 4000 transactions"
  show_row "SELECT abalance FROM pgbench_accounts WHERE aid = \$1" "SELECT abalance %" "SELECT abalance FROM pgbench_accounts WHERE aid = 1"
  reset_statistics
  run_pgbench -t 50
  echo "--- pgbench (TPC-B: each transaction reads and writes), 8 clients, 400 transactions"
  show_row "SELECT abalance FROM pgbench_accounts WHERE aid = \$1" "SELECT abalance %" "BEGIN"
  show_row "UPDATE pgbench_accounts SET ..." "UPDATE pgbench_accounts %" "UPDATE pgbench_accounts SET abalance = 1 WHERE aid = 1"
}

say_what_next() {
  cat <<TEXT

The numbers are how often each server itself says (pg_stat_statements) that it ran the statement.

All of it is still running, in $dir. Try:

  PGPASSWORD=openfire psql -h 127.0.0.1 -p $port -U openfire openfire
  $waypost route --config $dir/waypost.toml --database openfire --user openfire "SELECT add_note('x')"
  http://127.0.0.1:$admin_port/                     # in a browser: what is there, what is wrong, why each class of statements runs where it does
  $waypost status --config $dir/waypost.toml
  curl -s http://127.0.0.1:$admin_port/metrics | grep waypost_queries_total | grep -v ' 0$'
  kill -USR2 \$(cat $dir/waypost.pid)   # another process takes its place; clients keep their connections
  $root/deploy/cluster.sh stop-server $dir/cluster pg2    # reads go on; writes wait, as both replicas must confirm them
  $root/deploy/cluster.sh start-server $dir/cluster pg2   # and go on
  ${WAYPOST_DEMO_DIR:+WAYPOST_DEMO_DIR=$WAYPOST_DEMO_DIR }$root/deploy/demo.sh stop
TEXT
}

# --- the whole ------------------------------------------------------------------------------------------------------

start() {
  step "1/5 packages"
  "$root/deploy/install.sh" build demo ${WAYPOST_POSTGRES:+majors}
  step "2/5 build (build/release; some minutes the first time)"
  (cd "$root" && cmake --preset release >"${TMPDIR:-/tmp}/waypost-cmake.log" 2>&1) ||
    { tail -n 30 "${TMPDIR:-/tmp}/waypost-cmake.log" >&2; die "cmake failed"; }
  (cd "$root" && NINJA_STATUS='[%f/%t] ' cmake --build --preset release --target waypost) || die "the build failed"
  step "3/5 a primary and two synchronous replicas"
  mkdir -p "$dir"
  chmod 755 "$dir"
  stop_waypost
  [ ! -f "$dir/cluster/bin" ] || [ -z "${WAYPOST_POSTGRES:-}" ] ||
    [ "$(cat "$dir/cluster/bin")" = "$("$root/deploy/postgresql.sh" "$WAYPOST_POSTGRES")" ] ||
    die "a demo on another major is running; end it with demo.sh stop"
  "$root/deploy/cluster.sh" start "$dir/cluster"
  read -r pg0 pg1 pg2 <"$dir/cluster/ports"
  step "4/5 Waypost"
  port=$(free_port 6432)
  admin_port=$(free_port 8432)
  write_config
  start_waypost
  echo "SQL on 127.0.0.1:$port, metrics and API on 127.0.0.1:$admin_port, configuration $dir/waypost.toml"
  step "5/5 a mixed workload through Waypost"
  prepare_objects
  wait_for_catalogue
  show_workload
  say_what_next
}

stop() {
  [ -d "$dir" ] || { echo "demo.sh: nothing to stop in $dir"; return 0; }
  stop_waypost
  [ ! -f "$dir/cluster/ports" ] || "$root/deploy/cluster.sh" stop "$dir/cluster"
  rm -rf "$dir"
  echo "demo stopped, $dir removed"
}

if [ "${1:-}" = --postgres ]; then
  [ $# -eq 2 ] || { echo "demo.sh: --postgres needs a major version, 13 to 18" >&2; exit 64; }
  export WAYPOST_POSTGRES=$2
  set -- start
fi
case ${1:-start} in
  start | stop) [ "$(id -u)" = 0 ] || die "must run as root: it installs packages and starts PostgreSQL as user postgres (sudo $0)" ;;
esac
case ${1:-start} in
  start) start ;;
  stop) stop ;;
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0" ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
