"""Random queries of sqlsmith on the database of PostgreSQL's regression tests: through Waypost they fail and succeed as
they do directly, and Waypost stays alive and small."""

import os

import oracle as oracles
import pytest
import regression
import sqlsmith
import wire

pytestmark = [pytest.mark.proxy, pytest.mark.long, pytest.mark.headers]

SECONDS = int(os.environ.get("WAYPOST_SQLSMITH_SECONDS", "600"))
QUERIES = 3000
GROWTH_BYTES = 150 << 20
# What no server says: Waypost's own errors, and a stream that lost its place.
FOREIGN = ("server closed", "lost synchronization", "unexpected message", "query_wait_timeout", "read-only transaction",
           "during recovery", "in progress", "no server connection", "message type", "prepared statement")  # fmt: skip


@pytest.fixture(scope="module")
def database(cluster, tmp_path_factory):
    return regression.prepare(cluster, tmp_path_factory)


@pytest.fixture
def proxy(make_waypost):
    return make_waypost(users=[{"name": "postgres", "password": "secret"}])


@pytest.mark.timeout(3600)
def test_the_same_queries_end_the_same(cluster, database, proxy):
    """Each query in a transaction that is rolled back if it may write, else by itself and perhaps on a replica."""
    texts = sqlsmith.queries(cluster.ports["pg0"], database, 11, QUERIES)
    different, on_replicas = same_errors(cluster, database, proxy, texts)
    print(f"sqlsmith: {len(texts)} queries, {on_replicas} called safe for a replica, {len(different)} ended otherwise")
    assert not different, "\n".join(different[:20])
    assert proxy.process.poll() is None


def same_errors(cluster, database, proxy, texts):
    sides = [oracles.Session(cluster, "pg0", "postgres", database), oracles.Session(cluster, "pg0", "postgres", database)]
    sides[1].connect = lambda: proxy.connect("postgres", "secret", database, timeout=30.0,
                                             options=f"-c statement_timeout={oracles.STATEMENT_TIMEOUT_MS}")  # fmt: skip
    different, on_replicas = [], 0
    for sql in texts:
        safe = proxy.route(sql, database=database, user="postgres")["class"] == "read"
        on_replicas += safe
        ends = [end_of(side, sql, safe) for side in sides]
        if ends[0] == ends[1] or "57014" in (ends[0][0], ends[1][0]):
            continue
        # TABLESAMPLE, random(): PostgreSQL ends otherwise itself.
        if ends[1] not in [end_of(sides[0], sql, safe) for _ in range(10)]:
            different.append(f"{sql}\n  PostgreSQL {ends[0]}\n  Waypost    {ends[1]}")
    for side in sides:
        side.renew()
    return different, on_replicas


def end_of(side, sql, safe):
    """(SQLSTATE, message or the command's tag)"""
    if not safe:
        side.run("BEGIN")
    replies = side.run(sql)
    if not safe:
        side.run("ROLLBACK")
    errors = [wire.error_fields(m.body) for m in replies if m.type == "E"]
    if errors:
        return errors[0]["C"], sqlsmith.kind(errors[0]["M"])
    return None, replies[-1].type if replies else "closed"


@pytest.mark.timeout(3600)
def test_sqlsmith_itself(cluster, database, proxy):
    before = proxy.rss_bytes()
    through, asked, marks = sqlsmith.run(proxy.port, database, 7, SECONDS)
    grown = proxy.rss_bytes() - before
    direct, _, _ = sqlsmith.run(cluster.ports["pg0"], database, 7, SECONDS // 2)
    only = {k: v for k, v in through.items() if k not in direct}
    print(f"sqlsmith: about {asked} queries, {len(through)} kinds of errors, {len(only)} not met directly, {grown >> 20} MiB more")
    assert asked > 5 * SECONDS / 10, marks[-500:]
    assert "C" not in marks, "a connection was lost"  # sqlsmith's mark of it
    assert not [k for k in through if any(word in k for word in FOREIGN) and k not in direct], only
    assert grown < GROWTH_BYTES
    assert proxy.process.poll() is None
