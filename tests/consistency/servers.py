"""A throwaway primary (pg0) and standbys (pg1 ...) whose replication can be set, disturbed and cut. Needs root: PostgreSQL
itself runs as user postgres."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SUPPORT = pathlib.Path(__file__).resolve().parents[1] / "support"
sys.path.insert(0, str(SUPPORT))

import cluster as clusters  # noqa: E402
import wire  # noqa: E402
from waypost import eventually  # noqa: E402

DATABASE = "openfire"
CONFIG = """
listen_addresses = '127.0.0.1, {addresses}'
port = {port}
unix_socket_directories = '{dir}'
max_connections = 150
max_prepared_transactions = 50
shared_buffers = 64MB
fsync = off
full_page_writes = off
autovacuum_naptime = 5s
max_wal_senders = 10
wal_keep_size = 512MB
max_wal_size = 4GB
hot_standby_feedback = {feedback}
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 200ms
wal_sender_timeout = 10s
wal_receiver_timeout = 10s
primary_conninfo = 'host={address} port={primary} user=postgres application_name={name}'
# The length of 2.0::float8/3 says which server answered (workload.cc).
extra_float_digits = {digits}
log_line_prefix = '%m [%p] %u@%d '
"""


class Servers:
    """Each standby reaches the primary under an address of its own, so that a firewall rule can cut that one off."""

    def __init__(self, standbys=3):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="waypost-consistency-"))
        self.names = [f"pg{i}" for i in range(standbys + 1)]
        self.standbys = self.names[1:]
        self.ports = dict(zip(self.names, clusters.free_ports(len(self.names))))
        self.table = f"waypost_{self.ports['pg0']}"  # of the firewall
        self.bin = clusters.programs()

    def address(self, standby):
        return f"127.0.0.{10 + self.names.index(standby)}"

    def run(self, program, *args, check=True):
        entry = pwd.getpwnam("postgres")
        with open(self.dir / "commands.log", "a") as log:
            done = subprocess.run([self.bin / program, *map(str, args)], stdout=log, stderr=log, cwd="/", check=False,
                                  user=entry.pw_uid, group=entry.pw_gid, extra_groups=[], stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, \
            f"{program} {args}: {(self.dir / 'commands.log').read_text()[-2000:]}"

    def start(self):
        shutil.chown(self.dir, "postgres")
        self.dir.chmod(0o755)
        first = self.dir / "pg0"
        self.run("initdb", "-D", first, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        with open(first / "pg_hba.conf", "a") as hba:
            hba.write("host all all 127.0.0.0/8 trust\nhost replication all 127.0.0.0/8 trust\n")
        for name in self.standbys:  # cold copies: they stream from the first record on
            subprocess.run(["cp", "-a", first, self.dir / name], check=True)
            (self.dir / name / "standby.signal").touch()
            shutil.chown(self.dir / name / "standby.signal", "postgres")
        for index, name in enumerate(self.names):
            with open(self.dir / name / "postgresql.conf", "a") as conf:
                conf.write(CONFIG.format(
                    addresses=", ".join(map(self.address, self.standbys)), port=self.ports[name], dir=self.dir,
                    address=self.address(name), primary=self.ports["pg0"], name=name, digits=1 - index,
                    feedback="off" if index == 3 else "on"))
        for name in self.names:
            self.start_server(name)
        for sql in ("CREATE ROLE openfire LOGIN PASSWORD 'openfire'",
                    "CREATE ROLE lazy LOGIN SUPERUSER PASSWORD 'openfire'", "ALTER ROLE lazy SET synchronous_commit = off",
                    "GRANT lazy TO openfire",
                    f"CREATE DATABASE {DATABASE} OWNER openfire",
                    "CREATE DATABASE lazy OWNER openfire", "ALTER DATABASE lazy SET synchronous_commit = off"):
            self.sql(sql, database="postgres")
        return self

    def destroy(self):
        self.heal_cuts()
        for name in reversed(self.names):
            for pid in self.children(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            self.run("pg_ctl", "-D", self.dir / name, "-m", "immediate", "stop", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def start_server(self, name):
        self.run("pg_ctl", "-D", self.dir / name, "-l", self.dir / f"{name}.log", "-w", "-t", 60, "start")

    def stop_server(self, name, mode="fast"):
        self.run("pg_ctl", "-D", self.dir / name, "-m", mode, "-w", "-t", 60, "stop")

    def connect(self, server="pg0", user="postgres", password="secret", database=DATABASE, **params):
        """Waits for a server that is starting."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return wire.connect(self.ports[server], user, password, database, **params)
            except (OSError, wire.ServerError) as error:
                starting = isinstance(error, OSError) or error.sqlstate == "57P03"
                if not starting or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def sql(self, text, server="pg0", database=DATABASE, user="postgres"):
        with self.connect(server, user, database=database) as conn:
            return conn.rows(text)

    def configure(self, server="pg0", **settings):
        """ALTER SYSTEM; None resets."""
        for name, value in settings.items():
            self.sql(f"ALTER SYSTEM SET {name} = '{value}'" if value is not None else f"ALTER SYSTEM RESET {name}", server)
        self.sql("SELECT pg_reload_conf()", server)

    def streaming(self):
        return {row[0] for row in self.sql("SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'")}

    def wait_until_streaming(self, seconds=40):
        eventually(lambda: self.streaming() == set(self.standbys), seconds, "all standbys stream")

    # -- processes

    def postmaster(self, name):
        return int((self.dir / name / "postmaster.pid").read_text().split()[0])

    def children(self, name, title=""):
        """Processes of that server whose title contains `title`."""
        found = []
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = self.postmaster(name)
            for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
                with contextlib.suppress(OSError):
                    if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                        if title in (stat.parent / "cmdline").read_text().replace("\0", " "):
                            found.append(int(stat.parent.name))
        return found

    # -- the way between one standby and the primary

    def cut(self, standby):
        """Packets between the two vanish, both ways; clients reach both. Without a firewall: its WAL sender stops."""
        if not nft(f"add table inet {self.table}"):
            for row in self.sql(f"SELECT pid FROM pg_stat_replication WHERE application_name = '{standby}'"):
                os.kill(int(row[0]), signal.SIGSTOP)
            return
        nft(f"add chain inet {self.table} out {{ type filter hook output priority 0 ; }}")
        nft(f"add rule inet {self.table} out ip daddr {self.address(standby)} tcp dport {self.ports['pg0']} drop")
        nft(f"add rule inet {self.table} out ip saddr {self.address(standby)} tcp sport {self.ports['pg0']} drop")

    def heal_cuts(self):
        nft(f"delete table inet {self.table}")
        for pid in self.children("pg0", "walsender"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def nft(rule):
    """True if the firewall took it."""
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(["nft", *rule.split()], capture_output=True, check=False).returncode == 0
    return False
