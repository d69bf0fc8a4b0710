"""Starts Waypost with a generated configuration, and stops it so that nothing wrong goes unseen."""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import cluster as clusters
import wire

BINARY = pathlib.Path(os.environ.get("WAYPOST_BINARY", clusters.ROOT / "build/release/waypost")).resolve()
START_SECONDS = 30
STOP_SECONDS = 45
BUG_WORDS = ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:", "WAYPOST_CHECK",
             "session_event_unexpected")


def free_port():
    return clusters.free_ports(1)[0]


def eventually(condition, seconds=15.0, what="condition"):
    """Calls `condition` until it is true and returns what it returned; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def toml_value(value):
    return ("true" if value else "false") if isinstance(value, bool) else json.dumps(value)


def toml_table(header, table):
    return "\n".join([header, *(f"{key} = {toml_value(value)}" for key, value in table.items())]) + "\n"


class Waypost:
    """One process. `sections` are merged into the tables of the configuration: {"pool": {...}}; those of "server" go into
    each server, those of "top" before all tables; a list makes [[tables]]; `users`, `databases` and `servers` replace or extend the lists."""

    def __init__(self, cluster, sections=None, users=None, databases=(), servers=None, raw="", env=None, files=None):
        self.cluster = cluster
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="waypost-test-"))
        self.port, self.admin_port = free_port(), free_port()
        self.sections, self.users, self.databases = sections or {}, users, databases
        self.servers, self.raw, self.env = servers, raw, env or {}
        self.files = files  # its limit of descriptors
        self.config = self.dir / "waypost.toml"
        self.log_path = self.dir / "output.log"
        self.process = None

    def write_config(self):
        tables = {
            "listen": {"port": self.port},
            "admin": {"port": self.admin_port},
            "monitor": {"user": "postgres", "password": "secret"},
            # Tests ask which server answers, on machines that may be busy: a replica gets the time that it needs.
            "routing": {"fence_wait": "2s"},
        }
        for name, table in self.sections.items():
            if isinstance(table, list):
                tables[name] = [{**tables.get(name, {}), **table[0]}, *table[1:]]
            elif name not in ("server", "top"):
                tables.setdefault(name, {}).update(table)
        servers = self.servers or [
            {"name": n, "host": "127.0.0.1", "port": p, **self.sections.get("server", {})}
            for n, p in self.cluster.ports.items()
        ]
        users = [{"name": "openfire", "password": "openfire"}] if self.users is None else self.users
        parts = [toml_table("", self.sections.get("top", {}))]
        for name, table in tables.items():
            parts += [toml_table(f"[[{name}]]", t) for t in table] if isinstance(table, list) else [toml_table(f"[{name}]", table)]
        parts += [toml_table("[[server]]", s) for s in servers]
        parts += [toml_table("[[user]]", u) for u in users]
        parts += [toml_table("[[database]]", d) for d in self.databases]
        self.config.write_text("\n".join(parts) + self.raw)

    def start(self, wait=True):
        self.write_config()
        self.spawn()
        if wait:
            eventually(self.ready, START_SECONDS, "ready")
        return self

    def spawn(self):
        assert BINARY.exists(), f"{BINARY} does not exist: build it, or name another by WAYPOST_BINARY"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "--config", self.config], stdout=log, stderr=log, env={**os.environ, **self.env},
                preexec_fn=self.limit_files,
            )  # fmt: skip

    def limit_files(self):
        if self.files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))

    def ready(self):
        assert self.process.poll() is None, f"exited with {self.process.returncode}:\n{self.log()[-3000:]}"
        with contextlib.suppress(OSError):
            return self.get("/readyz")[0] == 200
        return False

    def log(self):
        """What is written until now: a thread of its own writes the lines, so an event's may come later."""
        return self.log_path.read_text(errors="replace")

    def logged(self, *texts):
        """The log, once it has all of `texts`."""
        return eventually(
            lambda: (log := self.log()) and all(text in log for text in texts) and log,
            what=f"the log says {texts}",
        )

    def report(self, path):
        """What the admin port answers, once every worker has given its part."""

        def whole():
            status, body = self.get(path)
            assert status == 200, f"{status}: {body}"
            found = json.loads(body)
            return found if found["workers_missing"] == 0 else None

        return eventually(whole, what=f"{path} from all workers")

    def get(self, path, data=None, timeout=10):
        """(status, body) of one request to the admin port; POST if `data` (made JSON unless bytes)."""
        body = data if data is None or isinstance(data, bytes) else json.dumps(data).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}", data=body)
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def route(self, sql, database="openfire", user="openfire"):
        status, body = self.get("/api/v1/route", {"sql": sql, "database": database, "user": user})
        assert status == 200, f"{status}: {body}"
        return json.loads(body)

    def metrics(self):
        """{'name{labels}': value} of /metrics."""
        status, body = self.get("/metrics")
        assert status == 200
        lines = (line.rsplit(" ", 1) for line in body.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def metric(self, name, **labels):
        """The sum of a metric over all series that have these labels."""
        return sum(
            value
            for series, value in self.metrics().items()
            if series.split("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items())
        )

    def counted(self, value, name, at_least=False, **labels):
        """Waits until metric() is `value`: what a client was told may be counted a moment later."""

        def is_there():
            now = self.metric(name, **labels)
            return now >= value if at_least else now == value

        eventually(is_there, what=f"{name} {labels} is {value}")

    def connect(self, user="openfire", password=None, database="openfire", **params):
        return wire.connect(self.port, user, password or user, database, **params)

    def wait_for_split(self, user="openfire", database="openfire", seconds=20):
        """Until reads of a table run on a replica: servers probed, replicas found eligible, catalogue loaded."""

        def read_ran_on_replica():
            marker = clusters.new_marker()
            with self.connect(user, database=database) as conn:
                conn.rows(f"SELECT count(*) FROM probe_me /* {marker} */")
            return self.cluster.where(marker) in clusters.REPLICAS

        eventually(read_ran_on_replica, seconds, "a read on a replica")

    def rss_bytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def hangup(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """SIGTERM; the exit code. Fails if it does not end, or if a sanitizer, or Waypost of a bug of its own, had something to say."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not stop within {STOP_SECONDS} s of SIGTERM:\n{self.log()[-3000:]}") from None
        finally:
            self.process = None
        said = [line for line in self.log().splitlines() if any(word in line for word in BUG_WORDS)]
        assert not said, f"{said[:5]}\n{self.log()[-6000:]}"
        return code

    def close(self):
        """Stops it and expects a clean end; removes its files."""
        code = self.stop()
        assert code in (None, 0), f"exit code {code}:\n{self.log()[-3000:]}"
        shutil.rmtree(self.dir, ignore_errors=True)


class Primary:
    """Stands in for Waypost with WAYPOST_TARGET=primary: the primary itself. What fails then is a wrong test."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.port = cluster.ports["pg0"]

    def connect(self, user="openfire", password=None, database="openfire", **params):
        return wire.connect(self.port, user, password or user, database, **params)


@contextlib.contextmanager
def running(cluster, **config):
    """A Waypost whose reads are spread over the replicas; it must still run at the end."""
    made = Waypost(cluster, **config)
    try:
        made.start()
        made.wait_for_split()
        yield made
        assert made.process.poll() is None, f"ended by itself: {made.process.returncode}\n{made.log()[-3000:]}"
    finally:
        made.close()
