"""What a service manager is told, and what it is told to do."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import textwrap
import time

import pytest
import seccomp
import waypost as waypost_process
import wire
from cluster import ROOT
from waypost import BINARY, eventually, free_port

pytestmark = pytest.mark.proxy


class Manager:
    """The socket of a service manager."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(0)
        self.statuses = []  # in words, as they came

    def told(self):
        """What was said since the last call, but for mere words: a list of {variable: value}."""
        said = []
        try:
            while True:
                text = self.socket.recv(4096).decode()
                said.append(dict(line.split("=", 1) for line in text.splitlines()))
        except BlockingIOError:
            self.statuses += [one["STATUS"] for one in said if "STATUS" in one]
            return [one for one in said if set(one) != {"STATUS"}]


@pytest.mark.parametrize("abstract", [False, True])
def test_a_service_manager_hears_of_start_reload_and_end(make_waypost, tmp_path, abstract):
    address = f"waypost-test-{time.monotonic_ns()}" if abstract else str(tmp_path / "notify")
    manager = Manager("\0" + address if abstract else address)
    made = make_waypost(env={"NOTIFY_SOCKET": "@" + address if abstract else address}, sections={"top": {"drain_timeout": "7s"}})
    ready = eventually(manager.told, what="READY")
    assert [said.get("READY") for said in ready] == ["1"] and str(made.port) in ready[0]["STATUS"]
    assert int(ready[0]["MAINPID"]) == made.process.pid
    made.hangup()
    heard = []
    eventually(lambda: heard.extend(manager.told()) or len(heard) >= 2, what="the reload")
    reloading, again = heard
    assert reloading["RELOADING"] == "1" and 0 <= time.monotonic() - int(reloading["MONOTONIC_USEC"]) / 1e6 < 30
    assert again["READY"] == "1"
    made.process.send_signal(signal.SIGTERM)
    assert made.process.wait(30) == 0
    (stopping,) = manager.told()
    assert stopping["STOPPING"] == "1" and int(stopping["EXTEND_TIMEOUT_USEC"]) == 12_000_000
    made.process = None


def test_progress_is_told(cluster, make_waypost, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    address = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    nobody = [{"name": "pg0", "host": "127.0.0.1", "port": free_port()}]
    with contextlib.closing(waypost_process.Waypost(cluster, env=address, servers=nobody)) as alone:
        alone.start(wait=False)
        eventually(lambda: "waiting_for_primary for_s=" in alone.log(), what="a line while nobody is the primary")
        assert "pg0: down: Connection refused" in alone.log().split("waiting_for_primary")[1]
    manager.told()
    assert any(status.endswith("; waiting for a primary") for status in manager.statuses)
    made = make_waypost(env=address, sections={"top": {"drain_timeout": "1s"}})
    with made.connect() as conn:
        conn.rows("BEGIN")
        conn.rows("SELECT pg_is_in_recovery()")
        eventually(lambda: re.search(r"catalog_loaded database=openfire objects=\d+ bytes=\d+ took_ms=", made.log()), what="its catalogue")
        eventually(lambda: manager.told() or any(s.endswith("; the primary is pg0") for s in manager.statuses), what="the primary")
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(30) == 0
        made.process = None
    manager.told()
    assert "draining clients=1 left_s=1" in made.log() and "clients_closed clients=1" in made.log()
    assert "Draining: clients left: 1, closed in 1 s at the latest" in manager.statuses


def test_a_catalogue_that_takes_long_is_told(cluster, make_waypost):
    cluster.sql("CREATE DATABASE slow_to_read OWNER openfire", database="postgres")
    made = make_waypost()
    # Its catalogue cannot be read while somebody has a lock on a part of it.
    with wire.connect(cluster.ports["pg0"], "postgres", "secret", "slow_to_read") as locking:
        locking.rows("BEGIN")
        locking.rows("LOCK TABLE pg_policy")
        with made.connect(database="slow_to_read") as conn:
            assert conn.value("SELECT 1") == "1"
            eventually(lambda: "catalog_loading database=slow_to_read server=pg0" in made.log(), what="it is being read")
            locking.rows("COMMIT")
            eventually(lambda: re.search(r"catalog_loaded database=slow_to_read .*took_ms=\d{4}", made.log()), 30, "it has been read")
    cluster.sql("DROP DATABASE slow_to_read WITH (FORCE)", database="postgres")


def test_the_watchdog_hears_of_it_while_all_workers_go_on(make_waypost, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    made = make_waypost(env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"})
    beats = []
    eventually(lambda: beats.extend(s for s in manager.told() if "WATCHDOG" in s) or len(beats) >= 3, what="three beats")
    made.process.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    manager.told()
    time.sleep(0.8)
    assert not manager.told()
    made.process.send_signal(signal.SIGCONT)
    eventually(lambda: any("WATCHDOG" in said for said in manager.told()), what="it goes on")


def test_the_process_that_takes_over_is_the_one_to_be_watched(make_waypost, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    made = make_waypost(env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}, sections={"top": {"drain_timeout": "1s"}})
    old = made.process
    made.process.send_signal(signal.SIGUSR2)
    heard = []
    eventually(lambda: heard.extend(manager.told()) or [s for s in heard if s.get("MAINPID", str(old.pid)) != str(old.pid)], 30,
               "the new process")  # fmt: skip
    new = int(next(s["MAINPID"] for s in heard if s.get("MAINPID", str(old.pid)) != str(old.pid)))
    try:
        assert old.wait(30) == 0
        manager.told()
        eventually(lambda: any("WATCHDOG" in said for said in manager.told()), what="its watchdog")
    finally:
        os.kill(new, signal.SIGTERM)
        made.process = None
    eventually(lambda: any(said.get("STOPPING") == "1" for said in manager.told()), what="its end")


def test_nobody_hears_of_another_processs_watchdog(make_waypost, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    make_waypost(env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    time.sleep(0.5)
    assert not [said for said in manager.told() if "WATCHDOG" in said]

class Systemd:
    """Listens for a Waypost, and starts it as systemd's socket activation does."""

    def __init__(self, made, *sockets):
        self.made, self.sockets = made, sockets
        made.write_config()

    def start(self):
        def hand_over():
            for at, listening in enumerate(os.dup(s.fileno()) for s in self.sockets):
                os.dup2(listening, 3 + at)

        words = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=$0 exec "$@"', str(len(self.sockets)), BINARY, "--config", self.made.config]
        with open(self.made.log_path, "ab") as log:
            self.made.process = subprocess.Popen(words, stdout=log, stderr=log, close_fds=False, preexec_fn=hand_over)
        eventually(self.made.ready, what="ready")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_clients_wait_at_the_managers_socket_while_nobody_runs(cluster, tmp_path, host):
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listening, \
            socket.socket(socket.AF_UNIX) as local, socket.socket(socket.AF_UNIX) as other, \
            contextlib.closing(waypost_process.Waypost(cluster)) as made:  # fmt: skip
        port = listening.getsockname()[1]
        local.bind(str(tmp_path / f".s.PGSQL.{port}"))
        local.listen()
        other.bind(str(tmp_path / "other"))
        made.sections["listen"] = {"address": host, "port": port, "socket": str(tmp_path)}
        systemd = Systemd(made, listening, local, other)
        systemd.start()
        made.logged("socket_not_used", str(tmp_path / "other"))
        for way in host, str(tmp_path):
            with wire.connect(port, host=way) as conn:
                assert conn.value("SELECT 1") == "1"
        assert made.stop() == 0
        assert (tmp_path / f".s.PGSQL.{port}").exists()  # systemd's
        with wire.Wire(host, port) as early:  # nobody runs
            early.send(wire.startup_packet({"user": "openfire", "database": "openfire"}))
            systemd.start()
            assert early.read(1) == b"R"


def test_the_unit_is_sandboxed():
    unit = ROOT / "deploy/waypost.service"
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    exposure = float(re.search(r"exposure level for waypost.service: ([0-9.]+)", done.stdout)[1])
    assert exposure <= 2.0, done.stdout


def system_calls(name):
    """Those of one of systemd's sets, or the one of that name."""
    if not name.startswith("@"):
        return {name}
    shown = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, text=True, timeout=60, check=True)
    words = [line.strip() for line in shown.stdout.splitlines()[1:]]
    return set().union(*(system_calls(word) for word in words if word and not word.startswith("#")))


def system_calls_of_the_unit():
    allowed = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", (ROOT / "deploy/waypost.service").read_text(), re.M):
        named = set().union(*(system_calls(word) for word in line.lstrip("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


def test_the_unit_allows_each_system_call(make_waypost):
    """Whoever makes another one is killed at once; the service would get an error."""
    made = make_waypost(sections={"top": {"drain_timeout": "1s"}, "log": {"queries": "all"}})
    assert made.stop() == 0
    only = seccomp.SyscallFilter(seccomp.KILL_PROCESS)
    for name in system_calls_of_the_unit() | {"ptrace"}:  # LeakSanitizer looks at the threads by that
        with contextlib.suppress(RuntimeError):  # not of this architecture
            only.add_rule(seccomp.ALLOW, name)
    with open(made.log_path, "ab") as log:
        made.process = subprocess.Popen([BINARY, "--config", made.config], stdout=log, stderr=log, preexec_fn=only.load)
    eventually(made.ready, 30, "ready")
    made.wait_for_split()
    made.route("SELECT 1")
    made.metrics()
    made.hangup()
    eventually(lambda: "reloaded" in made.log(), what="the reload")
    old = made.process
    old.send_signal(signal.SIGUSR2)  # the new process has the filter too
    new = int(eventually(lambda: re.findall(r"handing_over pid=(\d+)", made.log()), 30, "the new process")[0])
    try:
        assert old.wait(30) == 0, made.log()[-3000:]
        with made.connect() as conn:
            assert conn.value("SELECT 1") == "1"
    finally:
        os.kill(new, signal.SIGTERM)
        made.process = None
    eventually(lambda: made.log().split("handing_over")[1].count(" stopped") == 2, 30, "its end")


@pytest.mark.parametrize("file", ["compose/waypost.toml", "kubernetes/cloudnative-pg.yaml", "kubernetes/patroni.yaml"])
def test_what_is_shipped_for_containers_is_a_configuration(tmp_path, file):
    text = (ROOT / "deploy" / file).read_text()
    if file.endswith(".yaml"):
        text = textwrap.dedent(text.split("waypost.toml: |\n")[1].split("---\n")[0])
    config = tmp_path / "waypost.toml"
    config.write_text(text)
    secrets = {name: "secret" for name in re.findall(r'password_env = "(\w+)"', text)}
    done = subprocess.run([BINARY, "check", "--config", config], capture_output=True, text=True, timeout=30, check=False,
                          env={**os.environ, **secrets})  # fmt: skip
    assert done.returncode == 0 and len(secrets) == 2, done.stderr
