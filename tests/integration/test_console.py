"""PgBouncer's console: what monitors ask, in the simple and the extended protocol, and who may do what."""

import concurrent.futures
import contextlib
import json
import os
import subprocess
import urllib.request

import psycopg
import pytest
from waypost import BINARY, Waypost, eventually, free_port

pytestmark = pytest.mark.proxy

USERS = [{"name": name, "password": name} for name in ("openfire", "chief", "watcher")]
ADMIN = {"admin": {"console_admins": ["chief"], "console_viewers": "watcher"}}
# Of Telegraf, Datadog, pgMonitor and Debian's prometheus-pgbouncer-exporter.
ASKED = ("VERSION", "STATS", "POOLS", "DATABASES", "CLIENTS", "SERVERS", "CONFIG", "LISTS", "USERS", "STATS_TOTALS", "STATS_AVERAGES",
         "TOTALS", "MEM", "STATE", "DNS_HOSTS", "SOCKETS", "FDS", "ROUTES", "DIGESTS", "FENCE", "PINS")


@pytest.fixture
def proxy(make_waypost):
    return make_waypost(sections=ADMIN, users=USERS, wait_for_split=True)


def console(proxy, user="chief", database="pgbouncer", **more):
    return psycopg.connect(f"host=127.0.0.1 port={proxy.port} user={user} password={user} dbname={database}", autocommit=True, **more)


def rows(connection, sql, **more):
    cursor = connection.execute(sql, **more)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.parametrize("database", ["pgbouncer", "waypost"])
@pytest.mark.parametrize("prepare", [False, True], ids=["extended", "prepared"])
def test_all_that_is_asked(proxy, database, prepare):
    with console(proxy, "watcher", database) as watcher:
        for what in ASKED:
            assert watcher.execute(f"SHOW {what}", prepare=prepare).description, what
        with watcher.cursor(binary=True) as cursor:
            (pool,) = [row for row in cursor.execute("SHOW LISTS").fetchall() if row[0] == "databases"]
            assert pool[1] >= 1


def test_psql_asks_in_the_simple_protocol(proxy):
    environment = {**os.environ, "PGPASSWORD": "watcher"}
    for sql in [f"show {what.lower()};" for what in ASKED] + ["SHOW HELP"]:
        done = subprocess.run(
            ["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(proxy.port), "-U", "watcher", "pgbouncer", "-c", sql],
            capture_output=True, text=True, timeout=60, env=environment, check=False)  # fmt: skip
        assert done.returncode == 0, (sql, done.stderr)
    assert "SHOW POOLS" in done.stderr


@pytest.mark.long
def test_debians_exporter_reads_it(proxy, tmp_path):
    """prometheus-pgbouncer-exporter, which deploy/install.sh drivers installs, serves what SHOW says."""
    port, program = free_port(), "prometheus-pgbouncer-exporter"
    told = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=30, check=False)
    if "--pgBouncer.connectionString" in told.stdout + told.stderr:  # Debian 13's, which is another program
        command = [program, f"--web.listen-address=127.0.0.1:{port}",
                   f"--pgBouncer.connectionString=postgres://watcher:watcher@127.0.0.1:{proxy.port}/pgbouncer?sslmode=disable"]  # fmt: skip
        expected = ("pgbouncer_up 1", "pgbouncer_databases 2", 'pgbouncer_stats_sql_transactions_pooled_total{database="openfire"}')
        served_client = 'pgbouncer_pools_client_active_connections{database="openfire",user="openfire"} 1'
    else:
        command = [program, "--host", "127.0.0.1", "--port", str(port), "--pgbouncer-host", "127.0.0.1", "--pgbouncer-port", str(proxy.port),
                   "--pgbouncer-user", "watcher"]  # fmt: skip
        expected = ("pgbouncer_databases 2.0", 'pgbouncer_requests_total{database="openfire"}')
        served_client = 'pgbouncer_active_clients{database="openfire",user="openfire"} 1.0'

    def serves(*texts):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
            found = reply.read().decode()
            (tmp_path / "metrics").write_text(found)
            return all(text in found for text in texts)
        return False

    with open(tmp_path / "log", "w") as log, subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PGPASSWORD": "watcher"}) as exporter:
        try:
            eventually(lambda: serves(*expected), 30, f"metrics of the exporter, as in {tmp_path}")
            with proxy.connect() as conn:
                conn.rows("BEGIN")
                conn.rows("DELETE FROM probe_me WHERE false")
                eventually(lambda: serves(served_client), what=f"a client that is served, as in {tmp_path}")
        finally:
            exporter.terminate()


def test_psql_gives_commands(proxy):
    for sql, tag in (("PAUSE;", "PAUSE"), ("resume", "RESUME"), ("Disable x", "DISABLE"), ("ENABLE x;", "ENABLE"), ("RECONNECT", "RECONNECT"),
                     ("WAIT_CLOSE", "WAIT_CLOSE"), ("RELOAD", "RELOAD")):  # fmt: skip
        done = subprocess.run(
            ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(proxy.port), "-U", "chief", "pgbouncer", "-c", sql],
            capture_output=True, text=True, timeout=60, env={**os.environ, "PGPASSWORD": "chief"}, check=False)  # fmt: skip
        assert (done.returncode, done.stdout.strip()) == (0, tag), done.stderr


def test_counts_are_of_what_clients_did(proxy):
    with console(proxy, "openfire", "openfire") as client, console(proxy) as chief:
        before = next(iter(r for r in rows(chief, "SHOW STATS") if r["database"] == "openfire"))
        client.execute("SELECT 1")
        client.execute("BEGIN; SELECT 2; COMMIT")
        after = next(iter(r for r in rows(chief, "SHOW STATS") if r["database"] == "openfire"))
        assert after["total_query_count"] - before["total_query_count"] == 2
        assert after["total_xact_count"] - before["total_xact_count"] == 2
        assert after["total_received"] > before["total_received"] and after["total_query_time"] > before["total_query_time"]
        (pool,) = (r for r in rows(chief, "SHOW POOLS") if r["user"] == "openfire")
        assert pool["cl_active"] == 1 and pool["cl_waiting"] == 0 and pool["sv_active"] == 0 and pool["sv_idle"] >= 1
        (mine,) = (r for r in rows(chief, "SHOW CLIENTS") if r["user"] == "openfire")
        assert mine["state"] == "active" and mine["addr"] == "127.0.0.1" and mine["port"] > 0
        assert any(r["database"] == "openfire" and r["remote_pid"] > 0 for r in rows(chief, "SHOW SERVERS"))
        assert any(r["target"] == "replica" for r in rows(chief, "SHOW ROUTES"))


def test_who_may_do_what(proxy):
    with console(proxy, "watcher") as watcher:
        for sql in ("RELOAD", "KILL_CLIENT 1", "RECONNECT", "SHUTDOWN", "SHUTDOWN WAIT_FOR_CLIENTS", "PAUSE", "PAUSE openfire", "RESUME",
                    "RESUME openfire", "DISABLE openfire", "ENABLE openfire", "KILL", "KILL openfire", "WAIT_CLOSE", "WAIT_CLOSE openfire"):
            with pytest.raises(psycopg.Error, match="admin access needed") as refused:
                watcher.execute(sql)
            assert refused.value.sqlstate == "08P01"
        with pytest.raises(psycopg.Error, match="invalid command 'nonsense', use SHOW HELP"):
            watcher.execute("nonsense")
        with pytest.raises(psycopg.Error, match="waypost upgrade"):
            watcher.execute("SUSPEND")
        assert dict(watcher.execute("SHOW STATE").fetchall())["paused"] == "no"
    with pytest.raises(psycopg.Error, match='database "pgbouncer" does not exist'):
        console(proxy, "openfire")


def test_commands(proxy):
    with console(proxy, "openfire", "openfire") as client, console(proxy) as chief:
        client.execute("SELECT 1")
        (mine,) = (r for r in rows(chief, "SHOW CLIENTS") if r["user"] == "openfire")
        assert chief.execute(f"KILL_CLIENT {mine['id']}").statusmessage == "KILL_CLIENT"
        eventually(lambda: not [r for r in rows(chief, "SHOW CLIENTS") if r["user"] == "openfire"], what="the client is gone")
        with pytest.raises(psycopg.Error, match="client not found"):
            chief.execute(f"KILL_CLIENT {mine['id']}")
        assert chief.execute("RECONNECT openfire").statusmessage == "RECONNECT"
        eventually(lambda: not [r for r in rows(chief, "SHOW SERVERS") if r["database"] == "openfire"], what="no connection is left")
        assert chief.execute("RELOAD").statusmessage == "RELOAD"
        eventually(lambda: "reloaded" in proxy.log(), what="reloaded")


def client(proxy):
    return console(proxy, "openfire", "openfire")


def in_background(call, *arguments):
    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(call, *arguments)
    pool.shutdown(wait=False)
    return future


@pytest.mark.parametrize("database", ["", " openfire"], ids=["all", "one"])
def test_a_pause_holds_what_begins_and_waits_for_what_runs(proxy, database):
    with client(proxy) as busy, client(proxy) as other, console(proxy) as chief, console(proxy) as second:
        busy.execute("BEGIN")
        busy.execute("SELECT 1")
        paused = in_background(chief.execute, "PAUSE" + database)
        eventually(lambda: "pause of" in proxy.log(), what="the pause has begun")
        held = in_background(other.execute, "SELECT 2")
        eventually(lambda: [r for r in rows(second, "SHOW CLIENTS") if r["user"] == "openfire" and r["state"] == "waiting"], what="it is held")
        assert not paused.done()  # a block is under way
        busy.execute("SELECT 3")
        busy.execute("COMMIT")
        assert paused.result(20).statusmessage == "PAUSE"
        assert not [r for r in rows(second, "SHOW SERVERS") if r["database"] == "openfire"]
        if database:
            (one,) = (r for r in rows(second, "SHOW DATABASES") if r["name"] == "openfire")
            assert one["paused"] == 1
        else:
            assert dict(second.execute("SHOW STATE").fetchall())["paused"] == "yes"
            with pytest.raises(psycopg.Error, match="^already suspended/paused") as twice:
                second.execute("PAUSE")
            assert twice.value.sqlstate == "08P01"
        assert not held.done()
        assert chief.execute("RESUME" + database).statusmessage == "RESUME"
        assert held.result(20).fetchone() == (2,)
        with pytest.raises(psycopg.Error, match="database openfire is not paused" if database else "pooler is not paused/suspended"):
            chief.execute("RESUME" + database)
    eventually(lambda: proxy.log().count("admin_change") >= 2 and "via=console" in proxy.log(), what="who has done it is in the log")


def test_a_pause_of_one_database_leaves_the_others(proxy):
    with client(proxy) as one, console(proxy, "openfire", "postgres") as other, console(proxy) as chief:
        other.execute("SELECT 1")
        assert chief.execute("PAUSE openfire").statusmessage == "PAUSE"
        held = in_background(one.execute, "SELECT 2")
        assert other.execute("SELECT 3").fetchone() == (3,)
        assert not held.done()
        (gated,) = json.loads(proxy.get("/api/v1/cluster")[1])["databases"]
        assert gated["name"] == "openfire" and gated["held_until"] and not gated["disabled"]
        chief.execute("RESUME openfire")
        assert held.result(20).fetchone() == (2,)


def test_a_pause_that_is_cancelled_has_ended(proxy):
    with client(proxy) as busy, client(proxy) as other, console(proxy) as chief:
        busy.execute("BEGIN")
        busy.execute("SELECT 1")
        paused = in_background(chief.execute, "PAUSE openfire")
        held = in_background(other.execute, "SELECT 2")
        eventually(lambda: "pause of" in proxy.log(), what="the pause has begun")
        assert not paused.done()
        chief.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            paused.result(20)
        assert held.result(20).fetchone() == (2,)
        busy.execute("COMMIT")


def test_a_disabled_database_takes_no_new_clients(proxy):
    with client(proxy) as there, console(proxy) as chief:
        assert chief.execute("DISABLE openfire").statusmessage == "DISABLE"
        assert there.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match='database "openfire" is not currently accepting connections'):
            client(proxy)
        (one,) = (r for r in rows(chief, "SHOW DATABASES") if r["name"] == "openfire")
        assert one["disabled"] == 1
        assert chief.execute("ENABLE openfire").statusmessage == "ENABLE"
        with client(proxy) as again:
            assert again.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.Error, match="a database is required"):
            chief.execute("DISABLE")


@pytest.mark.parametrize("database", ["", " openfire"], ids=["all", "one"])
def test_kill_ends_clients_and_leaves_a_pause(proxy, database):
    with client(proxy) as one, client(proxy) as two, console(proxy) as chief, console(proxy, "watcher") as watcher:
        two.execute("BEGIN")
        two.execute("SELECT 1")
        assert chief.execute("KILL" + database).statusmessage == "KILL"
        for dead in (one, two):
            with pytest.raises(psycopg.OperationalError, match="terminating connection due to administrator command"):
                dead.execute("SELECT 1")
        assert watcher.execute("SHOW VERSION").fetchone()
        with client(proxy) as again:
            held = in_background(again.execute, "SELECT 2")
            eventually(lambda: [r for r in rows(chief, "SHOW CLIENTS") if r["state"] == "waiting"], what="it is held")
            chief.execute("RESUME" + database)
            assert held.result(20).fetchone() == (2,)


def test_wait_close_returns_when_the_old_connections_are_gone(proxy):
    with client(proxy) as busy, console(proxy) as chief:
        assert chief.execute("WAIT_CLOSE").statusmessage == "WAIT_CLOSE"
        busy.execute("BEGIN")
        busy.execute("SELECT 1")
        chief.execute("RECONNECT openfire")
        waits = in_background(chief.execute, "WAIT_CLOSE openfire")
        with pytest.raises(concurrent.futures.TimeoutError):
            waits.result(1)
        busy.execute("COMMIT")
        assert waits.result(20).statusmessage == "WAIT_CLOSE"


def test_the_consoles_own_databases_are_no_subject(proxy):
    with console(proxy) as chief:
        for verb, words in (("PAUSE", "pause"), ("KILL", "kill"), ("DISABLE", "disable"), ("ENABLE", "enable"), ("RECONNECT", "reconnect"),
                            ("WAIT_CLOSE", "wait in")):  # fmt: skip
            with pytest.raises(psycopg.Error, match=f"cannot {words} admin db: pgbouncer") as refused:
                chief.execute(f"{verb} pgbouncer")
            assert refused.value.sqlstate == "08P01"


def test_a_reload_that_fails_says_why(proxy):
    with open(proxy.config, encoding="utf-8") as file:
        good = file.read()
    with console(proxy) as chief:
        with open(proxy.config, "w", encoding="utf-8") as file:
            file.write(good + "\n[nonsense]\nx = 1\n")
        with pytest.raises(psycopg.Error, match="RELOAD failed, see logs") as failed:
            chief.execute("RELOAD")
        assert failed.value.sqlstate == "F0000" and "nonsense" in failed.value.diag.message_detail
        with open(proxy.config, "w", encoding="utf-8") as file:
            file.write(good)
        assert chief.execute("RELOAD").statusmessage == "RELOAD"


def test_a_driver_in_a_block(proxy):
    with psycopg.connect(f"host=127.0.0.1 port={proxy.port} user=watcher password=watcher dbname=pgbouncer") as watcher:
        assert watcher.execute("SHOW VERSION").fetchone()[0].startswith("PgBouncer 1.25")
        watcher.commit()


def test_a_console_user_must_be_a_user(cluster):
    whole = Waypost(cluster, sections={"admin": {"console_admins": ["nobody"]}})
    whole.write_config()
    done = subprocess.run([BINARY, "check", "--config", whole.config], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78 and 'console_admins: found "nobody", expected the name of a [[user]]' in done.stderr
    whole.close()
