"""Statements that want a database to itself, through Waypost whose own connections to it are idle."""

import threading
import time

import pytest
import wire
from waypost import eventually

pytestmark = pytest.mark.proxy

SUPER = {"user": "postgres", "password": "secret"}
USERS = [{"name": "openfire", "password": "openfire"}, {"name": "postgres", "password": "secret"}]
# What needs "dd1" to itself, and what becomes of it.
ALONE = {
    "DROP DATABASE dd1": [],
    "ALTER DATABASE dd1 RENAME TO dd2": ["dd2"],
    "CREATE DATABASE dd2 TEMPLATE dd1": ["dd1", "dd2"],
    "ALTER DATABASE dd1 SET TABLESPACE dds": ["dd1"],
    "DROP DATABASE dd1 WITH (FORCE)": [],
}


@pytest.fixture
def proxy(make_waypost, cluster):
    yield make_waypost(users=USERS, sections={"pool": {"min_size": 1}})
    for name in ("dd1", "dd2"):
        cluster.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", database="postgres")
    cluster.sql("DROP TABLESPACE IF EXISTS dds", database="postgres")


def admin(proxy, database="postgres"):
    return proxy.connect(**SUPER, database=database)


def create(proxy, name="dd1", value=1):
    """A database that was read and written by several clients, on several workers, who have left."""
    with admin(proxy) as conn:
        conn.rows(f"CREATE DATABASE {name}")
    for i in range(4):
        with admin(proxy, name) as conn:
            conn.rows("CREATE TABLE IF NOT EXISTS t (a int)")
            conn.rows(f"INSERT INTO t VALUES ({value})" if i == 0 else "SELECT 1")
            conn.rows("SELECT * FROM t")


def run_extended(conn, sql):
    conn.send(wire.parse("", sql), wire.bind("", ""), wire.execute(), wire.sync())
    return conn.until()


@pytest.mark.parametrize("sql", ALONE)
@pytest.mark.parametrize("run", [wire.Wire.simple, run_extended], ids=["simple", "extended"])
def test_a_database_that_all_clients_have_left(proxy, cluster, sql, run):
    with cluster.connect("pg0", **SUPER, database="postgres") as direct:
        direct.rows("SET allow_in_place_tablespaces = on")
        direct.rows("CREATE TABLESPACE dds LOCATION ''")
    create(proxy)
    with admin(proxy) as conn:
        begun = time.monotonic()
        assert wire.sqlstates(run(conn, sql)) == []
        assert time.monotonic() - begun < 4
    for name in ALONE[sql]:
        with admin(proxy, name) as conn:
            assert conn.rows("SELECT * FROM t") == [["1"]]
    for name in {"dd1", "dd2"}.difference(ALONE[sql]):
        with pytest.raises(wire.ServerError) as refused:
            admin(proxy, name)
        assert refused.value.sqlstate == "3D000"


def test_a_client_that_is_still_there(proxy):
    create(proxy)
    with admin(proxy) as conn, admin(proxy, "dd1") as other:
        assert other.value("SELECT 1") == "1"
        assert wire.sqlstates(conn.simple("DROP DATABASE dd1")) == ["55006"]
        assert other.rows("SELECT * FROM t") == [["1"]]


def test_a_client_that_leaves_meanwhile(proxy):
    create(proxy)
    other = admin(proxy, "dd1")
    other.rows("BEGIN; INSERT INTO t VALUES (2)")
    leaves = threading.Timer(1.0, other.shut)
    leaves.start()
    with admin(proxy) as conn:
        assert wire.sqlstates(conn.simple("DROP DATABASE dd1")) == []
    leaves.join()


def test_the_template_that_the_client_is_in(proxy):
    create(proxy)
    with admin(proxy, "dd1") as conn:
        assert wire.sqlstates(conn.simple("CREATE DATABASE dd2 TEMPLATE dd1")) == []
    with admin(proxy, "dd2") as conn:
        assert conn.rows("SELECT * FROM t") == [["1"]]


# Not postgres: the other Waypost of this run watches from there, and one does not clear away the connections of another.
@pytest.mark.parametrize("monitored", ["dd1", "template1"])
def test_the_database_that_waypost_watches_from(make_waypost, cluster, monitored):
    cluster.sql("CREATE DATABASE dd1", database="postgres")
    monitors = "FROM pg_stat_activity WHERE application_name LIKE 'waypost%monitor%'"
    others = [row[0] for row in cluster.sql(f"SELECT pid {monitors}", database="openfire")]
    try:
        proxy = make_waypost(users=USERS, sections={"monitor": {"database": monitored}}, wait_for_split=True)
        with proxy.connect() as client:
            stop = threading.Event()
            errors = []

            def work():
                while not stop.is_set():
                    errors.extend(wire.sqlstates(client.simple("SELECT count(*) FROM probe_me")))

            worker = threading.Thread(target=work)
            worker.start()
            with admin(proxy, "openfire") as conn:
                assert wire.sqlstates(conn.simple(f"CREATE DATABASE dd2 TEMPLATE {monitored}")) == []
                assert wire.sqlstates(conn.simple("DROP DATABASE dd2")) == []
            stop.set()
            worker.join()
            assert errors == []
        assert proxy.get("/readyz")[0] == 200 and "server_down" not in proxy.log()
        proxy.wait_for_split()

        def at_home():
            where = f"SELECT DISTINCT datname {monitors} AND pid <> ALL ('{{{','.join(others)}}}')"
            return cluster.sql(where, database="openfire") in ([[monitored]], [])

        eventually(at_home, what="the prober back where it is configured to be")
        proxy.stop()
    finally:
        cluster.sql("DROP DATABASE dd1 WITH (FORCE)", database="postgres")


def test_a_name_that_comes_back_is_another_database(proxy):
    create(proxy, value=1)
    with admin(proxy, "dd1") as conn:
        conn.rows("CREATE FUNCTION f() RETURNS int LANGUAGE sql STABLE AS 'SELECT max(a) FROM t'")
        assert conn.value("SELECT f()") == "1"
        eventually(lambda: proxy.route("SELECT f()", database="dd1", user="postgres")["class"] == "read", what="a read")
    with admin(proxy) as conn:
        conn.rows("DROP DATABASE dd1")
    create(proxy, value=2)
    with admin(proxy, "dd1") as conn:
        assert conn.rows("SELECT * FROM t") == [["2"]]
        conn.rows("CREATE TABLE seen (a int)")
        conn.rows("CREATE FUNCTION f() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO seen VALUES (1) RETURNING 3'")
        for _ in range(20):
            assert conn.value("SELECT f()") == "3"
        assert conn.value("SELECT count(*) FROM seen") == "20"
    proxy.counted(0, "waypost_misrouted_total")


@pytest.mark.long  # catalogues are read again every 30 s
def test_dropped_past_waypost(proxy, cluster):
    """What is no longer there is forgotten, not reported for ever as what cannot be read."""

    def reason():
        return proxy.route("SELECT * FROM t", database="dd1", user="postgres")["reason"]

    create(proxy)
    eventually(lambda: reason() == "read_safe", what="a read")
    cluster.sql("DROP DATABASE dd1 WITH (FORCE)", database="postgres")
    eventually(lambda: reason() == "no_catalog", seconds=45, what="a catalogue that is forgotten")
    for _ in range(20):
        assert all("dd1" not in proxy.get(path)[1] for path in ("/readyz?verbose", "/api/v1/status"))
        time.sleep(0.25)
    create(proxy, value=2)
    with admin(proxy, "dd1") as conn:
        assert conn.rows("SELECT * FROM t") == [["2"]]


def test_renamed_and_made_anew(proxy):
    create(proxy, value=1)
    with admin(proxy) as conn:
        conn.rows("ALTER DATABASE dd1 RENAME TO dd2")
    create(proxy, value=2)
    for _ in range(5):
        with admin(proxy, "dd1") as one, admin(proxy, "dd2") as two:
            assert one.rows("SELECT * FROM t") == [["2"]]
            assert two.rows("SELECT * FROM t") == [["1"]]


def test_dropped_again_and_again(proxy):
    for turn in range(5):
        create(proxy, value=turn)
        with admin(proxy, "dd1") as conn:
            assert conn.rows("SELECT * FROM t") == [[str(turn)]]
        with admin(proxy) as conn:
            assert wire.sqlstates(conn.simple("DROP DATABASE dd1")) == []


def test_nothing_is_kept_open_to_it(proxy, cluster):
    create(proxy)
    with admin(proxy) as conn:
        conn.rows("CREATE DATABASE dd2 TEMPLATE dd1")

    def connections():
        return cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'dd1'", database="postgres") == [["0"]]

    eventually(connections, what="no connection to dd1")
