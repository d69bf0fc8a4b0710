"""The admin API that changes things: who may, draining, pausing, reloading, and what is told of it."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import threading
import time

import pytest
import wire
from cluster import REPLICAS, new_marker
from waypost import BINARY, eventually

pytestmark = pytest.mark.proxy


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def ask(proxy, method, path, body=None, token=None, headers=None, unix=False):
    """(status, what the answer holds, its headers)."""
    conn = Unix(proxy.dir / "admin.sock") if unix else http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=10)
    with contextlib.closing(conn):
        head = {"Accept": "application/json", **({} if body is None else {"Content-Type": "application/json"}), **({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        conn.request(method, path, None if body is None else json.dumps(body), head)
        reply = conn.getresponse()
        text = reply.read().decode()
        return reply.status, json.loads(text) if text.startswith(("{", "[")) else text, reply.headers


def create(proxy, role):
    made = subprocess.run(
        [BINARY, "token", "create", "--role", role, "--name", f"a-{role}", "--config", proxy.config], capture_output=True, text=True, timeout=30
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


ADMIN = {"admin": {"tokens_file": "tokens", "socket": "admin.sock"}, "cluster": {"state_file": "state"}}


@pytest.fixture(scope="module")
def proxy(cluster):
    import waypost as waypost_process

    with waypost_process.running(cluster, sections=ADMIN, raw='\n[[rule]]\nname = "r1"\ntable = "probe_me"\nroute = "primary"\nuser = "nobody"\n') as made:
        yield made


@pytest.fixture(scope="module")
def tokens(proxy):
    return {role: create(proxy, role) for role in ("viewer", "operator", "admin")}


def test_who_may(proxy, tokens):
    assert ask(proxy, "GET", "/api/v1/me")[1] == {"role": "viewer", "name": "", "via": "loopback"}
    assert ask(proxy, "GET", "/api/v1/me", unix=True)[1]["role"] == "admin"
    for role, token in tokens.items():
        assert ask(proxy, "GET", "/api/v1/me", token=token)[1] == {"role": role, "name": f"a-{role}", "via": "token"}
    status, problem, headers = ask(proxy, "POST", "/api/v1/cluster/resume", {})
    assert status == 401 and headers["WWW-Authenticate"] == "Bearer" and "operator" in problem["detail"]
    assert ask(proxy, "POST", "/api/v1/cluster/resume", {}, tokens["viewer"])[0] == 403
    assert ask(proxy, "POST", "/api/v1/cluster/resume", {}, tokens["operator"])[0] == 200
    assert ask(proxy, "GET", "/api/v1/config", token=tokens["operator"])[0] == 403
    assert (os.stat(proxy.dir / "tokens").st_mode & 0o777) == 0o600
    assert not any(token in (proxy.dir / "tokens").read_text() for token in tokens.values())


def test_a_browser_logs_in_and_out(proxy, tokens):
    own = {"X-Waypost": "1"}
    # What a foreign page can send from an administrator's browser locks nobody out.
    foreign = {"Origin": "http://evil.example"}
    assert {ask(proxy, "POST", "/api/v1/login", {"token": "no"}, headers=foreign)[0] for _ in range(8)} == {403}
    assert {ask(proxy, "POST", "/api/v1/login", {"token": "no"}, headers={**foreign, "Content-Type": "text/plain"})[0] for _ in range(8)} == {415}
    assert ask(proxy, "POST", "/api/v1/login", {"token": "no"}, headers=own)[0] == 401
    status, _, headers = ask(proxy, "POST", "/api/v1/login", {"token": tokens["operator"]}, headers=own)
    cookie = headers["Set-Cookie"]
    assert status == 204 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    mine = {"Cookie": cookie.split(";")[0]}
    assert ask(proxy, "GET", "/api/v1/me", headers=mine)[1]["via"] == "session"
    assert ask(proxy, "POST", "/api/v1/cluster/resume", {}, headers=mine)[0] == 403
    assert ask(proxy, "POST", "/api/v1/cluster/resume", {}, headers={**mine, "X-Waypost": "1"})[0] == 200
    assert ask(proxy, "POST", "/api/v1/logout", {}, headers=mine)[0] == 204
    assert ask(proxy, "GET", "/api/v1/me", headers=mine)[1]["via"] == "loopback"


def server(proxy, name):
    return next(s for s in ask(proxy, "GET", "/api/v1/servers")[1]["servers"] if s["name"] == name)


def read_by(cluster, conn):
    """The server on which a read by `conn` ran."""
    marker = new_marker()
    conn.rows(f"SELECT count(*) FROM probe_me /* {marker} */")
    return cluster.where(marker)


def where(cluster, proxy):
    with proxy.connect() as conn:
        return read_by(cluster, conn)


def test_draining_a_replica(cluster, proxy, tokens):
    """Blocks go on, nothing new begins there, idle connections close; over a restart too; and back."""
    with proxy.connect() as conn:
        conn.rows("BEGIN READ ONLY")
        name = read_by(cluster, conn)
        assert name in REPLICAS
        status, answer, _ = ask(proxy, "PATCH", f"/api/v1/servers/{name}", {"intent": "drain"}, tokens["operator"])
        assert status == 200 and answer["intent"] == "drain" and answer["draining"]["deadline"] is None
        assert read_by(cluster, conn) == name
        conn.rows("COMMIT")
    why = server(proxy, name)["why_not"]
    assert {reason for by in why.values() for reason in by.values()} == {"drained by the operator"}
    assert all(where(cluster, proxy) != name for _ in range(4))
    eventually(lambda: server(proxy, name)["draining"]["left"] == 0, what="no connection left")
    proxy.counted(1, "waypost_server_intent", server=name, intent="drain")
    assert proxy.stop() == 0
    proxy.spawn()
    eventually(proxy.ready, 30, "ready")
    assert server(proxy, name)["intent"] == "drain"
    assert ask(proxy, "PATCH", f"/api/v1/servers/{name}", {"intent": "active"}, tokens["operator"])[0] == 200
    eventually(lambda: server(proxy, name)["eligible"], what="read from again")
    proxy.logged(f'what="server {name}" before="drain weight 1" after="active weight 1"')


def test_a_deadline_moves_what_still_runs(cluster, proxy, tokens):
    with proxy.connect() as conn:
        conn.rows("BEGIN READ ONLY")
        name = read_by(cluster, conn)
        body = {"intent": "maintenance", "deadline_s": 1}
        assert ask(proxy, "PATCH", f"/api/v1/servers/{name}", body, tokens["operator"])[1]["draining"]["deadline"]
        events = lambda: ask(proxy, "GET", "/api/v1/events")[1]["events"]  # noqa: E731
        eventually(lambda: any(e["kind"] == "drain_deadline" and e["server"] == name for e in events()), 10, "the deadline")
        eventually(lambda: server(proxy, name)["draining"]["left"] == 0, 10, "nothing left")
        assert read_by(cluster, conn) != name, "the block goes on elsewhere"
    assert ask(proxy, "PATCH", f"/api/v1/servers/{name}", {"intent": "active"}, tokens["operator"])[0] == 200


@pytest.mark.parametrize(
    ("name", "body", "status", "detail"),
    [
        ("pg0", {"intent": "drain"}, 409, "promote another server first"),
        ("pg9", {"intent": "drain"}, 404, "no server called"),
        ("pg1", {"intent": "off"}, 400, '"maintenance"'),
        ("pg1", {"intent": "drain", "x": 1}, 400, 'unknown member "x"'),
        ("pg1", {}, 400, 'expected "intent" or "weight"'),
        ("pg1", {"weight": -1}, 400, "from 0 to"),
        ("pg1", {"intent": "active", "deadline_s": 4}, 400, "goes with"),
    ],
)
def test_what_cannot_be_done_is_said(proxy, tokens, name, body, status, detail):
    got, problem, _ = ask(proxy, "PATCH", f"/api/v1/servers/{name}", body, tokens["operator"])
    assert got == status and detail in problem["detail"]


@pytest.mark.parametrize("what", ["writes", "all"])
def test_a_pause_holds_and_lets_go(cluster, proxy, tokens, what):
    done = []

    def run(sql):
        with proxy.connect() as conn:
            conn.rows(sql)
            done.append(sql)

    write, read = "DELETE FROM probe_me WHERE false", "SELECT count(*) FROM probe_me"
    with proxy.connect() as conn:
        conn.rows("BEGIN")
        conn.rows(write)
        status, answer, _ = ask(proxy, "POST", "/api/v1/cluster/pause", {"what": what, "limit_s": 30}, tokens["operator"])
        assert status == 200 and answer["paused"]["what"] == what
        conn.rows(write)  # what has begun goes on
        conn.rows("COMMIT")
    counted = {target: proxy.metric("waypost_queries_total", target=target) for target in ("primary", "replica")}
    threads = [threading.Thread(target=run, args=(sql,)) for sql in (write, f"BEGIN; {write}; COMMIT", read)]
    for thread in threads:
        thread.start()
    held = 3 if what == "all" else 2
    eventually(lambda: proxy.metric("waypost_held_statements") == held, what="held")
    if what == "writes":
        eventually(lambda: done == [read], what="reads go on")
    proxy.counted(1, "waypost_paused", what=what)
    assert f"paused: {what}" in proxy.get("/readyz?verbose")[1]
    assert ask(proxy, "POST", "/api/v1/cluster/resume", {}, tokens["operator"])[1]["paused"] is None
    for thread in threads:
        thread.join(10)
    assert len(done) == 3
    proxy.counted(0, "waypost_held_statements")
    if what == "all":  # the read ran on the primary, too, and is counted there
        proxy.counted(counted["primary"] + 3, "waypost_queries_total", target="primary")
        proxy.counted(counted["replica"], "waypost_queries_total", target="replica")


def test_a_pause_of_writes_holds_a_block_that_begins_with_a_read(proxy, tokens):
    """Behind the read the block may write."""
    assert ask(proxy, "POST", "/api/v1/cluster/pause", {"what": "writes", "limit_s": 60}, tokens["operator"])[0] == 200
    try:
        with proxy.connect() as conn:
            conn.rows("BEGIN")
            reading = threading.Thread(target=conn.rows, args=("SELECT count(*) FROM probe_me",))
            reading.start()
            eventually(lambda: proxy.metric("waypost_held_statements") == 1, what="held")
            assert ask(proxy, "POST", "/api/v1/cluster/resume", {}, tokens["operator"])[0] == 200
            reading.join(30)
            assert not reading.is_alive()
            conn.rows("COMMIT")
    finally:
        ask(proxy, "POST", "/api/v1/cluster/resume", {}, tokens["operator"])


def test_a_pause_ends_by_itself(proxy, tokens):
    assert ask(proxy, "POST", "/api/v1/cluster/pause", {"what": "all", "limit_s": 1}, tokens["operator"])[0] == 200
    with proxy.connect() as conn:
        began = time.monotonic()
        assert conn.value("SELECT 1") == "1"
        assert 0.3 < time.monotonic() - began < 5
    eventually(lambda: ask(proxy, "GET", "/api/v1/cluster")[1]["paused"] is None, what="resumed")


def test_reload_config_log_rules_digests(proxy, tokens):
    admin = tokens["admin"]
    values = {v["key"]: v for v in ask(proxy, "GET", "/api/v1/config", token=admin)[1]["values"]}
    assert values["user.openfire.password"]["value"] == "***" and values["pool.max_size"]["source"] == "default"
    assert values["cluster.state_file"]["source"].startswith(f"{proxy.config}:")
    text = proxy.config.read_text()
    proxy.config.write_text(text.replace("[admin]", "[digests]\nmax = 77\n[admin]").replace(f"port = {proxy.port}", f"port = {proxy.port}\nmax_clients = 777"))
    changed = {c["key"]: c for c in ask(proxy, "POST", "/api/v1/reload", {"dry_run": True}, admin)[1]["changed"]}
    assert changed["digests.max"] == {"key": "digests.max", "before": 1000, "after": 77} and changed["listen.max_clients"] == {"key": "listen.max_clients", "before": 10000, "after": 777}
    proxy.counted(10000, "waypost_client_connections_max")
    assert ask(proxy, "POST", "/api/v1/reload", {}, admin)[1]["applied"] is True
    proxy.logged("what=configuration", 'after="2 keys changed: digests.max, listen.max_clients"')
    proxy.counted(777, "waypost_client_connections_max")
    proxy.config.write_text("nonsense = 1\n" + text)
    status, problem, _ = ask(proxy, "POST", "/api/v1/reload", {}, admin)
    assert status == 422 and "nonsense" in problem["detail"]
    proxy.config.write_text(text)
    assert ask(proxy, "POST", "/api/v1/reload", {}, admin)[0] == 200

    assert ask(proxy, "PUT", "/api/v1/log", {"level": "debug"}, admin)[1] == {"level": "debug"}
    assert ask(proxy, "PUT", "/api/v1/log", {"level": "loud"}, admin)[0] == 400
    assert ask(proxy, "PUT", "/api/v1/log", {"level": "info"}, admin)[1] == {"level": "info"}
    rules = ask(proxy, "GET", "/api/v1/rules")[1]["rules"]
    assert [(r["name"], r["matches"], r["target"]) for r in rules] == [("r1", 0, "primary")]
    assert ask(proxy, "DELETE", "/api/v1/digests", token=tokens["operator"])[0] == 204
    eventually(lambda: ask(proxy, "GET", "/api/v1/digests")[1]["known"] == 0, what="no digests")


def test_sessions_are_listed_cancelled_and_ended(proxy, tokens):
    operator = tokens["operator"]
    with proxy.connect(application_name="mine") as conn:
        conn.rows("BEGIN")
        conn.rows("CREATE TEMP TABLE mine (a int) ON COMMIT DROP")
        listed = ask(proxy, "GET", "/api/v1/sessions?application_name=mine&pinned=true")[1]
        assert listed["total"] == 0 or listed["sessions"][0]["pin"]
        (session,) = ask(proxy, "GET", "/api/v1/sessions?application_name=mine")[1]["sessions"]
        assert session["state"] == "idle in transaction" and session["server"] == "pg0" and session["user"] == "openfire"
        path = "/api/v1/sessions/" + session["id"]
        full = ask(proxy, "GET", path)[1]
        assert full["prepared"] == 0 and full["settings"] is not None and full["cancel_pid"] == conn.pid
        conn.rows("COMMIT")
        caught = []

        def sleep():
            conn.send(wire.query("SELECT pg_sleep(60)"))
            caught.extend(conn.until())

        thread = threading.Thread(target=sleep)
        thread.start()
        eventually(lambda: ask(proxy, "GET", path)[1]["state"] == "active", what="it runs")
        assert ask(proxy, "POST", path + "/cancel", token=operator)[0] == 204
        thread.join(10)
        assert any(wire.error_fields(body).get("C") == "57014" for kind, body in caught if kind == "E")
        pools = ask(proxy, "GET", "/api/v1/pools")[1]["pools"]
        assert any(p["server"] == "pg0" and p["user"] == "openfire" and p["role"] == "primary" for p in pools)
        assert ask(proxy, "DELETE", path, token=tokens["viewer"])[0] == 403
        assert ask(proxy, "DELETE", path, token=operator)[0] == 204
        eventually(lambda: ask(proxy, "GET", path)[0] == 404, what="it is gone")
    assert ask(proxy, "GET", "/api/v1/sessions?state=asleep")[0] == 400
    assert ask(proxy, "DELETE", "/api/v1/sessions/x", token=operator)[0] == 404


def test_a_session_is_followed(proxy, tokens):
    operator = tokens["operator"]
    with proxy.connect(application_name="followed") as conn, proxy.connect(application_name="other") as other:
        (session,) = ask(proxy, "GET", "/api/v1/sessions?application_name=followed")[1]["sessions"]
        path = f"/api/v1/sessions/{session['id']}/trace"
        assert ask(proxy, "GET", path)[0] == 404
        assert ask(proxy, "POST", path, {"for_s": 60}, tokens["viewer"])[0] == 403
        for wrong in ({"for_s": 0}, {"for_s": 601}, {"for_s": "1"}, {"seconds": 1}):
            assert ask(proxy, "POST", path, wrong, operator)[0] == 400, wrong
        status, begun, *_ = ask(proxy, "POST", path, {"for_s": 60}, operator)
        assert status == 200 and begun["active"] and begun["statements"] == [] and begun["last"] == 0
        conn.rows("SELECT count(*) FROM probe_me WHERE t = 'secret'")
        other.rows("SELECT 'not followed'")
        conn.rows("INSERT INTO probe_me VALUES (9999, 'secret')")
        conn.rows("DELETE FROM probe_me WHERE id = 9999")
        conn.send(wire.query("SELECT 1 / 0"))
        conn.until()
        told = ask(proxy, "GET", path)[1]
        read, written, deleted, failed = told["statements"]
        assert [one["id"] for one in told["statements"]] == [1, 2, 3, 4] and told["last"] == 4 and told["lost"] == 0
        assert read["target"] == "replica" and read["rows"] == 1 and read["statement"].startswith("SELECT count(*) FROM probe_me WHERE t = ?")
        assert written["target"] == "primary" and written["server"] == "pg0" and written["reason"] and deleted["rows"] == 1
        assert failed["sqlstate"] == "22012"
        assert all(one["took_ms"] >= one["server_ms"] > 0 for one in (read, written)) and "secret" not in str(told)
        assert [one["id"] for one in ask(proxy, "GET", path + "?since=1&limit=2")[1]["statements"]] == [2, 3]
        assert ask(proxy, "GET", path + "?since=x")[0] == 400
        assert ask(proxy, "DELETE", path, token=tokens["viewer"])[0] == 403
        assert ask(proxy, "DELETE", path, token=operator)[0] == 204
        assert ask(proxy, "GET", path)[0] == 404
        # Its end ends it; what was told can be read for a while.
        ask(proxy, "POST", path, {"for_s": 600}, operator)
        conn.rows("SELECT 1")
    eventually(lambda: not ask(proxy, "GET", path)[1]["active"], what="it has ended")
    assert len(ask(proxy, "GET", path)[1]["statements"]) == 1
    assert ask(proxy, "POST", path, {}, operator)[0] == 404
    assert ask(proxy, "POST", "/api/v1/sessions/x/trace", {}, operator)[0] == 404


def test_events_are_listed_and_streamed(proxy, tokens):
    with socket.create_connection(("127.0.0.1", proxy.admin_port), timeout=10) as sock:
        sock.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        assert b"text/event-stream" in head
        assert ask(proxy, "PATCH", "/api/v1/servers/pg1", {"weight": 2}, tokens["operator"])[1]["weight"] == 2
        assert ask(proxy, "PATCH", "/api/v1/servers/pg1", {"weight": 1}, tokens["operator"])[0] == 200
        data = head.split(b"\r\n\r\n", 1)[1]
        while data.count(b"event: change\n") < 2:
            part = sock.recv(4096)
            assert part, data
            data += part
        assert b'"text":"server pg1: active weight 1 -> active weight 2 (a-operator)"' in data
    for wrong in ("since=x", "limit=0", "other=1"):
        status, problem, _ = ask(proxy, "GET", f"/api/v1/events?{wrong}", headers={"Accept": "text/event-stream"})
        assert status == 400 and "expected" in problem["detail"], problem
    events = ask(proxy, "GET", "/api/v1/events?limit=2")[1]
    assert [e["kind"] for e in events["events"]] == ["change", "change"] and events["last"] == events["events"][-1]["id"]
    assert ask(proxy, "GET", f"/api/v1/events?since={events['last'] - 1}")[1]["events"] == events["events"][1:]
    assert ask(proxy, "GET", "/api/v1/events?limit=0")[0] == 400
