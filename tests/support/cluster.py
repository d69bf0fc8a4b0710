"""The throwaway PostgreSQL cluster of deploy/cluster.sh, and what its servers themselves say they ran."""

import contextlib
import functools
import itertools
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid

import wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "cluster.sh"
NAMES = ("pg0", "pg1", "pg2")
REPLICAS = ("pg1", "pg2")
LOG_TAIL_BYTES = 8 << 20
# The version of PostgreSQL to run on, as deploy/postgresql.sh takes it; empty: the newest that is installed.
VERSION = os.environ.get("WAYPOST_POSTGRES", "")


def programs(version=VERSION):
    """The folder of postgres, initdb and pg_ctl of that version, fetched if need be."""
    done = subprocess.run([ROOT / "deploy/postgresql.sh", version], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return pathlib.Path(done.stdout.strip())


def new_marker():
    """A word that no other statement contains; put it into a comment of the SQL to find that statement again."""
    return "m" + uuid.uuid4().hex[:14]


def own_ports():
    """Where this process looks for ports: below those that outgoing connections take, and apart from the processes of the
    same run, which would else take a port between our look and our server's start."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    each = 12000 // workers
    return range(20000 + worker * each, 20000 + (worker + 1) * each)


@functools.cache
def ports_in_turn():
    ports = list(own_ports())
    random.shuffle(ports)
    return itertools.cycle(ports)


def free_ports(count):
    """Ports that nobody listens on now. None is given twice before all others were: who asked first may not listen there yet."""
    found = []
    while len(found) < count:
        port = next(ports_in_turn())
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


class Cluster:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="waypost-cluster-"))
        self.ports = {}

    def script(self, *args):
        done = subprocess.run(
            [SCRIPT, args[0], self.dir, *args[1:]], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"cluster.sh {args}: {done.stdout}{done.stderr}"

    def start(self):
        self.script("start", *map(str, free_ports(3)))
        self.ports = dict(zip(NAMES, map(int, (self.dir / "ports").read_text().split())))

    def destroy(self):
        self.script("stop")
        shutil.rmtree(self.dir, ignore_errors=True)

    def stop_server(self, name):
        self.script("stop-server", name)

    def start_server(self, name):
        self.script("start-server", name)

    def connect(self, server="pg0", user="postgres", password="secret", database="openfire", **params):
        return wire.connect(self.ports[server], user, password, database, **params)

    def sql(self, text, server="pg0", database="openfire", user="postgres"):
        """Runs `text` on that server itself, past any proxy; the rows of all its statements."""
        password = {"postgres": "secret"}.get(user, user)
        with self.connect(server, user, password, database) as conn:
            return conn.rows(text)

    @property
    def major(self):
        return int(self.sql("SHOW server_version_num")[0][0]) // 10000

    def terminate(self, condition, server="pg0"):
        """Ends the server processes of pg_stat_activity for which that holds; they are gone then."""
        found = self.sql(f"SELECT pid FROM pg_stat_activity WHERE {condition} AND pid <> pg_backend_pid()", server, "postgres")
        pids = ",".join(pid for [pid] in found) or "0"
        self.sql(f"SELECT pg_terminate_backend(pid) FROM unnest(ARRAY[{pids}]) AS ended(pid) WHERE pid > 0", server, "postgres")
        deadline = time.monotonic() + 5
        while self.sql(f"SELECT 1 FROM pg_stat_activity WHERE pid IN ({pids})", server, "postgres"):
            assert time.monotonic() < deadline, f"still there: {pids}"
            time.sleep(0.01)

    def log(self, server):
        with open(self.dir / f"{server}.log", "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")

    def runs(self, marker):
        """{server: how often it executed a statement that contains `marker`}, from the servers' own logs (log_statement
        is all in the databases that routing tests use). Servers that never did are left out."""
        counts = {}
        for server in NAMES:
            count = 0
            for entry in re.split(r"^(?=\d{4}-\d\d-\d\d )", self.log(server), flags=re.M):
                if marker in entry and re.search(r"LOG:  (statement|execute|fastpath)", entry):
                    count += 1
            if count:
                counts[server] = count
        return counts

    def where(self, marker):
        """The one server that ran the marked statement, once; else all that is known of it. A read whose answer came too
        early for the fence runs twice, the second time on a replica again: that one is the same to who asks."""
        counts = self.runs(marker)
        on_replicas = set(counts) <= set(REPLICAS) and sum(counts.values()) == 2
        return next(iter(counts)) if list(counts.values()) == [1] or on_replicas else counts
