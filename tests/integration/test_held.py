"""While there is no primary, statements and log-ins wait; but not for ever, and not without limit."""

import json
import subprocess
import threading
import time

import pytest
import waypost as waypost_process
import wire

pytestmark = pytest.mark.proxy


def started(cluster, **limits):
    proxy = waypost_process.Waypost(cluster, sections={"cluster": limits})
    return proxy.start()


def held(proxy):
    return proxy.metric("waypost_held_statements")


def test_they_go_on_when_the_primary_is_back(pair):
    cluster, proxy = pair
    answers = []
    with proxy.connect() as simple, proxy.connect() as extended:
        simple.rows("SET application_name = 'simple'")
        extended.rows("BEGIN")  # no server has heard of it
        cluster.stop_server("pg0")
        simple.send(wire.query("INSERT INTO kept VALUES ('simple')"))
        extended.send(wire.parse("", "INSERT INTO kept VALUES ('extended')") + wire.bind("", "") + wire.execute() + wire.sync())
        login = threading.Thread(target=lambda: answers.append(proxy.connect().value("SELECT count(*) FROM kept")))
        login.start()
        waypost_process.eventually(lambda: held(proxy) == 2, what="two that wait")
        cluster.start_server("pg0")
        assert wire.sqlstates(simple.until()) == [] == wire.sqlstates(extended.until())
        extended.rows("COMMIT")
        login.join(30)
        assert not login.is_alive() and answers
        assert simple.value("SHOW application_name") == "simple"
    assert held(proxy) == 0
    proxy.counted(2, "waypost_held_statements_total", outcome="went_on")
    assert cluster.sql("SELECT id FROM kept ORDER BY id") == [["extended"], ["simple"]]


def test_a_pause_around_a_promotion_lets_go_what_it_held(pair):
    """On the new primary, and no sooner: it waits for the operator's word alone."""
    cluster, _ = pair
    proxy = waypost_process.Waypost(cluster, sections={"admin": {"socket": "admin.sock"}, "routing": {"read_from": "streaming"}}).start()

    def order(*words):
        done = subprocess.run([waypost_process.BINARY, *words, "--config", proxy.config], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done

    try:
        with proxy.connect() as conn:
            order("pause", "--writes", "--limit", "10m")
            conn.send(wire.query("INSERT INTO kept VALUES ('paused')"))
            waypost_process.eventually(lambda: held(proxy) == 1, what="held")
            cluster.stop_server("pg0")
            cluster.sql("SELECT pg_promote(true, 60)", "pg1", "postgres")
            waypost_process.eventually(lambda: json.loads(proxy.get("/api/v1/status")[1])["primary"] == "pg1", 30, "pg1 is the primary")
            assert held(proxy) == 1 and cluster.sql("SELECT count(*) FROM kept", "pg1") == [["0"]]
            order("resume")
            assert wire.sqlstates(conn.until()) == []
        proxy.counted(0, "waypost_held_statements")
        proxy.counted(1, "waypost_held_statements_total", outcome="went_on")
        assert cluster.sql("SELECT id, port FROM kept", "pg1") == [["paused", str(cluster.ports["pg1"])]]
    finally:
        proxy.close()


def test_but_no_longer_than_failover_hold(pair):
    cluster, _ = pair
    proxy = started(cluster, failover_hold="1s")
    try:
        with proxy.connect() as conn:
            cluster.stop_server("pg0")
            time.sleep(1)
            began = time.monotonic()
            conn.send(wire.query("INSERT INTO kept VALUES ('late')"))
            [error, _] = conn.until()
            assert 0.9 < time.monotonic() - began < 5
            fields = wire.error_fields(error.body)
            assert fields["C"] == "57P03" and "pg0: down: " in fields["D"] and "pg1: a replica" in fields["D"]
            with pytest.raises(wire.ServerError) as refused:
                proxy.connect()
            assert refused.value.sqlstate == "57P03"
            cluster.start_server("pg0")
            assert conn.value("SELECT 1") == "1"
        proxy.counted(1, "waypost_held_statements_total", outcome="gave_up")
    finally:
        proxy.close()


def test_and_no_more_than_max_held(pair):
    cluster, _ = pair
    for limits in ({"max_held": 1}, {"max_held_bytes": "100B"}):
        proxy = started(cluster, **limits)
        try:
            with proxy.connect() as first, proxy.connect() as second:
                cluster.stop_server("pg0")
                first.send(wire.query("INSERT INTO kept VALUES ('" + "x" * 40 + "')"))
                waypost_process.eventually(lambda proxy=proxy: held(proxy) == 1, what="one that waits")
                second.send(wire.query("INSERT INTO kept VALUES ('" + "y" * 40 + "')"))
                [error, _] = second.until()
                assert b"too many statements wait" in error.body
                first.send(wire.terminate())  # whoever goes makes room
                waypost_process.eventually(lambda proxy=proxy: held(proxy) == 0, what="none that waits")
                cluster.start_server("pg0")
                assert second.value("SELECT 1") == "1"
            proxy.counted(1, "waypost_held_statements_total", outcome="refused")
        finally:
            proxy.close()


def test_a_held_statement_can_be_cancelled(pair):
    cluster, proxy = pair
    with proxy.connect() as conn:
        cluster.stop_server("pg0")
        conn.send(wire.query("INSERT INTO kept VALUES ('cancelled')"))
        waypost_process.eventually(lambda: held(proxy) == 1, what="one that waits")
        conn.cancel()
        assert wire.sqlstates(conn.until()) == ["57014"]
        assert held(proxy) == 0
    cluster.start_server("pg0")


@pytest.mark.parametrize("strict", [False, True])
def test_a_commit_whose_wait_for_standbys_was_cancelled(pair, strict):
    """PostgreSQL acknowledges it with a warning."""
    cluster, _ = pair
    cluster.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", database="postgres")
    cluster.sql("SELECT pg_reload_conf()", database="postgres")
    proxy = started(cluster, strict_commit=strict)
    ways = ("simple", "extended", "block")
    try:
        for how in ways:
            check_cancelled_wait(cluster, proxy, how, strict)
        proxy.counted(len(ways), "waypost_unreplicated_acks_total", server="pg0")
        assert cluster.sql("SELECT id FROM kept ORDER BY id") == [["block"], ["extended"], ["simple"]]
    finally:
        proxy.close()


def check_cancelled_wait(cluster, proxy, how, strict):
    insert = f"INSERT INTO kept VALUES ('{how}')"
    with proxy.connect() as conn:
        if how == "block":
            conn.rows("BEGIN")
            conn.rows(insert)
            conn.send(wire.query("COMMIT"))
        elif how == "simple":
            conn.send(wire.query(insert))
        else:
            conn.send(wire.parse("", insert) + wire.bind("", "") + wire.execute() + wire.sync())
        waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        waypost_process.eventually(lambda: cluster.sql(waiting) == [["t"]], what="a commit that waits")
        answer = conn.until()
        assert wire.sqlstates(answer) == (["40003"] if strict else [])
        assert answer[-1].body == b"I"
        if how != "extended":  # there the statement was complete before it was committed
            assert ("C" in wire.types(answer)) != strict
        assert conn.value("SELECT 1") == "1"
