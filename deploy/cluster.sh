#!/usr/bin/env bash
# A throwaway PostgreSQL cluster: one primary (pg0) and two synchronous replicas (pg1, pg2) that apply every commit
# before it is acknowledged. For the demo and the tests; it gives durability away for speed. Needs root (PostgreSQL
# itself runs as user postgres).
#
#   cluster.sh start DIR [PORT0 PORT1 PORT2]   ports: 15432 15433 15434, or the next free ones
#   cluster.sh stop DIR                        ends all three at once
#   cluster.sh start-server DIR NAME           one of pg0, pg1, pg2
#   cluster.sh stop-server DIR NAME
#
# WAYPOST_POSTGRES: the version to make it of (deploy/postgresql.sh); none: the newest that is installed.
# Superuser postgres/secret; role openfire/openfire owns database openfire. DIR/ports holds the three ports, DIR/bin the
# folder of the programs it was made with.
set -euo pipefail

names=(pg0 pg1 pg2)

die() { echo "cluster.sh: $*" >&2; exit 1; }
as_postgres() { (cd / && exec runuser -u postgres -- "$@"); }
usage() { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 64; }
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
running() { [ -f "$dir/$1/postmaster.pid" ] && as_postgres "$bin/pg_ctl" -D "$dir/$1" status >/dev/null 2>&1; }
sql() { PGPASSWORD=secret psql -XqAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port0" -U postgres "$@"; }

choose_ports() {  # wanted ports as arguments; prints three that nobody listens on
  local port
  for port in "$@"; do
    while taken "$port"; do port=$((port + 10)); done
    printf '%s ' "$port"
  done
}

write_config() {  # NAME PORT: appended once, before the first start
  cat >>"$dir/$1/postgresql.conf" <<CONF

# --- throwaway cluster ---
port = $2
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir'
max_connections = 120
shared_buffers = 64MB
fsync = off
full_page_writes = off
wal_level = replica
wal_keep_size = 256MB
max_wal_senders = 10
max_prepared_transactions = 10
hot_standby = on
hot_standby_feedback = on
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 200ms
synchronous_commit = remote_apply
synchronous_standby_names = 'FIRST 2 (pg1, pg2)'
primary_conninfo = 'host=127.0.0.1 port=$port0 user=postgres password=secret application_name=$1'
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track = top
password_encryption = scram-sha-256
log_line_prefix = '%m [%p] %u@%d '
timezone = 'UTC'
log_timezone = 'UTC'
CONF
}

create() {
  mkdir -p "$dir"
  chown postgres: "$dir"
  chmod 755 "$dir"
  as_postgres test -x "$dir" || die "user postgres cannot reach $dir: choose a directory whose parents are world-searchable"
  as_postgres sh -c "umask 077; echo secret > '$dir/pwfile'; '$bin/initdb' -D '$dir/pg0' -U postgres \
    --pwfile='$dir/pwfile' -A scram-sha-256 -E UTF8 --locale=C.UTF-8 --no-sync" >"$dir/initdb.log" 2>&1 ||
    { cat "$dir/initdb.log" >&2; die "initdb failed"; }
  # All three are one cold copy: the replicas stream from the first WAL record on.
  for name in pg1 pg2; do
    as_postgres cp -a "$dir/pg0" "$dir/$name"
    as_postgres touch "$dir/$name/standby.signal"
  done
  write_config pg0 "$port0"
  write_config pg1 "$port1"
  write_config pg2 "$port2"
  echo "$bin" >"$dir/bin"
  echo "$port0 $port1 $port2" >"$dir/ports"
}

start_server() {
  running "$1" && return 0
  as_postgres "$bin/pg_ctl" -D "$dir/$1" -l "$dir/$1.log" -w -t 60 start >/dev/null ||
    { tail -n 20 "$dir/$1.log" >&2; die "$1 did not start"; }
}

stop_server() {
  running "$1" || return 0
  as_postgres "$bin/pg_ctl" -D "$dir/$1" -m "${2:-fast}" -w -t 60 stop >/dev/null || die "$1 did not stop"
}

wait_for_replicas() {
  local tries
  for tries in $(seq 300); do
    [ "$(sql -c "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'")" = 2 ] &&
      return 0
    sleep 0.1
  done
  die "the replicas did not become synchronous within 30 s; see $dir/pg1.log"
}

create_objects() {
  [ -f "$dir/created" ] && return 0
  sql <<'SQL'
CREATE ROLE openfire LOGIN PASSWORD 'openfire';
CREATE DATABASE openfire OWNER openfire;
\connect openfire
CREATE EXTENSION pg_stat_statements;
\connect postgres
CREATE EXTENSION pg_stat_statements;
SQL
  touch "$dir/created"
}

start() {
  if [ ! -f "$dir/ports" ]; then
    local wanted=("$@")
    [ $# -eq 0 ] && wanted=(15432 15433 15434)
    [ ${#wanted[@]} -eq 3 ] || usage
    read -r port0 port1 port2 <<<"$(choose_ports "${wanted[@]}")"
    create
  fi
  read -r port0 port1 port2 <"$dir/ports"
  local pids=() name
  for name in "${names[@]}"; do start_server "$name" & pids+=($!); done
  for pid in "${pids[@]}"; do wait "$pid" || die "not all servers started"; done
  wait_for_replicas
  create_objects
  echo "primary pg0 127.0.0.1:$port0, synchronous replicas pg1 127.0.0.1:$port1, pg2 127.0.0.1:$port2"
}

[ $# -ge 2 ] || usage
action=$1
dir=$(realpath -m "$2")
shift 2
[ "$(id -u)" = 0 ] || die "must run as root: it starts PostgreSQL as user postgres"
if [ -f "$dir/bin" ]; then bin=$(cat "$dir/bin"); else bin=$("$(dirname "$0")/postgresql.sh" "${WAYPOST_POSTGRES:-}"); fi
[ -n "$bin" ] || exit 1
if [ "$action" != start ] && [ ! -f "$dir/ports" ]; then die "no cluster in $dir"; fi
case $action in
  start) start "$@" ;;
  stop) for name in pg2 pg1 pg0; do stop_server "$name" immediate; done ;;
  start-server) start_server "${1:?NAME}" ;;
  stop-server) stop_server "${1:?NAME}" ;;
  *) usage ;;
esac
