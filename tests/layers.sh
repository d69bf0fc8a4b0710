#!/usr/bin/env bash
# Which room may include which, kept by grep: no include goes upward. core/README.md has the picture.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0
# forbid FOLDER PATTERN WHY [EXCEPT]: no include in FOLDER may match PATTERN, but in lines matching EXCEPT.
forbid() {
  local hits
  hits=$(grep -rnE "^#include [<\"]($2)" "$1" --include='*.h' --include='*.cc' | grep -vE "${4:-^$}")
  if [ -n "$hits" ]; then
    printf 'FAIL %s\n%s\n' "$3" "$hits"
    failed=1
  fi
}
ROOMS='core/base parser/wire parser/sql parser/catalog metrics routing core/net core/config core/env core/cluster core/catalog
  core/server core/fence core/observe core/client core/console core/session core/admin core/cli core/process'
# room ROOM "ROOMS THAT IT MAY INCLUDE"
room() {
  local other above=''
  for other in $ROOMS; do
    [[ " $1 $2 " == *" $other "* ]] || above+="${above:+|}$other/"
  done
  forbid "$1" "$above" "$1 includes a room above it"
}
PURE='core/base parser/wire parser/sql parser/catalog routing'
room core/base ''
room parser/wire 'core/base'
room parser/sql 'core/base'
room parser/catalog 'core/base parser/sql'
room metrics 'core/base'
room routing 'core/base parser/wire parser/sql parser/catalog'
room core/net 'core/base'
room core/config "$PURE"
room core/env "$PURE metrics core/config core/net"
room core/cluster "$PURE metrics core/net core/config core/env"
room core/catalog "$PURE metrics core/config core/env core/cluster"
room core/server "$PURE metrics core/config core/env core/net core/cluster"
room core/fence "$PURE metrics core/config core/env core/net core/cluster core/server"
room core/observe "$PURE metrics core/net core/config core/cluster core/catalog core/fence"
room core/client "$PURE metrics core/config core/env core/server"
room core/console "$PURE metrics core/config core/env core/cluster core/fence core/observe"
room core/session "$PURE metrics core/config core/env core/net core/server core/fence core/observe core/client core/console"
room core/admin "$PURE metrics core/net core/config core/fence core/observe"
room core/cli "$PURE core/net core/config"
for folder in parser core; do
  if [ -n "$(find $folder -maxdepth 1 -name '*.h' -o -maxdepth 1 -name '*.cc')" ]; then
    echo "FAIL a file in $folder/ itself stands in no room"
    failed=1
  fi
done
forbid parser 'uv\.h|libpq-fe|sys/socket|thread>|mutex>' 'parser is not pure'
forbid routing 'uv\.h|libpq-fe|sys/socket|thread>|mutex>' 'routing is not pure'
forbid core 'uv\.h' '<uv.h> outside core/net' '^core/net/'
forbid core 'openssl/ssl\.h' 'TLS outside core/net' '^core/net/'
forbid . 'libpq-fe' 'libpq outside the control plane' '^\./core/(cluster/(prober|control_link|control_query|verifiers|repmgr)|catalog/loader)|^\./tests/consistency'
forbid . 'pg_query' 'libpg_query outside the SQL analyser' '^\./parser/sql/(analyse|tree|fingerprint)|^\./tests/(fuzz|parser/sql/analyse)|^\./build'
forbid . 'toml\+\+' 'toml++ outside the config reader' '^\./core/config/'
forbid . 'curl/' 'libcurl outside core/net/http' '^\./core/net/http'
forbid . 'prometheus/' 'prometheus-cpp outside the exporter' '^\./metrics/exporter'
# Time and streams come from Env, so that a test can give its own.
for folder in core/server core/fence core/client core/console core/session; do
  if grep -rnE 'Clock::now\(\)|TcpStream|"core/net/tcp' "$folder"; then
    echo "FAIL $folder asks the clock, or makes a stream, by itself"
    failed=1
  fi
done
[ "$failed" = 0 ] && echo "layers: ok"
exit "$failed"
