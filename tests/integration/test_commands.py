"""The commands that ask a running Waypost: over the socket, by token, refused, and with nobody there."""

import http.server
import json
import os
import re
import subprocess
import sys
import textwrap
import threading

import pytest
import waypost as waypost_process
import wire
from cluster import REPLICAS, ROOT, new_marker
from test_upgrade import Process
from waypost import BINARY, eventually, free_port

pytestmark = pytest.mark.proxy

SECTIONS = {"admin": {"tokens_file": "tokens", "socket": "admin.sock"}, "cluster": {"state_file": "state"}}


@pytest.fixture(scope="module")
def proxy(cluster):
    with waypost_process.running(cluster, sections=SECTIONS) as made:
        yield made


def run(*args, **env):
    words = [BINARY, *map(str, args)]
    clean = {key: value for key, value in os.environ.items() if key != "WAYPOST_TOKEN"}
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env={**clean, **env})


def tell(proxy, *args, **env):
    """What the command printed, asked of `proxy` by its configuration; it must have gone well."""
    done = run(*args, "--config", proxy.config, **env)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


def rows(text):
    """The lines of a table as lists of cells, without its headings."""
    return [re.split(r"  +", line.strip()) for line in text.splitlines()[1:]]


@pytest.mark.parametrize(
    ("command", "member", "shows"),
    [
        ("status", "ready", ["primary:", "pg0", "ready"]),
        ("servers", "servers", ["SERVER", "pg0", "primary", "replica", "yes"]),
        ("sessions", "sessions", ["STATE", "openfire"]),
        ("pools", "pools", ["LONGEST WAIT", "replica"]),
        ("digests", "digests", ["VERDICT", "SELECT count"]),
        ("events", "events", ["server_up"]),
    ],
)
def test_each_is_shown(proxy, command, member, shows):
    with proxy.connect() as conn:
        conn.rows("SELECT count(*) FROM probe_me")
        text = tell(proxy, command)
        assert all(word in text for word in shows), text
        assert "\x1b" not in text
        assert member in json.loads(tell(proxy, command, "--json"))


def test_what_is_asked_for(proxy):
    with proxy.connect() as conn:
        conn.rows("SET application_name = 'a b&c'")
        conn.rows("BEGIN")
        conn.rows("SELECT count(*) FROM probe_me")
        (row,) = rows(tell(proxy, "sessions", "--application", "a b&c", "--state", "idle in transaction", "--limit", 5))
        assert row[1:4] == ["openfire", "openfire", "a b&c"]
        whole = tell(proxy, "sessions", row[0])
        assert re.search(r"^application_name: +a b&c$", whole, re.MULTILINE)
        assert json.loads(tell(proxy, "sessions", row[0], "--json"))["id"] == row[0]
    assert len(rows(tell(proxy, "digests", "--sort", "calls", "--limit", 1))) == 1
    assert len(tell(proxy, "events", "--limit", 2).splitlines()) == 2


def test_where_it_is_asked(proxy):
    """By URL, by socket, by configuration; if nobody is at the socket, by TCP. The configuration's other faults do not matter."""
    url = f"http://127.0.0.1:{proxy.admin_port}"
    for way in (("--url", url), ("--socket", proxy.dir / "admin.sock")):
        assert "primary:" in run("status", *way, http_proxy="http://127.0.0.1:1").stdout
    other = proxy.dir / "other.toml"
    other.write_text(f'[admin]\nport = {proxy.admin_port}\nsocket = "nobody.sock"\n[nonsense]\n')
    assert "primary:" in run("status", "--config", other).stdout
    assert "primary:" in run("--config", other, "status").stdout


def test_events_are_followed(proxy):
    follow = [BINARY, "events", "--follow", "--since", "0", "--json", "--config", proxy.config]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as following:
        assert json.loads(following.stdout.readline())["id"] > 0
        proxy.hangup()
        for line in following.stdout:
            if json.loads(line)["kind"] == "reload":
                break
        following.terminate()


def test_nothing_to_show_is_no_error(proxy):
    last = json.loads(tell(proxy, "events", "--json"))["last"]
    assert tell(proxy, "events", "--since", last) == ""
    assert rows(tell(proxy, "sessions", "--user", "nobody")) == []


class NotWaypost(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302 if self.path.endswith("status") else 200)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"<html>\x1b[2J")

    def log_message(self, *_):
        pass


def test_somebody_else_is_there():
    """Whoever answers is not trusted: no redirection is followed, nothing of his steers the terminal."""
    with http.server.HTTPServer(("127.0.0.1", 0), NotWaypost) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = ("--url", f"http://127.0.0.1:{other.server_port}")
        for command in (["status"], ["servers"], ["events", "--json"]):
            done = run(*command, *url)
            assert done.returncode == 1 and done.stdout == "" and "<html>" in done.stderr and "\x1b" not in done.stderr, done
        other.shutdown()


def test_errors(proxy):
    done = run("sessions", "0-999999", "--config", proxy.config)
    assert done.returncode == 1 and done.stdout == "" and 'There is no session "0-999999"' in done.stderr
    done = run("sessions", "--state", "odd", "--config", proxy.config)
    assert done.returncode == 1 and "expected idle, active" in done.stderr
    done = run("status", "--config", proxy.config, WAYPOST_TOKEN="wrong")
    assert done.returncode == 77 and done.stdout == "" and done.stderr.startswith("waypost: ")
    assert run("status", "--config", proxy.config, WAYPOST_TOKEN="a\nb").returncode == 64
    assert run("status", "--url", "nonsense").returncode == 64
    assert run("status", "--nonsense").returncode == 64
    assert run("status", "--config", "/no/such/file.toml").returncode == 78


def block_on_a_replica(cluster, conn):
    """The replica on which a block is open now; none where the primary had to serve it, as it does when no replica is proved."""
    conn.rows("BEGIN READ ONLY")
    marker = new_marker()
    conn.rows(f"SELECT count(*) FROM probe_me /* {marker} */")
    name = cluster.where(marker)
    if name in REPLICAS:
        return name
    conn.rows("ROLLBACK")
    return None


def test_drain_and_back(cluster, proxy):
    """--wait tells how many connections are left, and ends when none is."""
    with proxy.connect() as conn:
        name = eventually(lambda: block_on_a_replica(cluster, conn))
        drain = [BINARY, "drain", name, "--wait", "--config", proxy.config]
        with subprocess.Popen(drain, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as draining:
            assert draining.stdout.readline().startswith(f"{name}: drain, ")
            assert re.fullmatch(rf"waypost: {name}: connections left: \d+\n", draining.stderr.readline())
            conn.rows("COMMIT")
            assert draining.wait(20) == 0
            assert draining.stderr.read().endswith(f"{name}: no connection is left\n")
    assert "drained by the operator" in tell(proxy, "servers")
    assert json.loads(tell(proxy, "maintenance", name, "--deadline", "10m", "--json"))["draining"]["deadline"]
    assert tell(proxy, "activate", name) == f"{name}: active\n"
    for args, said in ((("pg0",), "promote another server first"), (("pg9",), 'no server called "pg9"'), (("a/b",), "Not found")):
        done = run("drain", *args, "--config", proxy.config)
        assert done.returncode == 1 and said in done.stderr
    assert run("drain", name, "--deadline", "5 lightyears", "--config", proxy.config).returncode == 64


@pytest.mark.parametrize("flags", [[], ["--writes"]])
def test_pause_and_resume(proxy, flags):
    with proxy.connect() as conn:
        assert tell(proxy, "pause", "--limit", "1m", *flags).startswith("paused: " + ("writes" if flags else "all"))
        assert "paused:" in tell(proxy, "status")
        held = threading.Thread(target=conn.rows, args=("DELETE FROM probe_me WHERE false",))
        held.start()
        eventually(lambda: "held now: 1" in tell(proxy, "status"), what="held")
        assert tell(proxy, "resume") == "not paused\n"
        held.join(10)
        assert not held.is_alive()
    assert run("pause", "--limit", "2h", "--config", proxy.config).returncode == 1


@pytest.mark.parametrize("flags", [[], ["--writes"]])
def test_a_pause_waits_until_nothing_runs(proxy, flags):
    command = [BINARY, "pause", "--wait", *flags, "--config", proxy.config]
    try:
        with proxy.connect() as block, proxy.connect() as tied, proxy.connect() as idle:
            tied.rows("LISTEN news")
            idle.rows("SELECT count(*) FROM probe_me")
            block.rows("BEGIN")
            block.rows("DELETE FROM probe_me WHERE false")
            done = subprocess.run([*command, "--limit", "1s"], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1 and "the pause has ended while something still ran" in done.stderr, done
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as pausing:
                assert pausing.stdout.readline().startswith("paused: " + ("writes" if flags else "all"))
                assert any(line == "waypost: still running: 1\n" for line in pausing.stderr)
                # Null, if a worker was too busy to answer.
                eventually(lambda: json.loads(tell(proxy, "pause", "--json", *flags))["paused"]["running"] == 1, what="one that runs")
                block.rows("COMMIT")
                assert pausing.wait(30) == 0
                said = pausing.stderr.read()
                assert "not held: 1 (waypost sessions --pinned)\n" in said and said.endswith("nothing runs any more\n"), said
    finally:
        tell(proxy, "resume")


def session(proxy, application):
    return rows(tell(proxy, "sessions", "--application", application))[0][0]


def test_cancel_and_kill(proxy):
    with proxy.connect(application_name="victim") as conn:
        ended = []

        def sleep():
            with pytest.raises(wire.ServerError) as error:
                conn.rows("SELECT pg_sleep(30)")
            ended.append(error.value.sqlstate)

        asleep = threading.Thread(target=sleep)
        asleep.start()
        eventually(lambda: "active" in tell(proxy, "sessions", "--application", "victim"), what="it runs")
        tell(proxy, "cancel", session(proxy, "victim"))
        asleep.join(10)
        assert ended == ["57014"]
        assert tell(proxy, "kill", session(proxy, "victim"), "--json") == ""
        eventually(lambda: rows(tell(proxy, "sessions", "--application", "victim")) == [], what="it is gone")


def test_reload_and_log_level(proxy):
    before = proxy.config.read_text()
    proxy.config.write_text(before + "\n[digests]\nmax = 500\n")
    assert rows(tell(proxy, "reload", "--dry-run")) == [["digests.max", "1000", "500", "with a reload"]]
    assert rows(tell(proxy, "reload")) == [["digests.max", "1000", "500", "now"]]
    proxy.config.write_text(before + "\n[nonsense]\n")
    done = run("reload", "--config", proxy.config)
    assert done.returncode == 1 and "nonsense" in done.stderr
    proxy.config.write_text(before)
    tell(proxy, "reload")
    assert tell(proxy, "reload") == "nothing has changed\n"
    assert "debug" in tell(proxy, "log-level", "debug") and "debug" in tell(proxy, "log-level")
    assert "info" in tell(proxy, "log-level", "info")
    assert run("log-level", "loud", "--config", proxy.config).returncode == 1


def test_servers_that_come_and_go_with_reloads(proxy):
    """Each name has a place of its own as long as the process runs; for one too many a reload is refused."""
    before = proxy.config.read_text()

    def replaced_by(names):
        tables = "".join(f"\n[[server]]\nname = '{name}'\nhost = '127.0.0.1'\nport = {free_port()}\n" for name in names)
        proxy.config.write_text(before + tables)

    try:
        for first in range(0, 60, 20):
            replaced_by(f"pod{n}" for n in range(first, first + 20))
            tell(proxy, "reload")
        replaced_by(["pod0", "pod60"])
        tell(proxy, "reload")
        replaced_by(["pod60", "pod61"])
        for dry in (["--dry-run"], []):
            done = run("reload", *dry, "--config", proxy.config)
            assert done.returncode == 1 and 'server "pod61": this process has known 64 servers by name' in done.stderr, done
        with proxy.connect() as conn:
            assert conn.value("SELECT 1") == "1"
        named = {row[0] for row in rows(tell(proxy, "servers"))}
        assert "pod60" in named and "pod61" not in named
    finally:
        proxy.config.write_text(before)
    tell(proxy, "reload")


CHANGES = ["drain pg1", "maintenance pg1", "activate pg1", "pause", "resume", "kill 0-1", "cancel 0-1", "reload", "log-level debug"]


@pytest.mark.parametrize("change", CHANGES)
def test_who_may(proxy, change):
    """By TCP nothing can be changed without a token, nor with a viewer's, but with one of the right role."""
    url = ("--url", f"http://127.0.0.1:{proxy.admin_port}")
    done = run(*change.split(), *url)
    assert done.returncode == 77 and done.stdout == "" and "needs the role" in done.stderr
    made = run("token", "create", "--role", "viewer", "--config", proxy.config)
    done = run(*change.split(), "--config", proxy.config, WAYPOST_TOKEN=made.stdout.strip())
    assert done.returncode == 77 and "needs the role" in done.stderr


def test_a_token_counts(proxy):
    token = proxy.dir / "secret"
    token.write_text(run("token", "create", "--role", "operator", "--name", "ann", "--config", proxy.config).stdout)
    assert tell(proxy, "resume", "--token-file", token) == "not paused\n"
    assert run("reload", "--config", proxy.config, WAYPOST_TOKEN=token.read_text().strip()).returncode == 77


def test_trace(proxy):
    with proxy.connect(application_name="traced") as conn:
        ((session, *_),) = rows(tell(proxy, "sessions", "--application", "traced"))
        with subprocess.Popen([BINARY, "trace", session, "--for", "2s", "--config", str(proxy.config)], stdout=subprocess.PIPE, text=True) as traced:
            eventually(lambda: '"active":true' in proxy.get(f"/api/v1/sessions/{session}/trace")[1], what="it is followed")
            conn.rows("SELECT 'secret'")
            conn.rows("UPDATE probe_me SET t = t WHERE id = 1")
            lines = traced.stdout.read().splitlines()
            assert traced.wait(20) == 0
        assert len(lines) == 2 and "SELECT ?" in lines[0] and "secret" not in lines[0]
        assert "primary" in lines[1] and "pg0" in lines[1] and "server " in lines[1] and "1 rows" in lines[1]
        with subprocess.Popen([BINARY, "trace", session, "--json", "--for", "60s", "--config", str(proxy.config)], stdout=subprocess.PIPE,
                              text=True) as traced:  # fmt: skip
            eventually(lambda: '"active":true' in proxy.get(f"/api/v1/sessions/{session}/trace")[1], what="it is followed")
            conn.rows("SELECT 2")
            assert json.loads(traced.stdout.readline())["rows"] == 1
            tell(proxy, "kill", session)  # its end ends it
            assert traced.wait(20) == 0
    assert run("trace", "0-999999", "--config", proxy.config).returncode == 1
    for time in ("0s", "11m", "1500ms", "x"):
        assert run("trace", session, "--for", time, "--config", proxy.config).returncode in (1, 64), time


def test_upgrade(make_waypost):
    """The process that answers on the socket is told, and only if it is Waypost; what becomes of it is said."""
    proxy = make_waypost(sections=SECTIONS)
    good = proxy.config.read_text()
    proxy.config.write_text(good + "\n[nonsense]\n")
    done = run("upgrade", "--config", proxy.config)
    assert done.returncode == 1 and f"process {proxy.process.pid} goes on: " in done.stderr, done
    proxy.config.write_text(good)
    with proxy.connect() as conn:
        said = tell(proxy, "upgrade")
        new, old = map(int, re.fullmatch(r"process (\d+) has taken the place of (\d+)\n", said).groups())
        assert old == proxy.process.pid != new
        old, proxy.process = proxy.process, Process(new)
        assert old.wait(40) == 0 and conn.value("SELECT 1") == "1"
    assert run("upgrade", "--url", f"http://127.0.0.1:{proxy.admin_port}").returncode == 64


def test_upgrade_signals_nobody_else(tmp_path):
    """Who does not answer as Waypost does gets no signal, which would end him."""
    path = tmp_path / "other.sock"
    server = textwrap.dedent("""
        import http.server, socketserver, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200); self.end_headers(); self.wfile.write(b'{"events": 7}')
            def address_string(self): return "unix"
            def log_message(self, *_): pass
        class Server(socketserver.UnixStreamServer): pass
        server = Server(sys.argv[1], Handler); print("ready", flush=True); server.serve_forever()
    """)
    with subprocess.Popen([sys.executable, "-c", server, str(path)], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        done = run("upgrade", "--socket", path)
        assert done.returncode == 1 and "it is not Waypost" in done.stderr, done
        assert other.poll() is None
        other.terminate()


def complete(*words):
    script = f'source {ROOT}/deploy/completions/waypost; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _waypost "{BINARY}"; echo "${{COMPREPLY[*]}}"'
    return subprocess.run(["bash", "-c", script, "_", *words], capture_output=True, text=True, timeout=30, check=True).stdout.split()


def test_completion():
    commands = complete("waypost", "")
    assert {"check", "status", "drain", "log-level"} <= set(commands) and not any(word.startswith("-") for word in commands)
    assert complete("waypost", "--config", "/x", "serv") == ["servers"]
    assert "--deadline" in complete("waypost", "drain", "pg1", "--")
    assert complete("waypost", "token", "") == ["create"]
    # The man page and the documentation have each of them.
    man = (ROOT / "deploy/waypost.1").read_text()
    docs = (ROOT / "docs/operations.md").read_text()
    for command in set(commands) - {"check", "route", "accept", "token"}:
        assert re.search(rf"^\.B[IR]* {command.replace('-', '.*-')}\b", man, re.MULTILINE), command
        assert re.search(rf"^\| `{command}\b", docs, re.MULTILINE), command


def test_nobody_there(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    done = run("status", "--url", url)
    assert done.returncode == 69 and url in done.stderr and done.stdout == ""
    done = run("status", "--socket", tmp_path / "nobody.sock")
    assert done.returncode == 69 and "nobody.sock" in done.stderr
