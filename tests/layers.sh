#!/usr/bin/env bash
# The folder rule of the design, kept by grep: core/base <- parser <- routing <- core; metrics sees core/base alone.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0
# forbid FOLDER PATTERN WHY [EXCEPT]: no include in FOLDER may match PATTERN, but in files matching EXCEPT.
forbid() {
  local hits
  hits=$(grep -rnE "^#include [<\"]($2)" "$1" --include='*.h' --include='*.cc' | grep -vE "${4:-^$}")
  if [ -n "$hits" ]; then
    printf 'FAIL %s\n%s\n' "$3" "$hits"
    failed=1
  fi
}
forbid core/base 'parser/|routing/|metrics/|core/[a-z_]+\.h|core/(uv|admin)/' 'core/base includes a layer above it'
forbid parser 'routing/|metrics/|core/[a-z_]+\.h|core/(uv|admin)/' 'parser includes a layer above it'
forbid routing 'metrics/|core/[a-z_]+\.h|core/(uv|admin)/' 'routing includes a layer above it'
forbid metrics 'parser/|routing/|core/[a-z_]+\.h|core/(uv|admin)/' 'metrics includes more than core/base'
forbid parser 'uv\.h|libpq-fe|sys/socket|thread>|mutex>|spdlog' 'parser is not pure'
forbid routing 'uv\.h|libpq-fe|sys/socket|thread>|mutex>|spdlog' 'routing is not pure'
forbid core 'uv\.h' '<uv.h> outside core/uv' '^core/uv/'
forbid . 'libpq-fe' 'libpq outside the control plane' '^\./core/(prober|control_query|catalog_loader)|^\./tests/consistency'
forbid . 'pg_query' 'libpg_query outside the SQL analyser' '^\./parser/(analyse|tree|fingerprint)|^\./tests/(fuzz|parser/analyse)|^\./build'
forbid . 'toml\+\+' 'toml++ outside the config reader' '^\./core/config'
forbid . 'prometheus/' 'prometheus-cpp outside the exporter' '^\./metrics/exporter'
[ "$failed" = 0 ] && echo "layers: ok"
exit "$failed"
