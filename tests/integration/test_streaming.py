"""Messages of any legal size stream with bounded memory."""

import threading
import time

import pytest
import wire

MIB = 1 << 20
BOUND = 64 * MIB
pytestmark = pytest.mark.timeout(900)


class Watch:
    """The most memory that Waypost held while a block ran."""

    def __init__(self, process):
        self.process, self.peak, self.over = process, 0, threading.Event()

    def __enter__(self):
        self.before = self.process.rss_bytes()
        self.thread = threading.Thread(target=self._poll)
        self.thread.start()
        return self

    def _poll(self):
        while not self.over.wait(0.02):
            self.peak = max(self.peak, self.process.rss_bytes())

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    @property
    def growth(self):
        return max(0, self.peak - self.before)


def slow_read(conn, wanted, pauses=5):
    """Reads `wanted` bytes, stopping now and then so that everything behind fills up."""
    got, wait = 0, threading.Event()
    while got < wanted:
        if got * pauses // wanted != (got - 65536) * pauses // wanted:
            wait.wait(0.2)
        got += len(conn.read(min(65536, wanted - got)))


SIZES = [pytest.param(64, id="64 MB"), pytest.param(1024, id="1 GB", marks=pytest.mark.long)]


@pytest.mark.rss
@pytest.mark.proxy
@pytest.mark.parametrize("megabytes", SIZES)
@pytest.mark.parametrize("row_bytes", [1000, 2 * MIB, 32 * MIB], ids=["small rows", "2 MB rows", "32 MB rows"])
def test_result_to_a_slow_client(make_waypost, megabytes, row_bytes):
    proxy = make_waypost(wait_for_split=True)
    rows = megabytes * MIB // row_bytes
    with proxy.connect(timeout=120) as conn, Watch(proxy) as memory:
        conn.send(wire.query(f"SELECT repeat('x', {row_bytes}) FROM generate_series(1, {rows})"))
        assert conn.recv().type == "T"
        slow_read(conn, rows * (row_bytes + 11))
        assert wire.types(conn.until()) == "CZ"
    assert memory.growth < BOUND, f"{memory.growth / MIB:.0f} MiB"


@pytest.mark.rss
@pytest.mark.proxy
@pytest.mark.parametrize("megabytes", SIZES)
def test_copy_in_from_a_fast_client(cluster, make_waypost, megabytes):
    proxy = make_waypost(wait_for_split=True)
    cluster.sql("DROP TABLE IF EXISTS copied; CREATE UNLOGGED TABLE copied (t text)", database="bench", user="openfire")
    line = b"y" * 1023 + b"\n"
    block = wire.copy_data(line * 64)
    with proxy.connect(database="bench", timeout=300) as conn, Watch(proxy) as memory:
        conn.send(wire.query("COPY copied FROM STDIN"))
        assert wire.types(conn.until("G")) == "G"
        for _ in range(megabytes * 16):
            conn.send(block)
        conn.send(wire.copy_done())
        replies = conn.until()
    assert wire.types(replies) == "CZ" and replies[0].body == b"COPY %d\0" % (megabytes * 1024)
    assert memory.growth < BOUND, f"{memory.growth / MIB:.0f} MiB"
    cluster.sql("DROP TABLE copied", database="bench", user="openfire")


@pytest.mark.rss
@pytest.mark.proxy
@pytest.mark.parametrize("megabytes", SIZES)
def test_copy_out_to_a_slow_client(make_waypost, megabytes):
    proxy = make_waypost(wait_for_split=True)
    rows = megabytes * 1024
    with proxy.connect(timeout=120) as conn, Watch(proxy) as memory:
        conn.send(wire.query(f"COPY (SELECT repeat('x', 1023) FROM generate_series(1, {rows})) TO STDOUT"))
        assert conn.recv().type == "H"
        slow_read(conn, rows * (1024 + 5))
        assert wire.types(conn.until()) == "cCZ"
    assert memory.growth < BOUND, f"{memory.growth / MIB:.0f} MiB"


@pytest.mark.rss
@pytest.mark.proxy
def test_large_parameter(make_waypost):
    """A Bind of 64 MB."""
    proxy = make_waypost(wait_for_split=True)
    value = b"z" * (64 * MIB)
    with proxy.connect(timeout=120) as conn, Watch(proxy) as memory:
        for _ in range(2):
            conn.send(wire.parse("", "SELECT length($1)", [25]), wire.bind("", "", [value]), wire.execute(), wire.sync())
            assert wire.rows(conn.until()) == [[str(64 * MIB)]]
    assert memory.growth < BOUND, f"{memory.growth / MIB:.0f} MiB"


def test_large_parameter_is_right(waypost):
    value = bytes(range(48, 58)) * 300_000
    with waypost.connect(timeout=60) as conn:
        for size in (8_000, 65_530, 65_536, 65_540, 3_000_000):
            conn.send(wire.parse("", "SELECT $1", [25]), wire.bind("", "", [value[:size]]), wire.execute(), wire.sync())
            assert wire.row_values(next(m.body for m in conn.until() if m.type == "D")) == [value[:size]]


def test_many_slow_clients_at_once(waypost):
    """Others are served while forty results wait for clients that do not read."""
    slow = [waypost.connect(timeout=60) for _ in range(40)]
    for conn in slow:
        conn.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 5000)"))
    with waypost.connect() as quick:
        for _ in range(20):
            assert quick.value("SELECT count(*) FROM probe_me") == "100"
    for conn in slow:
        assert wire.types(conn.until()).count("D") == 5000
        conn.shut()


def test_pipelined_copy_both_ways(waypost):
    """COPY in, and a large result behind it, all sent before anything is read."""
    with waypost.connect(timeout=60) as conn:
        conn.rows("CREATE TEMP TABLE both_ways (t text)")
        data = [wire.copy_data(b"q" * 1000 + b"\n") for _ in range(3000)]
        sender = threading.Thread(
            target=lambda: conn.send(
                wire.query("COPY both_ways FROM STDIN"), *data, wire.copy_done(), wire.query("SELECT t FROM both_ways")
            )
        )
        sender.start()
        replies = conn.until("Z", 2)
        sender.join(30)
        assert wire.types(replies) == "GCZT" + "D" * 3000 + "CZ"


@pytest.mark.long
def test_a_client_in_no_hurry(waypost):
    """It takes nothing for more than a minute, and then all: no more is asked of it than PostgreSQL does."""
    with waypost.connect() as conn:
        conn.sock.settimeout(120)
        conn.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        time.sleep(75)
        assert len(wire.rows(conn.until())) == 100000


@pytest.mark.long
def test_a_copy_that_waits_for_a_lock(cluster, waypost):
    """The server takes nothing for more than a minute."""
    cluster.sql("CREATE TABLE IF NOT EXISTS locked (t text)", user="openfire")
    try:
        with cluster.connect(user="openfire", password="openfire") as holder, waypost.connect() as conn:
            holder.simple("BEGIN")
            holder.simple("LOCK TABLE locked")
            conn.sock.settimeout(120)
            rows = [wire.copy_data("x" * 999 + "\n")] * 40000
            sent = threading.Thread(target=conn.send, args=(wire.query("COPY locked FROM STDIN"), *rows, wire.copy_done()))
            sent.start()
            time.sleep(75)
            holder.simple("COMMIT")
            assert wire.sqlstates(conn.until()) == []
            sent.join()
            assert conn.value("SELECT count(*) FROM locked") == "40000"
    finally:
        cluster.sql("DROP TABLE locked", user="openfire")
