"""What ran, by class of statement; and shadow mode: what could move before anything does."""

import psycopg
import pytest
from waypost import eventually

pytestmark = pytest.mark.proxy


def digests(made, query=""):
    return made.report("/api/v1/digests" + query)


def digest(made, text):
    found = [d for d in digests(made, "?limit=1000")["digests"] if d["text"] == text]
    assert len(found) <= 1, found
    return found[0] if found else None


def connect(made, **options):
    return psycopg.connect(
        f"host=127.0.0.1 port={made.port} user=openfire password=openfire dbname=openfire", autocommit=True, **options
    )


def called(made, text, times):
    found = digest(made, text)
    return found if found and found["calls"] == times else None


def test_calls_rows_and_targets(make_waypost):
    made = make_waypost(wait_for_split=True)
    with connect(made) as conn:
        for i in range(7):
            conn.execute(f"SELECT id, t FROM probe_me WHERE id <= {i + 1}")
        for i in range(3):
            conn.execute("DELETE FROM probe_me WHERE id = %s", (-i - 1,), prepare=True)
        with conn.transaction():
            conn.execute("SELECT 'in a block', id FROM probe_me WHERE id = 1")
        with pytest.raises(psycopg.errors.DivisionByZero):
            conn.execute("SELECT id / 0 FROM probe_me")
    read = eventually(lambda: called(made, "SELECT id, t FROM probe_me WHERE id <= ?", 7), what="reads counted")
    assert read["on_replica"] == 7 and read["on_primary"] == 0 and read["rows"] == sum(range(1, 8))
    assert (read["class"], read["verdict"], read["last_reason"]) == ("read", "read_safe", "read_safe")
    assert (read["database"], read["user"]) == ("openfire", "openfire")
    assert 0 < read["mean_ms"] <= read["max_ms"] <= read["total_ms"] and read["errors"] == 0
    assert len(read["fingerprint"]) == 16 and read["last_seen_unix_seconds"] > 1.6e9
    write = digest(made, "DELETE FROM probe_me WHERE id = $1")
    assert write["calls"] == write["on_primary"] == 3 and write["rows"] == 0 and write["class"] == "write"
    held = digest(made, "SELECT ?, id FROM probe_me WHERE id = ?")
    assert held["calls"] == held["on_primary"] == held["rows"] == 1
    failed = digest(made, "SELECT id / ? FROM probe_me")
    assert failed["calls"] == failed["errors"] == 1


def test_each_statement_of_a_pipeline_counts(make_waypost):
    made = make_waypost(wait_for_split=True)
    with connect(made) as conn:
        with conn.pipeline():
            for i in range(5):
                conn.execute("SELECT generate_series(1, %s::int) AS one", (i,))
            conn.execute("SELECT t FROM probe_me WHERE id = %s", (1,))
    one = eventually(lambda: called(made, "SELECT generate_series(?, $1::int) AS one", 5), what="the first counted")
    assert one["rows"] == 0 + 1 + 2 + 3 + 4
    assert digest(made, "SELECT t FROM probe_me WHERE id = $1")["rows"] == 1


def test_order_limit_and_bad_parameters(make_waypost):
    made = make_waypost()
    with made.connect() as conn:
        conn.rows("SELECT pg_sleep(0.2)")
        for _ in range(5):
            conn.rows("SELECT 'often'")
    slowest = digests(made, "?sort=time&limit=1")["digests"]
    assert [d["text"] for d in slowest] == ["SELECT pg_sleep(?)"] and slowest[0]["max_ms"] >= 200
    assert digests(made, "?sort=calls&limit=1")["digests"][0]["text"] == "SELECT ?"
    assert made.get("/api/v1/digests?sort=no")[0] == made.get("/api/v1/digests?limit=no")[0] == 400
    assert made.get("/api/v1/digests", {})[0] == 405


def test_memory_is_bounded_and_the_switch_works(make_waypost):
    made = make_waypost(sections={"digests": {"max": 100}, "top": {"workers": 2}})
    with made.connect() as conn:
        for i in range(2000):
            conn.simple(f"SELECT no_such_column_{i}")
    report = digests(made)
    assert report["known"] <= 200 and report["max_per_worker"] == 100 and report["workers_missing"] == 0
    assert report["evicted"] + report["uncounted"] >= 1800
    made.sections["digests"] = {"max": 0}
    made.write_config()
    made.hangup()
    eventually(lambda: digests(made)["known"] == 0, what="digests switched off")
    with made.connect() as conn:
        conn.rows("SELECT 1")
    assert digests(made)["known"] == 0


def test_shadow_mode(make_waypost):
    made = make_waypost(databases=[{"name": "openfire", "read_from": "none"}])
    assert made.report("/api/v1/shadow")["statements"] == 0
    with connect(made) as conn:
        for _ in range(6):
            conn.execute("SELECT count(*) FROM probe_me")
        for _ in range(2):
            conn.execute("DELETE FROM probe_me WHERE false")
        conn.execute("SELECT pg_notify('shadow', '')")
        with conn.transaction():
            conn.execute("SELECT 1 FROM probe_me WHERE id = 1")
    shadow = made.report("/api/v1/shadow")
    stays = {s["reason"]: s for s in shadow["would_stay"]}
    assert shadow["would_move"] == 6, shadow
    assert stays["write"]["statements"] == 2 and 0 < stays["write"]["share"] < shadow["share"] < 1
    assert any("pg_notify" in top["path"] for s in stays.values() for top in s["top"]), shadow
    assert stays["in_transaction"]["statements"] >= 1
    assert "% of statements could run on replicas" in shadow["summary"]
    made.counted(6, "waypost_shadow_statements_total", would="replica", reason="read_safe")
    moves = digest(made, "SELECT count(*) FROM probe_me")
    assert moves["would_move"] == moves["on_primary"] == 6 and moves["last_reason"] == "consistency_primary"


def test_a_read_only_block_could_move_as_a_whole(make_waypost):
    made = make_waypost(databases=[{"name": "openfire", "read_from": "none"}])
    with made.connect() as conn:
        for sql in ("BEGIN READ ONLY", "SELECT count(*) FROM probe_me", "SELECT 1", "COMMIT", "SELECT 2"):
            conn.simple(sql)
        conn.simple("BEGIN; SELECT 3; COMMIT")
    shadow = made.report("/api/v1/shadow")
    reasons = {s["reason"] for s in shadow["would_stay"]}
    assert shadow["would_move"] >= 3 and "in_transaction" not in reasons, shadow
