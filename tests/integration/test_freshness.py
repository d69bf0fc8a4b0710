"""A replica is read from only while it must have applied every acknowledged commit; otherwise the primary."""

import contextlib

import pytest
from cluster import REPLICAS, new_marker
from waypost import eventually

pytestmark = pytest.mark.proxy


@pytest.fixture
def proxy(cluster, make_waypost):
    return make_waypost(wait_for_split=True)


def read_ran_on(cluster, conn):
    marker = new_marker()
    assert conn.value(f"SELECT count(*) FROM probe_me /* {marker} */") == "100"
    return cluster.where(marker)


@contextlib.contextmanager
def cluster_setting(cluster, name, value):
    cluster.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    cluster.sql("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        cluster.sql(f"ALTER SYSTEM RESET {name}")
        cluster.sql("SELECT pg_reload_conf()")
        eventually(
            lambda: cluster.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == [["2"]],
            what="both replicas synchronous again",
        )


def test_a_write_is_seen_by_every_later_read(cluster, proxy):
    """Written by one session, or past Waypost; read by another. Replicas do take the reads."""
    cluster.sql("CREATE TABLE fresh (id int)", user="openfire")
    readers = {}
    with proxy.connect() as writer, proxy.connect() as reader, cluster.connect(user="openfire", password="openfire") as past:
        writer.rows("TRUNCATE fresh")
        for i in range(1, 301):
            (writer if i % 2 else past).rows(f"INSERT INTO fresh VALUES ({i})")
            marker = new_marker()
            assert reader.value(f"SELECT count(*) FROM fresh /* {marker} */") == str(i)
            if i > 250:
                where = cluster.where(marker)
                readers[where] = readers.get(where, 0) + 1
        writer.rows("DROP TABLE fresh")
    assert sum(readers.get(name, 0) for name in REPLICAS) >= 40, readers


@pytest.mark.parametrize("lower", ["SET synchronous_commit = off", "SET synchronous_commit = local",
                                   "SET synchronous_commit TO 'on'", "SET SESSION synchronous_commit = remote_write",
                                   "SELECT set_config('synchronous_commit', 'off', false)"])  # fmt: skip
def test_a_session_that_lowered_synchronous_commit_reads_from_the_primary(cluster, proxy, lower):
    with proxy.connect() as conn, proxy.connect() as other:
        assert read_ran_on(cluster, conn) in REPLICAS
        conn.rows(lower)
        assert read_ran_on(cluster, conn) == "pg0"
        assert read_ran_on(cluster, other) in REPLICAS
        conn.rows("RESET synchronous_commit")  # what it committed before may not have been applied: no matter where
        assert conn.value("SELECT count(*) FROM probe_me") == "100"


def test_lowered_at_start_up(cluster, proxy):
    with proxy.connect(options="-c synchronous_commit=off") as conn:
        assert read_ran_on(cluster, conn) == "pg0"


@pytest.mark.parametrize(
    "name, value",
    [("synchronous_standby_names", ""), ("synchronous_standby_names", "FIRST 1 (pg1, pg2)"),
     ("synchronous_standby_names", "ANY 1 (pg1, pg2)"), ("synchronous_commit", "on"), ("synchronous_commit", "off")],
)  # fmt: skip
def test_without_the_guarantee_the_primary_reads(cluster, proxy, name, value):
    with proxy.connect() as conn:
        with cluster_setting(cluster, name, value):
            eventually(lambda: read_ran_on(cluster, conn) == "pg0", 10, "reads on the primary")
            for _ in range(20):
                assert read_ran_on(cluster, conn) == "pg0"
        eventually(lambda: read_ran_on(cluster, conn) in REPLICAS, 10, "reads on a replica again")


@pytest.mark.parametrize("value", ["ANY 2 (pg1, pg2)", "FIRST 2 (*)", "2 (pg2, pg1)"])
def test_other_ways_to_say_all_must_confirm(cluster, proxy, value):
    with proxy.connect() as conn, cluster_setting(cluster, "synchronous_standby_names", value):
        eventually(lambda: read_ran_on(cluster, conn) in REPLICAS, 10, "reads on a replica")


def test_replicas_that_stop_and_return(cluster, proxy):
    """Nothing that only reads sees an error; connections live on."""
    with proxy.connect() as conn:
        for name, left in (("pg2", {"pg1", "pg0"}), ("pg1", {"pg0"})):
            cluster.stop_server(name)
            for _ in range(30):
                assert conn.value("SELECT count(*) FROM probe_me") == "100"
            eventually(lambda left=left: read_ran_on(cluster, conn) in left, 10, "reads elsewhere")
        for _ in range(10):
            assert read_ran_on(cluster, conn) == "pg0"
        cluster.start_server("pg1")
        cluster.start_server("pg2")
        eventually(lambda: read_ran_on(cluster, conn) in REPLICAS, 20, "reads on a replica again")
        with proxy.connect() as other:
            assert other.value("SELECT 1") == "1"


def test_metrics_say_why(cluster, proxy):
    with proxy.connect() as conn:
        with cluster_setting(cluster, "synchronous_standby_names", ""):
            eventually(lambda: read_ran_on(cluster, conn) == "pg0", 10, "reads on the primary")
            body = proxy.get("/metrics")[1]
            assert 'reason="no_eligible_replica"' in body
            servers = proxy.get("/api/v1/servers")[1]
            assert "async" in servers
