"""READ ONLY blocks on a replica that go on elsewhere: when the replica waits for the block itself, is lost between two
statements, or cannot do what ends the block."""

import contextlib
import select
import threading
import time

import pytest
import wire
from cluster import NAMES, new_marker
from waypost import eventually

pytestmark = pytest.mark.proxy

REPLICAS = NAMES[1:]
ON_REPLICA = "SELECT pg_is_in_recovery()"


@pytest.fixture
def tables(cluster):
    cluster.sql("DROP TABLE IF EXISTS moves_a, moves_b; CREATE TABLE moves_a (i int); CREATE TABLE moves_b (i int);"
                "GRANT ALL ON moves_a, moves_b TO openfire; INSERT INTO moves_b VALUES (7)")  # fmt: skip
    yield
    cluster.sql("DROP TABLE IF EXISTS moves_a, moves_b")


def lock_and_alter(cluster, conn, begin):
    """The block reads moves_a on a replica; then DDL on moves_a, which that replica cannot replay past it."""
    on_replica(cluster, conn, begin)
    return alter(cluster)


def alter(cluster):
    """Returns when a replica waits to replay it."""
    thread = threading.Thread(target=cluster.sql, args=("SET lock_timeout = '60s'; ALTER TABLE moves_a ADD b int",))
    thread.start()
    replay_waits(cluster, "wait_event_type = 'Lock'")
    return thread


def replay_waits(cluster, condition):
    asked = f"SELECT 1 FROM pg_stat_activity WHERE backend_type = 'startup' AND {condition}"
    eventually(lambda: any(cluster.sql(asked, server=name) for name in REPLICAS), what="a replica that waits")


def on_replica(cluster, conn, begin):
    """A replica may have to catch up with the table first."""

    def runs_there():
        marker = new_marker()
        assert begin(conn, f"/* {marker} */ SELECT count(*) FROM moves_a") == [["0"]]
        if cluster.where(marker) in REPLICAS:
            return True
        conn.rows("ROLLBACK")
        return False

    eventually(runs_there, what="a block on a replica")


def simple_begin(conn, read):
    conn.rows("BEGIN READ ONLY")
    return conn.rows(read)


def one_batch(conn, read):
    """As pgjdbc does: BEGIN and the first statement, one Sync."""
    for sql in ("BEGIN READ ONLY", read):
        conn.send(wire.parse("", sql), wire.bind("", ""), wire.execute())
    conn.send(wire.sync())
    return wire.rows(conn.until())


@pytest.mark.parametrize("begin", [simple_begin, one_batch])
def test_a_block_does_not_wait_for_itself(cluster, make_waypost, tables, begin):
    proxy = make_waypost(wait_for_split=True)
    with proxy.connect() as conn:
        thread = lock_and_alter(cluster, conn, begin)
        assert conn.value(ON_REPLICA) == "t"  # asking its server leaves nothing there
        start = time.monotonic()
        assert conn.rows("SELECT i FROM moves_b") == [["7"]]
        assert conn.rows("SHOW transaction_read_only") == [["on"]]
        assert conn.rows("SELECT i FROM moves_b") == [["7"]]
        conn.rows("COMMIT")
        assert time.monotonic() - start < 5
        thread.join(30)
        assert conn.rows("SELECT count(b) FROM moves_a") == [["0"]]


STAYS = [
    ("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ", []),
    ("BEGIN READ ONLY", ["SET LOCAL work_mem = '5MB'"]),
    ("BEGIN READ ONLY", ["SAVEPOINT s"]),
    ("BEGIN READ ONLY", ["DECLARE c CURSOR FOR SELECT 1"]),
    ("BEGIN READ ONLY", ["SELECT now()"]),
    ("BEGIN READ ONLY", ["SELECT pg_advisory_xact_lock(1)"]),
]


@pytest.mark.parametrize("begin,more", STAYS, ids=[" ".join([begin[6:], *more])[:40] for begin, more in STAYS])
def test_what_lives_on_its_server_does_not_move(cluster, make_waypost, tables, begin, more):
    """It fails, and as soon as that is seen: nothing is read under other settings or another snapshot."""
    proxy = make_waypost(wait_for_split=True)

    def first(conn, read):
        conn.rows(begin)
        answer = conn.rows(read)
        for sql in more:
            conn.rows(sql)
        return answer

    with proxy.connect() as conn:
        thread = lock_and_alter(cluster, conn, first)
        start = time.monotonic()
        answered = conn.simple("SELECT i FROM moves_b")
        if "REPEATABLE" in begin:  # its snapshot was taken before
            assert wire.rows(answered) == [["7"]]
            conn.rows("ROLLBACK")
        else:
            assert wire.sqlstates(answered) == ["40001"]
            assert "what this transaction holds there" in wire.error_fields(answered[0].body)["M"]
        thread.join(5)  # the failed block holds nothing any more
        assert not thread.is_alive() and time.monotonic() - start < 5
        conn.rows("ROLLBACK")
        assert conn.rows("SELECT count(b) FROM moves_a") == [["0"]]


def test_a_block_that_another_one_holds_up_waits(cluster, make_waypost, tables):
    """What keeps the replica waiting is not its own: it waits as long as a statement may, and goes on if the other one ends."""
    proxy = make_waypost(wait_for_split=True)
    with contextlib.ExitStack() as stack:
        holder = stack.enter_context(proxy.connect())
        on_replica(cluster, holder, simple_begin)
        for _ in range(20):  # until one is on the same replica
            conn = stack.enter_context(proxy.connect())
            conn.rows("BEGIN READ ONLY")
            conn.rows("SELECT i FROM moves_b")
            conn.rows("SAVEPOINT s")
            if conn.value("SELECT inet_server_port()") == holder.value("SELECT inet_server_port()"):
                break
        else:
            pytest.fail("no two blocks on one replica")
        thread = alter(cluster)
        conn.send(wire.query("SELECT i FROM moves_b"))
        assert not select.select([conn.sock], [], [], 2)[0], conn.until()
        holder.rows("COMMIT")
        assert wire.rows(conn.until()) == [["7"]]
        conn.rows("COMMIT")
        thread.join(30)


@pytest.fixture
def no_feedback(cluster):
    """VACUUM on the primary does not spare what replicas still look at."""
    for name in REPLICAS:
        cluster.sql("ALTER SYSTEM SET hot_standby_feedback = off", server=name)
        cluster.sql("SELECT pg_reload_conf()", server=name)
    eventually(lambda: cluster.sql("SELECT count(*) FROM pg_stat_replication WHERE backend_xmin IS NOT NULL") == [["0"]])
    yield
    for name in REPLICAS:
        cluster.sql("ALTER SYSTEM RESET hot_standby_feedback", server=name)
        cluster.sql("SELECT pg_reload_conf()", server=name)


def test_a_block_does_not_wait_for_its_own_snapshot(cluster, make_waypost, tables, no_feedback):
    proxy = make_waypost(wait_for_split=True)
    with proxy.connect() as conn:
        on_replica(cluster, conn, simple_begin)
        assert conn.rows("DECLARE c CURSOR FOR SELECT i FROM moves_b") == []
        assert conn.rows("FETCH c") == [["7"]]
        thread = threading.Thread(target=lambda: [cluster.sql(sql) for sql in ("DELETE FROM moves_b", "VACUUM moves_b")])
        thread.start()
        replay_waits(cluster, "wait_event = 'RecoveryConflictSnapshot'")
        start = time.monotonic()
        assert wire.sqlstates(conn.simple("SELECT count(*) FROM moves_a")) == ["40001"]
        thread.join(5)
        assert not thread.is_alive() and time.monotonic() - start < 5
        conn.rows("ROLLBACK")
        assert conn.rows("SELECT count(*) FROM moves_b") == [["0"]]


def test_a_block_outlives_its_replica(cluster, make_waypost, tables):
    proxy = make_waypost(wait_for_split=True)
    with proxy.connect() as conn:
        on_replica(cluster, conn, simple_begin)
        for name in REPLICAS:
            cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'openfire' AND state LIKE 'idle%'", server=name)
        time.sleep(0.3)
        assert conn.rows("SELECT i FROM moves_b") == [["7"]]
        assert wire.sqlstates(conn.simple("INSERT INTO moves_b VALUES (1)")) == ["25006"]
        conn.rows("ROLLBACK")


@pytest.mark.parametrize("read", ["SELECT count(*) FROM probe_me", "SELECT now() IS NOT NULL FROM probe_me LIMIT 1"])
def test_a_read_only_branch_is_prepared_on_the_primary(cluster, make_waypost, read):
    proxy = make_waypost(wait_for_split=True)
    with proxy.connect() as conn:
        for ending in ("COMMIT", "ROLLBACK"):
            conn.rows("BEGIN READ ONLY")
            conn.rows(read)
            assert conn.value(ON_REPLICA) == "t"
            assert wire.types(conn.simple("PREPARE TRANSACTION 'moves'")) == "CZ"
            assert cluster.sql("SELECT count(*) FROM pg_prepared_xacts WHERE gid = 'moves'")[0][0] == "1"
            assert conn.rows("SELECT 1") == [["1"]]
            conn.rows(f"{ending} PREPARED 'moves'")
        conn.rows("BEGIN READ ONLY")
        conn.rows(read)
        assert wire.sqlstates(conn.simple("SELECT 1/0")) == ["22012"]
        replies = conn.simple("PREPARE TRANSACTION 'moves'")
        assert [m.body for m in replies] == [b"ROLLBACK\0", b"I"]
        assert conn.rows("SELECT 1") == [["1"]]
    eventually(lambda: cluster.sql("SELECT count(*) FROM pg_prepared_xacts WHERE gid = 'moves'")[0][0] == "0")


def in_one_query(conn, statements):
    return conn.simple(";".join(statements))


def in_one_series(conn, statements):
    for sql in statements:
        conn.send(wire.parse("", sql), wire.bind("", ""), wire.execute())
    conn.send(wire.sync())
    return conn.until()


def in_parts(conn, statements):
    """One series whose messages come one by one, with a Flush behind each."""
    for sql in statements:
        conn.send(wire.parse("", sql), wire.flush(), wire.bind("", ""), wire.flush(), wire.execute(), wire.flush())
        time.sleep(0.01)
    conn.send(wire.sync())
    return conn.until()


READ = "SELECT count(*) FROM probe_me"
PREPARE = "PREPARE TRANSACTION 'moves'"
WRITE = "INSERT INTO moves_a VALUES (1)"
BLOCKS = {
    "read committed": ["BEGIN READ ONLY", READ],
    "repeatable read": ["BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ", READ],
    "savepoint": ["BEGIN READ ONLY", READ, "SAVEPOINT s"],
    "cursor": ["BEGIN READ ONLY", READ, "DECLARE c CURSOR FOR SELECT count(*) FROM probe_me"],
    "SET LOCAL": ["BEGIN READ ONLY", READ, "SET LOCAL work_mem = '5MB'"],
    "failed": ["BEGIN READ ONLY", READ, "SELECT 1/0"],
}
ENDS = [
    [READ, PREPARE],
    [READ, READ, PREPARE, READ],
    ["FETCH c", PREPARE],
    [PREPARE, READ],
    ["SELECT 1/0", PREPARE],
    [READ, PREPARE, "SELECT 1/0", READ],
    ["COMMIT", WRITE],
    [READ, "ROLLBACK", WRITE, "SELECT count(*) FROM moves_a"],
    ["COMMIT", "BEGIN", WRITE, PREPARE],
    ["COMMIT", WRITE, "SELECT 1/0"],
    ["SELECT 1/0", "COMMIT", WRITE],
    [READ, "COMMIT"],
]


def heard(messages):
    """All of an answer but what is not the same twice."""
    return [(m.type, wire.error_fields(m.body)["C"] if m.type == "E" else m.body) for m in messages]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("send", [in_one_query, in_one_series, in_parts])
def test_a_block_that_ends_within_a_batch_ends_as_on_postgresql(cluster, make_waypost, tables, send, block):
    proxy = make_waypost(wait_for_split=True)
    for end in ENDS:
        if (block, send, end[0]) == ("failed", in_parts, PREPARE):
            continue  # docs/limits.md
        seen = []
        for target in (cluster, proxy):
            with target.connect(user="openfire", password="openfire") as conn:
                for sql in BLOCKS[block]:
                    conn.simple(sql)
                if target is proxy and block != "failed":
                    assert conn.value(ON_REPLICA) == "t"
                answers = [heard(send(conn, end))]
                answers += [heard(conn.simple(sql)) for sql in ("SELECT count(*) FROM moves_a", "ROLLBACK", "ROLLBACK PREPARED 'moves'")]
                conn.simple("DELETE FROM moves_a")
                seen.append(answers)
        assert seen[0] == seen[1], end


def test_an_error_behind_the_end_of_a_block_says_where_it_is(cluster, make_waypost):
    proxy = make_waypost(wait_for_split=True)
    text = "SELECT 'äöü'; COMMIT; SELECT nothing"
    seen = []
    for target in (cluster, proxy):
        with target.connect(user="openfire", password="openfire") as conn:
            conn.rows("BEGIN READ ONLY")
            conn.rows(READ)
            seen.append([wire.error_fields(m.body)["P"] for m in conn.simple(text) if m.type == "E"])
    assert seen[0] == seen[1] == [str(text.index("nothing") + 1)]


@pytest.mark.parametrize("send", [in_one_query, in_one_series])
def test_what_stands_behind_the_rollback_of_a_lost_block_runs(cluster, make_waypost, tables, send):
    proxy = make_waypost(wait_for_split=True)
    for end, tags in ((["ROLLBACK", WRITE], ["ROLLBACK", "INSERT 0 1"]), ([WRITE, "ROLLBACK"], [])):
        with proxy.connect() as conn:
            conn.rows("BEGIN")
            conn.rows("INSERT INTO moves_b VALUES (8)")
            cluster.terminate("usename = 'openfire' AND state = 'idle in transaction'")
            assert wire.sqlstates(conn.simple("SELECT 1")) != []
            replies = send(conn, end)
            assert [m.body.rstrip(b"\0").decode() for m in replies if m.type == "C"] == tags
            assert wire.sqlstates(replies) == ([] if tags else ["25P02"])
            assert replies[-1].body == (b"I" if tags else b"E") and wire.types(replies).count("Z") == 1
            conn.simple("ROLLBACK")
            assert conn.rows("DELETE FROM moves_a RETURNING i") == ([["1"]] if tags else [])
