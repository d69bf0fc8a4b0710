"""Clients that start with different settings share server connections, and none waits for one of a special kind."""

import threading
import time

import pytest
import wire

pytestmark = pytest.mark.proxy

KINDS = [{}, {"extra_float_digits": "2"}, {"options": "-c lock_timeout=10000 -c app.who=me"}, {"search_path": "public"},
         {"application_name": "other"}, {"TimeZone": "Asia/Tokyo"}]  # fmt: skip


def connects(proxy):
    return proxy.metric("waypost_server_connects_total", server="pg0", outcome="ok")


def together(conns, sql):
    """Runs `sql` on all of them at the same moment: [(seconds, replies)]."""
    took = [None] * len(conns)
    barrier = threading.Barrier(len(conns))

    def run(i):
        barrier.wait()
        start = time.monotonic()
        replies = conns[i].simple(sql)
        took[i] = (time.monotonic() - start, replies)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(conns))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return took


def test_all_may_be_tied_at_once(make_waypost):
    """As many as there are server connections, each started with other settings: opened once each, and for each."""
    proxy = make_waypost()
    conns = [proxy.connect(application_name=f"worker {n}") for n in range(12)]
    before = connects(proxy)
    for seconds, replies in together(conns, "LISTEN x"):
        assert wire.types(replies) == "CZ" and seconds < 10
    assert connects(proxy) - before <= 12
    for n, conn in enumerate(conns):
        assert conn.value("SHOW application_name") == f"worker {n}"
        conn.shut()


@pytest.mark.parametrize("kinds", [1, 2, 4, 6])
def test_a_full_budget_serves_all_kinds(make_waypost, kinds):
    proxy = make_waypost(sections={"server": {"max_connections": 3}, "top": {"workers": 1}})
    conns = [proxy.connect(**KINDS[n % kinds]) for n in range(12)]
    done = [0] * len(conns)
    until = time.monotonic() + 2

    def work(n):
        while time.monotonic() < until:
            assert wire.types(conns[n].simple("BEGIN; SELECT pg_sleep(0.001); COMMIT")) == "CTDCCZ"
            done[n] += 1

    before = connects(proxy)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(conns))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert connects(proxy) - before <= 3
    assert min(done) * 4 >= max(done) > 5, done
    for conn in conns:
        conn.shut()


def test_an_idle_connection_serves_another_kind(make_waypost):
    proxy = make_waypost(sections={"pool": {"max_size": 1}, "top": {"workers": 1}})
    with proxy.connect(options="-c work_mem=8MB") as one, proxy.connect() as other:
        start = time.monotonic()
        for _ in range(3):
            assert one.rows("SELECT txid_current() > 0, current_setting('work_mem')") == [["t", "8MB"]]
            assert other.rows("SELECT txid_current() > 0, current_setting('work_mem')") == [["t", "4MB"]]
        other.rows("LISTEN x")
        other.rows("UNLISTEN x")
        one.rows("DISCARD ALL")
        assert one.value("SHOW work_mem") == "8MB"
        assert time.monotonic() - start < 5


def test_who_begins_behind_altered_defaults_waits_for_nobody(cluster, make_waypost):
    proxy = make_waypost(sections={"pool": {"max_size": 1}, "top": {"workers": 1}})
    with proxy.connect() as old:
        old.rows("SELECT txid_current()")
        old.rows("ALTER ROLE openfire SET work_mem = '6MB'")
        try:
            start = time.monotonic()
            with proxy.connect() as new:
                assert new.rows("SELECT txid_current() > 0, current_setting('work_mem')") == [["t", "6MB"]]
                old.rows("SELECT txid_current()")
                assert new.rows("SELECT txid_current() > 0, current_setting('work_mem')") == [["t", "6MB"]]
            assert time.monotonic() - start < 5
        finally:
            cluster.sql("ALTER ROLE openfire RESET work_mem")


def test_defaults_altered_again_and_again_let_everybody_work(cluster, make_waypost):
    proxy = make_waypost(sections={"server": {"max_connections": 3}, "top": {"workers": 1}})
    stop = threading.Event()

    def alter():
        with proxy.connect() as conn:
            for n in range(10_000):
                if stop.is_set():
                    return
                conn.rows(f"ALTER ROLE openfire SET work_mem = '{5 + n % 3}MB'")

    thread = threading.Thread(target=alter)
    thread.start()
    try:
        start = time.monotonic()
        for _ in range(20):
            with proxy.connect() as conn:
                assert conn.rows("SELECT txid_current() > 0") == [["t"]]
        assert time.monotonic() - start < 15
    finally:
        stop.set()
        thread.join(30)
        cluster.sql("ALTER ROLE openfire RESET work_mem")


def test_what_can_be_given_at_start_up_alone(make_waypost):
    proxy = make_waypost(sections={"server": {"max_connections": 4}, "top": {"workers": 1}})

    def connect(ignore):
        return proxy.connect(options=f"-c ignore_system_indexes={ignore} -c work_mem=7MB")

    with connect("on") as one, proxy.connect() as other, connect("on") as same:
        for _ in range(2):
            for conn, value in ((one, "on"), (other, "off"), (same, "on")):
                assert conn.value("SELECT current_setting('ignore_system_indexes') || (txid_current() > 0)::text") == value + "true"
    for word in ("1", "true", "yes"):
        with connect(word) as conn:
            assert conn.value("SHOW work_mem") == "7MB"
    with pytest.raises(wire.ServerError, match='too many different values of "ignore_system_indexes" at start-up'):
        connect("off")


RESETS = [
    ["RESET work_mem; SELECT current_setting('work_mem')"],
    ["SET work_mem = '9MB'; RESET ALL; SELECT current_setting('work_mem'), current_setting('DateStyle') -- end"],
    ["BEGIN; SET LOCAL work_mem = '5MB'; SET LOCAL work_mem TO DEFAULT; SELECT current_setting('work_mem'); COMMIT"],
    ["BEGIN", "RESET work_mem -- why", "SELECT current_setting('work_mem')", "SAVEPOINT s; RESET ALL", "SHOW work_mem", "ROLLBACK TO s", "SHOW work_mem", "COMMIT"],
    ["SET work_mem = '9MB'; RESET work_mem; SELECT 1/0", "SHOW work_mem"],
    ["RESET work_mem; SELECT nothing FROM nowhere", "SHOW work_mem"],
    ["SET DateStyle = 'ISO'; RESET DateStyle", "SELECT date '2024-02-03'"],
    ["RESET work_mem; RESET app.who; SELECT current_setting('app.who') /* c */; RESET work_mem /* end"],
    ["SET ROLE NONE; RESET ROLE; SELECT current_setting('role')"],
]  # fmt: skip


@pytest.mark.parametrize("steps", RESETS, ids=[" | ".join(steps)[:60] for steps in RESETS])
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
def test_reset_goes_back_to_the_start(cluster, make_waypost, steps, extended):
    """Also within one batch, with each message as from PostgreSQL, and whatever the connection was used for before."""
    proxy = make_waypost(sections={"server": {"max_connections": 1}, "top": {"workers": 1}, "routing": {"read_from": "none"}})
    start = {"options": "-c work_mem=7MB -c app.who=me", "DateStyle": "SQL, DMY", "application_name": "kinds"}
    seen = []
    with proxy.connect() as other:
        for conn in (cluster.connect(user="openfire", password="openfire", **start), proxy.connect(**start)):
            replies = []
            with conn:
                for sql in steps:
                    if steps[0] != "BEGIN":
                        other.rows("SELECT 1")
                    if extended and "/* end" not in sql:
                        for part in sql.split(";"):
                            conn.send(wire.parse("", part.strip()), wire.bind("", ""), wire.execute())
                        conn.send(wire.sync())
                    else:
                        conn.send(wire.query(sql))
                    replies += [(m.type, m.body if m.type != "E" else {k: v for k, v in wire.error_fields(m.body).items() if k in "CMP"})
                                for m in conn.until()]  # fmt: skip
            seen.append(replies)
    assert seen[0] == seen[1]
