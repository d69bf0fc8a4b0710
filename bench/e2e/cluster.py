"""A throwaway primary with two synchronous replicas, on free ports, in a directory of its own."""

import glob
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time

USER, PASSWORD, DATABASE = "bench", "bench", "bench"
MONITOR_PASSWORD = "secret"
MAX_CONNECTIONS = 1200  # 500 idle clients of a proxy that holds a server connection for each, and room

# PostgreSQL refuses to run as root; so do PgBouncer and pgpool-II. As root, all of it runs as this user.
ACCOUNT = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def as_account(**kwargs):
    """Keyword arguments for subprocess: the throwaway servers' account, and a directory that it may stand in."""
    if os.geteuid() == 0:
        entry = pwd.getpwnam(ACCOUNT)
        kwargs |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        kwargs["env"] = {**os.environ, **kwargs.get("env", {}), "HOME": entry.pw_dir, "USER": ACCOUNT}
    kwargs.setdefault("cwd", "/")
    return kwargs


def own_directory(name):
    """A new directory that the account owns and everybody may look into."""
    root = pathlib.Path(tempfile.mkdtemp(prefix=f"waypost-{name}-"))
    root.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(root, ACCOUNT)
    return root


def bindir():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(p.split("/")[4]))
    if found:
        return os.path.dirname(found[-1])
    which = shutil.which("postgres")
    if not which:
        raise SystemExit("no PostgreSQL server found: apt install postgresql")
    return os.path.dirname(which)


class Cluster:
    """One primary and its replicas; `ports[0]` is the primary's."""

    def __init__(self, root: pathlib.Path, replicas=2):
        self.root, self.bin = root, bindir()
        self.names = [f"pg{i}" for i in range(replicas + 1)]
        self.ports = [free_port() for _ in self.names]

    def start(self):
        primary = self.root / "pg0"
        secret = self.root / "password"
        secret.write_text(MONITOR_PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", primary, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", secret,
                  "-E", "UTF8", "--locale=C", "--no-sync")
        sync = ", ".join(self.names[1:])
        with open(primary / "postgresql.auto.conf", "a") as conf:
            conf.write(f"""
listen_addresses = '127.0.0.1'
unix_socket_directories = '{self.root}'
max_connections = {MAX_CONNECTIONS}
fsync = off
full_page_writes = off
shared_buffers = 256MB
max_wal_size = 8GB
checkpoint_timeout = 1h
autovacuum = off
synchronous_commit = remote_apply
""")
        with open(primary / "pg_hba.conf", "a") as hba:
            hba.write("local replication all trust\nlocal all all trust\nhost replication all 127.0.0.1/32 trust\n")
        self._start(0)
        self.psql("postgres", f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        self.psql("postgres", f"CREATE DATABASE {DATABASE} OWNER {USER}")
        for i in range(1, len(self.names)):
            source = f"host=127.0.0.1 port={self.ports[0]} user=postgres application_name={self.names[i]}"
            self._run("pg_basebackup", "-D", self.root / self.names[i], "-R", "-X", "stream", "-c", "fast",
                      "--no-sync", "-d", source)
            self._start(i)
        if sync:
            self.psql("postgres", f"ALTER SYSTEM SET synchronous_standby_names = 'FIRST {len(self.names) - 1} ({sync})'")
            self.psql("postgres", "SELECT pg_reload_conf()")
            self._await_sync()

    def _await_sync(self):
        want = str(len(self.names) - 1)
        deadline = time.monotonic() + 30
        while self.psql("postgres", "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != want:
            if time.monotonic() > deadline:
                raise SystemExit("the replicas did not become synchronous within 30 s")
            time.sleep(0.1)

    def verifier(self):
        """The SCRAM verifier of the bench user, as every server has it."""
        return self.psql("postgres", f"SELECT rolpassword FROM pg_authid WHERE rolname = '{USER}'")

    def psql(self, database, sql):
        return self._run("psql", "-XAtq", "-h", "127.0.0.1", "-p", self.ports[0], "-U", "postgres", "-d", database,
                         "-v", "ON_ERROR_STOP=1", "-c", sql).strip()

    def stop(self):
        for name in self.names:
            if (self.root / name / "postmaster.pid").exists():
                self._run("pg_ctl", "-D", self.root / name, "-m", "immediate", "-w", "stop", check=False)

    def _start(self, i):
        directory = self.root / self.names[i]
        self._run("pg_ctl", "-D", directory, "-l", self.root / f"{self.names[i]}.log", "-o",
                  f"-p {self.ports[i]}", "-w", "start")

    def _run(self, program, *args, check=True):
        environment = {**os.environ, "PGPASSWORD": MONITOR_PASSWORD}
        # Files, not pipes: the postmaster keeps what it inherits, and a pipe would never end.
        with open(self.root / "commands.log", "ab") as log, open(self.root / "command.out", "w+b") as out:
            done = subprocess.run([f"{self.bin}/{program}", *map(str, args)], stdout=out, stderr=log,
                                  stdin=subprocess.DEVNULL, **as_account(env=environment))
            out.seek(0)
            text = out.read().decode()
        if check and done.returncode != 0:
            tail = (self.root / "commands.log").read_text(errors="replace")[-2000:]
            raise SystemExit(f"{program} failed ({done.returncode}):\n{tail}")
        return text


def parse_version(text):
    match = re.search(r"\d+\.\d+(\.\d+)?", text)
    return match.group(0) if match else "?"
