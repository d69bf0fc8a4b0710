"""What the clusters under a fail-over manager share: servers on loopback with data, logs and pids below one folder.

As root everything runs as user postgres, else as who started it. The folder remembers the ports, so that one program can start
a cluster and another can disturb it. Nothing here promotes: that is the manager's part.
"""

import contextlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import cluster as clusters  # noqa: E402
import wire  # noqa: E402
from waypost import eventually  # noqa: E402

OWNER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
# Fast on a machine that does other things as well; full pages stay on, as pg_rewind wants them.
SETTINGS = {
    "fsync": "off",
    "wal_log_hints": "on",
    "wal_keep_size": "512MB",
    "max_connections": "150",
    "max_wal_senders": "10",
    "shared_buffers": "64MB",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "200ms",
    "synchronous_commit": "remote_apply",
    "log_line_prefix": "%m [%p] %u@%d ",
}


def alive(pid):
    """Not if nobody has reaped it yet."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def pid_in(path):
    """The process of a pid file, 0 if there is none or it has ended."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(path.read_text().split()[0])
        return pid if alive(pid) else 0
    return 0


def children(parent):
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class ManagedServers:
    names = ()  # of the servers

    def __init__(self, folder=None, synchronous=True):
        self.dir = pathlib.Path(folder or tempfile.mkdtemp(prefix="waypost-failover-")).resolve()
        self.synchronous = synchronous
        self.bin = clusters.programs()
        self.ports, self.others = {}, {}
        self.started = []  # by this program, which has to reap them
        with contextlib.suppress(FileNotFoundError):
            known = json.loads((self.dir / "ports.json").read_text())
            self.ports, self.others, self.synchronous = known["servers"], known["others"], known["synchronous"]

    def prepare(self, *others):
        """The folder, and ports for the servers and what else listens."""
        assert not self.ports, f"{self.dir} is in use"
        self.dir.mkdir(exist_ok=True)
        self.dir.chmod(0o755)
        shutil.chown(self.dir, OWNER)
        ports = clusters.free_ports(len(self.names) + len(others))
        self.ports, self.others = dict(zip(self.names, ports)), dict(zip(others, ports[len(self.names) :]))
        known = {"servers": self.ports, "others": self.others, "synchronous": self.synchronous}
        (self.dir / "ports.json").write_text(json.dumps(known))

    # -- programs

    def as_owner(self):
        entry = pwd.getpwnam(OWNER)
        path = f"{self.bin}:{os.environ['PATH']}"
        options = {"cwd": self.dir, "stdin": subprocess.DEVNULL, "env": {"PATH": path, "HOME": str(self.dir), "LC_ALL": "C.UTF-8"}}
        if os.geteuid() == 0:
            options |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        return options

    def run(self, program, *args, log="commands", check=True, timeout=120):
        """Its output, which goes to DIR/`log`.log too."""
        done = subprocess.run([str(a) for a in (program, *args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout, check=False, **self.as_owner())
        with open(self.dir / f"{log}.log", "a", encoding="utf-8") as file:
            file.write(f"$ {program} {' '.join(map(str, args))}\n{done.stdout}")
        assert not check or done.returncode == 0, f"{program} {args}: {done.stdout[-2000:]}"
        return done.stdout

    def pg_ctl(self, server, *args, check=True):
        with open(self.dir / f"{server}.log", "a", encoding="utf-8"):
            shutil.chown(self.dir / f"{server}.log", OWNER)
        # The server would keep a pipe open.
        done = subprocess.run(
            [self.bin / "pg_ctl", "-D", self.dir / server, "-w", "-t", "60", *map(str, args)], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=90, check=False, **self.as_owner())  # fmt: skip
        assert done.returncode == 0 or not check, f"pg_ctl {server} {args}: {self.log(server)[-2000:]}"

    def spawn(self, name, *command):
        """Starts a program that stays: its pid in DIR/NAME.pid, what it says in DIR/NAME.log."""
        with open(self.dir / f"{name}.log", "ab") as log:
            made = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log, start_new_session=True, **self.as_owner())
        (self.dir / f"{name}.pid").write_text(f"{made.pid}\n")
        self.started.append(made)
        return made.pid

    def process(self, name):
        for made in self.started:
            made.poll()
        return pid_in(self.dir / f"{name}.pid")

    def end(self, name, number=signal.SIGTERM, seconds=15):
        """Ends what spawn() started."""
        if pid := self.process(name):
            os.kill(pid, number)
            try:
                eventually(lambda: not self.process(name), seconds, f"{name} ends")
            except AssertionError:
                signal_all([pid], signal.SIGKILL)

    def log(self, name):
        path = self.dir / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # -- servers

    def postmaster(self, server):
        return pid_in(self.dir / server / "postmaster.pid")

    def family(self, server):
        """The postmaster and its children."""
        parent = self.postmaster(server)
        return [parent, *children(parent)] if parent else []

    def kill(self, server):
        """kill -9 of the postmaster alone; its children notice."""
        family = self.family(server)
        signal_all(family[:1], signal.SIGKILL)
        eventually(lambda: not any(map(alive, family)), 20, f"{server} is gone")

    def bury(self, server):
        """To PostgreSQL a postmaster lives until somebody reaps it, which init may do late or never."""
        if not self.postmaster(server):
            (self.dir / server / "postmaster.pid").unlink(missing_ok=True)
            (self.dir / f".s.PGSQL.{self.ports[server]}.lock").unlink(missing_ok=True)

    def pause(self, server):
        signal_all(self.family(server), signal.SIGSTOP)

    def resume(self, server):
        signal_all(self.family(server), signal.SIGCONT)

    def start_as_is(self, server):
        """Just as it stands: one that was deposed in its absence starts as a primary that knows nothing of it."""
        self.bury(server)
        self.pg_ctl(server, "-l", self.dir / f"{server}.log", "-o", f"-p {self.ports[server]}", "start")

    def stop_server(self, server, mode="fast"):
        if self.postmaster(server):
            self.pg_ctl(server, "-m", mode, "stop")

    def connect(self, server, user="postgres", password="secret", database="postgres", timeout=5.0, **params):
        return wire.connect(self.ports[server], user, password, database, timeout=timeout, **params)

    def sql(self, text, server, database="postgres", user="postgres"):
        with self.connect(server, user, {"postgres": "secret"}.get(user, user), database) as conn:
            return conn.rows(text)

    def answer(self, text, server):
        """The one value of a query, None if that server does not answer."""
        if self.postmaster(server):
            with contextlib.suppress(OSError, wire.ServerError, AssertionError):
                return self.sql(text, server)[0][0]
        return None

    def primaries(self, among=()):
        return [name for name in among or self.names if self.answer("SELECT pg_is_in_recovery()", name) == "f"]

    def wait_for_primary(self, among, seconds=40):
        """The one of these that is the primary."""
        return eventually(lambda: self.primaries(among), seconds, f"a primary among {among}")[0]

    def streaming(self, primary):
        """How many stream from it, and are synchronous if that is wanted."""
        wanted = "sync_state <> 'async'" if self.synchronous else "true"
        return int(self.answer(f"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND {wanted}", primary) or 0)

    def status(self):
        lines = []
        for name in self.names:
            role = self.answer("SELECT pg_is_in_recovery()", name)
            what = {"f": "primary", "t": "standby", None: "down"}[role]
            if role:
                what += ", timeline of its last checkpoint " + self.answer("SELECT timeline_id FROM pg_control_checkpoint()", name)
                what += f", {self.streaming(name)} follow" if role == "f" else ""
            lines.append(f"{name} 127.0.0.1:{self.ports[name]} {what}")
        return "\n".join(lines)

    def create_database(self, primary):
        self.sql("CREATE ROLE openfire LOGIN PASSWORD 'openfire'", primary)
        self.sql("CREATE DATABASE openfire OWNER openfire", primary)

    def destroy(self):
        """Ends every server and removes the folder."""
        for server in self.names:
            self.resume(server)
            self.pg_ctl(server, "-m", "immediate", "stop", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


def command_line(kind, doc, verbs):
    """`PROGRAM VERB DIR [SERVER]`: for a person who wants to see it happen."""
    args = sys.argv[1:]
    if len(args) < 2 or args[0] not in verbs:
        print(doc.strip(), file=sys.stderr)
        sys.exit(64)
    made = kind(args[1], synchronous="--async" not in args)
    given = [arg for arg in args[2:] if not arg.startswith("-")]
    if args[0] != "up" and not made.ports:
        sys.exit(f"no cluster in {args[1]}")
    result = getattr(made, verbs[args[0]])(*given)
    if result is not None:
        print(result if isinstance(result, str) else json.dumps(result))
    if args[0] == "up":
        print(made.status())
