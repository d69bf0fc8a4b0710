"""Batches whose end does not come: PostgreSQL runs what it has, and says what it must."""

import time

import pytest
import wire
from cluster import REPLICAS
from waypost import eventually

# What may stand before it.
BEFORE = {
    "alone": [],
    "kept block": ["BEGIN"],
    "block": ["BEGIN", "SELECT txid_current()"],
    "read only block": ["BEGIN READ ONLY", "SELECT count(*) FROM probe_me"],
    "tied": ["CREATE TEMP TABLE unended (i int)"],
}


def begin(conn, before):
    for sql in before:
        conn.rows(sql)


def run(sql):
    return [wire.parse("", sql), wire.bind("", ""), wire.execute()]


@pytest.fixture(params=BEFORE.values(), ids=BEFORE)
def conn(request, waypost):
    with waypost.connect() as made:
        made.sock.settimeout(5)
        begin(made, request.param)
        made.block = "BEGIN" in " ".join(request.param)
        yield made


def test_an_error_comes_at_once(conn):
    conn.send(*run("SELECT 1 / 0"))
    began = time.monotonic()
    assert wire.sqlstates(conn.until("E")) == ["22012"]
    assert time.monotonic() - began < 1
    conn.send(*run("SELECT 1"), wire.sync())
    replies = conn.until()
    assert wire.types(replies) == "Z" and replies[0].body == (b"E" if conn.block else b"I")
    conn.rows("ROLLBACK")
    assert conn.value("SELECT 7") == "7"


def test_rows_come_as_they_are(conn):
    conn.send(*run("SELECT repeat('x', 1000) FROM generate_series(1, 100)"))
    assert len(conn.until("D", count=80)) >= 80  # all but what stays in the server's buffer
    conn.send(wire.sync())
    replies = conn.until()
    assert wire.types(replies).count("D") == 20 and wire.types(replies).endswith("CZ")
    assert conn.value("SELECT 7") == "7"


def test_what_comes_late_belongs_to_it(conn):
    """Each message by itself, and so slowly that each is sent for itself."""
    for message in (*run("SELECT 1"), *run("SELECT 2"), wire.sync()):
        conn.send(message)
        time.sleep(0.02)
    replies = conn.until()
    assert wire.types(replies) == "12DC12DCZ" and wire.rows(replies) == [["1"], ["2"]]


def test_in_a_failed_block(waypost):
    with waypost.connect() as conn:
        conn.sock.settimeout(5)
        begin(conn, ["BEGIN", "SELECT txid_current()"])
        conn.simple("SELECT 1 / 0")
        conn.send(*run("SELECT 1"))
        assert wire.sqlstates(conn.until("E")) == ["25P02"]
        conn.send(wire.sync())
        assert conn.until()[-1].body == b"E"


@pytest.mark.proxy
def test_a_read_whose_end_comes_in_another_packet_stays_a_replicas(cluster, waypost, marker):
    with waypost.connect() as conn:
        for i in range(20):
            sql = f"SELECT count(*) FROM probe_me /* {marker}_{i} */"
            conn.send(*run(sql))
            conn.send(wire.sync())
            assert wire.rows(conn.until()) == [["100"]]
    on_replicas = sum(cluster.where(f"{marker}_{i} ") in REPLICAS for i in range(20))
    assert on_replicas >= 17


@pytest.mark.proxy
def test_a_batch_without_its_end_goes_to_the_primary(cluster, waypost, marker):
    with waypost.connect() as conn:
        conn.send(*run(f"SELECT count(*) FROM probe_me /* {marker} */"))
        eventually(lambda: cluster.runs(marker), what="it runs")
        conn.send(wire.sync())
        assert wire.rows(conn.until()) == [["100"]]
    assert cluster.where(marker) == "pg0"
