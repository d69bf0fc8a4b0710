"""The log: JSON, files that are moved away, disks that are full, readers that are gone; and the log of statements."""

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest
import wire
from cluster import REPLICAS
from waypost import BINARY, eventually

pytestmark = pytest.mark.proxy


def lines(text, event):
    """The lines of an event in a log that is JSON; each line must be."""
    return [line for line in map(json.loads, text.splitlines()) if line["event"] == event]


def test_json_names_who_and_where(make_waypost):
    made = make_waypost(sections={"log": {"format": "json", "level": "debug"}})
    with pytest.raises(wire.ServerError):
        made.connect("nobody\n\"ü\"", "x")
    with made.connect(application_name="app 1"):
        came = eventually(lambda: lines(made.log(), "client_connected"), what="the line")[-1]
    refused = eventually(lambda: lines(made.log(), "client_refused"), what="the line")[-1]
    assert refused["client"].startswith("127.0.0.1:")
    assert refused["user"] == "nobody\n\"ü\"" and refused["sqlstate"] == "28P01" and refused["level"] == "info"
    assert came["user"] == came["database"] == "openfire" and came["application_name"] == "app 1"
    assert came["client"].startswith("127.0.0.1:")
    for line in (refused, came):
        worker, number = line["session"].split("-")
        assert worker.isdigit() and number.isdigit() and line["time"].endswith("Z")
    assert came["session"] != refused["session"]
    assert lines(made.logged("started"), "started")[0]["port"] == made.port


def test_who_was_refused_is_told_at_the_usual_level(make_waypost):
    made = make_waypost()
    with pytest.raises(wire.ServerError):
        made.connect("nobody", "x")
    assert " client=127.0.0.1:" in eventually(lambda: "client_refused" in made.log() and made.log(), what="the line").split("client_refused")[1]


def test_sighup_opens_the_file_again(make_waypost, tmp_path):
    file, moved = tmp_path / "waypost.log", tmp_path / "waypost.log.1"
    made = make_waypost(sections={"log": {"file": str(file)}})
    eventually(lambda: "started" in file.read_text(), what="the first line")
    assert not made.log() and file.stat().st_mode & 0o777 == 0o640
    file.rename(moved)
    made.hangup()
    eventually(lambda: file.exists() and "reloaded" in file.read_text(), what="the new file")
    assert "started" in moved.read_text() and "started" not in file.read_text()
    made.sections["log"]["file"] = str(tmp_path / "none" / "waypost.log")
    made.write_config()
    made.hangup()
    eventually(lambda: "log_not_opened" in file.read_text(), what="the fault, in the log as it was")


def test_a_full_disk_costs_lines_and_nothing_else(make_waypost):
    made = make_waypost(sections={"log": {"file": "/dev/full", "queries": "all"}})
    with made.connect() as conn:
        for number in range(20):
            assert conn.value(f"SELECT {number}") == str(number)
    eventually(lambda: made.metric("waypost_log_lines_lost_total", cause="write") >= 20, what="lines counted")
    made.sections["log"]["file"] = str(made.dir / "log")
    made.write_config()
    made.hangup()
    file = made.dir / "log"
    eventually(lambda: file.exists() and "log_lost lines=" in file.read_text(), what="what was lost is told")


@contextlib.contextmanager
def logging_into(made, pipe):
    """A Waypost whose standard error is a pipe."""
    made.write_config()
    made.process = subprocess.Popen([BINARY, "--config", made.config], stdout=pipe, stderr=pipe)
    os.close(pipe)
    try:
        eventually(made.ready, 30, "ready")
        yield
    finally:
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(30) == 0
        made.process = None


@pytest.mark.parametrize("reader", ["gone", "asleep"])
def test_who_reads_the_log_keeps_nobody_waiting(make_waypost, reader):
    made = make_waypost(sections={"log": {"queries": "all"}})
    made.stop()
    ours, theirs = os.pipe()
    with logging_into(made, theirs):
        if reader == "gone":
            os.close(ours)
        with made.connect() as conn:
            text = "x" * 4000
            started = time.monotonic()
            for _ in range(200 if reader == "asleep" else 20):
                conn.rows(f"SELECT 1 AS {text[:60]} /* {text} */, 1 AS {', 1 AS '.join([text[:60]] * 60)}")
            assert time.monotonic() - started < 60
        if reader == "gone":
            eventually(lambda: made.metric("waypost_log_lines_lost_total", cause="write") >= 20, what="lines counted")
    if reader == "asleep":
        os.close(ours)


def logged(made, **wanted):
    """The lines of the log of statements that have these values."""
    found = [line for line in lines(made.log(), "query") if all(line.get(key) == value for key, value in wanted.items())]
    return found


def test_statements_are_logged_without_their_literals(make_waypost):
    made = make_waypost(wait_for_split=True, sections={"log": {"format": "json", "queries": "all"}})
    with made.connect() as conn:
        conn.rows("SELECT id, t FROM probe_me WHERE id < 6 AND t <> 'secret'")
        conn.rows("UPDATE probe_me SET t = t WHERE id IN (1, 2, 3)")
        with contextlib.suppress(wire.ServerError):
            conn.rows("SELECT 1 / 0 AS secret_column")
        conn.send(wire.parse("s", "SELECT t FROM probe_me WHERE id = $1"), wire.bind("", "s", ["1"]), wire.execute(),
                  wire.bind("", "s", ["2"]), wire.execute(), wire.sync())  # fmt: skip
        conn.until("Z")
        (read,) = eventually(lambda: logged(made, query="SELECT id, t FROM probe_me WHERE id < ? AND t <> ?"), what="the read")
        (write,) = eventually(lambda: logged(made, reason="write"), what="the write")
        (wrong,) = eventually(lambda: logged(made, sqlstate="22012"), what="the error")
        (two,) = eventually(lambda: logged(made, statements=2), what="the pipeline")
    assert "secret'" not in made.log()
    assert read["target"] == "replica" and read["reason"] == "read_safe" and read["server"] in REPLICAS
    assert read["rows"] == 5 and read["bytes"] > 50 and read["statements"] == 1 and "sqlstate" not in read
    assert read["user"] == read["database"] == "openfire" and read["session"] == write["session"]
    assert write["target"] == "primary" and write["server"] == "pg0" and write["rows"] == 3
    assert two["query"] == "SELECT t FROM probe_me WHERE id = $1" and two["rows"] == 2
    assert wrong["rows"] == 0
    for line in (read, write, wrong, two):
        assert line["client"].startswith("127.0.0.1:")
        assert 0 < line["server_ms"] <= line["took_ms"] < 60_000 and line["pool_ms"] >= 0 and line["fence_ms"] >= 0
    assert read["fence_ms"] > 0 and write["fence_ms"] == 0


def test_no_wait_is_longer_than_the_statement(make_waypost):
    """The first reads wait for everything: a connection, the link that proves them, and that again as it changed meanwhile."""
    made = make_waypost(sections={"log": {"format": "json", "queries": "all"}}, wait_for_split=True)
    with made.connect() as conn:
        conn.rows("SELECT count(*) FROM probe_me")
    reads = eventually(lambda: len(logged(made, reason="read_safe")) > 1 and logged(made, reason="read_safe"), what="the reads")
    for line in reads:
        assert max(line["pool_ms"], line["fence_ms"], line["server_ms"]) <= line["took_ms"] + 1


def test_slow_statements_and_their_waits(cluster, make_waypost):
    made = make_waypost(sections={"log": {"format": "json", "queries": "slow", "slow": "300ms"}, "server": {"max_connections": 1}})
    with made.connect() as first, made.connect() as second:
        first.rows("SELECT 1")
        first.send(wire.query("UPDATE probe_me SET t = t || left(pg_sleep(1.0)::text, 0) WHERE id = 1"))
        running = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'UPDATE probe_me%'"
        eventually(lambda: cluster.sql(running), what="it runs")
        second.send(wire.query("UPDATE probe_me SET t = t WHERE id = 2"))
        first.until("Z")
        second.until("Z")
        slept = eventually(lambda: logged(made, query="UPDATE probe_me SET t = t || left(pg_sleep(?)::text, ?) WHERE id = ?"), what="slow")
        assert slept[0]["took_ms"] >= 1000 and slept[0]["server_ms"] >= 1000
        waited = eventually(lambda: logged(made, query="UPDATE probe_me SET t = t WHERE id = ?"), what="the one that waited")
        assert waited[0]["pool_ms"] >= 300 - 50 and waited[0]["took_ms"] >= waited[0]["pool_ms"] + waited[0]["server_ms"] - 1
    assert not logged(made, query="SELECT ?")


def test_literals_only_if_asked_for_and_none_if_off(make_waypost):
    made = make_waypost(sections={"log": {"format": "json", "queries": "all", "literals": True, "level": "error"}})
    with made.connect() as conn:
        conn.rows("SELECT 'shown' /* as it is */")
        eventually(lambda: logged(made, query="SELECT 'shown' /* as it is */"), what="the text")
        made.sections["log"]["queries"] = "off"
        made.write_config()
        made.hangup()
        eventually(lambda: '"shown"' in made.config.read_text() or reloaded(made), what="the reload")
        eventually(lambda: not grows(made, conn), what="no more lines")


def reloaded(made):
    return made.metric("waypost_config_last_reload_timestamp_seconds") > made.metric("waypost_start_time_seconds")


def grows(made, conn):
    before = len(logged(made))
    conn.rows("SELECT 'again'")
    time.sleep(0.2)
    return len(logged(made)) > before


def test_a_sample_is_drawn(make_waypost):
    made = make_waypost(sections={"log": {"format": "json", "queries": "sampled", "sample": 0.2, "slow": "1m"}})
    with made.connect() as conn:
        for _ in range(500):
            conn.rows("SELECT 'sampled'")
        eventually(lambda: logged(made, query="SELECT ?"), what="some")
    assert made.stop() == 0
    assert 40 <= len(logged(made, query="SELECT ?")) <= 180  # 100 but for chance
