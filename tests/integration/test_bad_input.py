"""Whatever a peer sends: a clear error, nothing else disturbed, no crash."""

import random
import struct

import pytest
import waypost as waypost_process
import wire

GOOD_START = wire.startup_packet({"user": "openfire", "database": "openfire"})


@pytest.fixture(autouse=True)
def bystander(waypost):
    """A client that was there before lives on in its transaction, and a new one is served, whatever the test did."""
    with waypost.connect() as conn:
        conn.rows("BEGIN")
        conn.rows("CREATE TEMP TABLE bystander AS SELECT 42 AS n")
        yield
        assert conn.value("SELECT n FROM bystander") == "42"
        conn.rows("ROLLBACK")
        with waypost.connect() as newcomer:
            assert newcomer.value("SELECT count(*) FROM probe_me") == "100"


def send_and_drain(port, data, login=False):
    with wire.Wire("127.0.0.1", port) as conn:
        if login:
            conn.login("openfire", "openfire")
        try:
            conn.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return conn.drain()


def assert_refused(messages, *sqlstates):
    """Nothing but an ErrorResponse of these SQLSTATEs and the end; the end alone is PostgreSQL's way as well."""
    codes = wire.sqlstates(messages)
    assert wire.types(messages) in ("", "E"), messages
    assert not codes or codes[0] in sqlstates, messages


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 7, 10005, 0x7FFFFFFF, -1, -0x80000000])
def test_start_up_length(waypost, length):
    assert_refused(send_and_drain(waypost.port, struct.pack("!ii", length, 196608) + b"\0"), "08P01")


@pytest.mark.parametrize("length", [-0x80000000, -1, 0, 3, 0x40000001, 0x7FFFFFFF])
@pytest.mark.parametrize("kind", "QPBDEFCdp")
def test_message_length(waypost, kind, length):
    assert_refused(send_and_drain(waypost.port, kind.encode() + struct.pack("!i", length), login=True), "08P01", "54000")


@pytest.mark.parametrize("kind", [b"\0", b"z", b"p", b"R", b"Z", b"1", b"\xff"])
def test_message_type(waypost, kind):
    assert_refused(send_and_drain(waypost.port, kind + struct.pack("!i", 4), login=True), "08P01")


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /api HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000,
     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)), b"SSH-2.0-OpenSSH_9.2\r\n",
     b"SELECT 1;\n", b"\0" * 10000],
    ids=["http", "http post", "tls", "ssh", "sql", "zeros"],
)  # fmt: skip
def test_another_protocol(waypost, data):
    assert_refused(send_and_drain(waypost.port, data), "08P01", "0A000", "28000")


def test_garbage_before_login(waypost):
    rng = random.Random(1)
    for _ in range(100):
        with wire.Wire("127.0.0.1", waypost.port) as conn:
            conn.send(rng.randbytes(rng.randint(1, 400)))


def test_garbage_after_login(waypost):
    rng = random.Random(2)
    for _ in range(100):
        with waypost.connect() as conn:
            kind = bytes([rng.choice(b"QPBDEFCdcfSHXp")])
            body = rng.randbytes(rng.randint(0, 60))
            conn.send(kind + struct.pack("!i", len(body) + 4) + body, wire.sync(), wire.terminate())
            try:
                conn.drain()
            except TimeoutError:
                pytest.fail(f"no end after {kind!r} {body!r}")


def test_client_vanishes_at_every_byte_of_login(waypost):
    for cut in range(0, len(GOOD_START)):
        with wire.Wire("127.0.0.1", waypost.port) as conn:
            conn.send(GOOD_START[:cut])


def test_client_vanishes_in_the_middle_of_things(waypost):
    batch = (
        wire.parse("s", "SELECT i FROM generate_series(1, 100000) i")
        + wire.bind("", "s")
        + wire.execute()
        + wire.sync()
        + wire.query("BEGIN")
        + wire.query("INSERT INTO probe_me VALUES (-1, 'never')")
    )
    for cut in range(0, len(batch), 7):
        with waypost.connect() as conn:
            conn.send(batch[:cut])
    with waypost.connect() as conn:
        conn.send(wire.query("COPY probe_me FROM STDIN"))
        conn.until("G")
        conn.send(wire.copy_data("-2\tnever\n"))
    with waypost.connect() as conn:
        assert conn.value("SELECT count(*) FROM probe_me WHERE id < 0") == "0"


@pytest.mark.parametrize("answer", [
    wire.query("SELECT 1"), wire.message("p"), wire.message("p", b"SCRAM-SHA-256"), wire.message("p", b"X\0\0\0\0\1"),
    wire.message("p", b"SCRAM-SHA-256\0\x7f\xff\xff\xff"),
    wire.message("p", b"SCRAM-SHA-256\0\0\0\0\5hello"), wire.message("p", b"SCRAM-SHA-256-PLUS\0\0\0\0\5hello"),
    wire.message("p", b"SCRAM-SHA-256\0\0\0\0\x06n,,n=,"), b"p\x7f\xff\xff\xff", wire.message("p", b"\0" * 70000),
    wire.message("p", wire.cstr("SCRAM-SHA-256") + struct.pack("!i", 30) + b"p=tls-unique,,n=,r=aaaaaaaaaaa"),
])  # fmt: skip
def test_wrong_authentication_message(waypost, answer):
    with wire.Wire("127.0.0.1", waypost.port) as conn:
        conn.send(GOOD_START)
        assert conn.recv().type == "R"
        conn.send(answer)
        try:
            rest = conn.drain()
        except TimeoutError:
            pytest.fail("no end")
        assert_refused([m for m in rest if m.type != "R"], "08P01", "28000", "28P01", "0A000")


@pytest.mark.parametrize("final", [b"", b"c=biws", b"c=biws,r=x,p=AAAA", b"c=biws,r=,p=" + b"!" * 44, b"\0\0\0", b"e=no"])
def test_wrong_scram_final(waypost, final):
    with wire.Wire("127.0.0.1", waypost.port) as conn:
        conn.send(GOOD_START)
        conn.recv()
        first = b"n,,n=,r=abcdefghijklmnop"
        conn.send(wire.message("p", wire.cstr("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
        assert conn.recv().type == "R"
        conn.send(wire.message("p", final))
        assert_refused(conn.drain(), "08P01", "28000", "28P01")


def test_statement_with_100_000_terms(cluster, waypost):
    sql = "SELECT " + "+".join(["1"] * 100_000)
    with cluster.connect(user="openfire", password="openfire") as direct, waypost.connect() as conn:
        expected, actual = direct.simple(sql), conn.simple(sql)
        assert wire.types(actual) == wire.types(expected)
        assert wire.sqlstates(actual) == wire.sqlstates(expected)
        assert conn.value("SELECT 1") == "1"


@pytest.mark.parametrize("nested", ["(", "SELECT (", "[", "CASE WHEN ", "NOT ", "SELECT * FROM (", "- "])
def test_deeply_nested_statement(cluster, waypost, nested):
    sql = "SELECT " + nested * 50_000 + "1"
    with cluster.connect(user="openfire", password="openfire") as direct, waypost.connect() as conn:
        expected, actual = direct.simple(sql), conn.simple(sql)
        assert wire.sqlstates(actual) == wire.sqlstates(expected)
        assert conn.value("SELECT 1") == "1"


def test_statement_of_50_megabytes(waypost):
    """Waypost need not accept it, but must say so; PostgreSQL does accept it."""
    text = "x" * (50 << 20)
    with waypost.connect() as conn:
        replies = conn.simple(f"SELECT length('{text}')")
        if wire.sqlstates(replies):
            assert wire.sqlstates(replies) == ["54000"]
        else:
            assert wire.rows(replies) == [[str(50 << 20)]]
    with waypost.connect() as conn:
        conn.send(wire.parse("", f"SELECT length('{text}')"), wire.bind("", ""), wire.execute(), wire.sync())
        replies = conn.until()
        assert wire.sqlstates(replies) == ["54000"] or wire.rows(replies) == [[str(50 << 20)]]


def test_many_names(waypost):
    """Statement names without end are memory without end: they work, or are refused clearly."""
    with waypost.connect() as conn:
        for start in range(0, 5000, 500):
            conn.send(*(wire.parse(f"name{i}", f"SELECT {i}") for i in range(start, start + 500)), wire.sync())
            assert wire.sqlstates(conn.until()) in ([], ["53000"], ["54000"])
        conn.send(wire.bind("", "name77"), wire.execute(), wire.sync())
        assert wire.rows(conn.until()) == [["77"]]


def test_a_long_pipeline_that_is_not_read(waypost):
    """The client sends 20,000 queries before it reads one answer: back-pressure, not memory or deadlock."""
    import threading

    with waypost.connect(timeout=60) as conn:
        count = 20_000
        sender = threading.Thread(target=lambda: conn.send(*[wire.query("SELECT repeat('x', 500)")] * count))
        sender.start()
        replies = sum(1 for _ in range(count) if conn.until()[-1].type == "Z")
        sender.join(30)
        assert replies == count


@pytest.mark.proxy
def test_cancel_requests_that_are_wrong(waypost):
    with waypost.connect() as conn:
        for packet in (
            wire.cancel_packet(conn.pid, b"\0\0\0\0"),
            wire.cancel_packet(conn.pid ^ 1, conn.key),
            wire.cancel_packet(conn.pid, conn.key + b"more"),
            wire.cancel_packet(conn.pid, b""),
            wire.cancel_packet(-1, b"\xff" * 4),
            wire.cancel_packet(0, b"k" * 200),
        ):
            assert_refused(send_and_drain(waypost.port, packet), "08P01")
        assert conn.value("SELECT 1") == "1"


@pytest.mark.proxy
def test_garbage_to_the_admin_port(waypost):
    for data in (b"\0\0\0\x08\x04\xd2\x16\x2f", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"\xff" * 1000, GOOD_START,
                 b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n"):  # fmt: skip
        with wire.Wire("127.0.0.1", waypost.admin_port) as conn:
            conn.send(data)
    assert waypost.get("/healthz")[0] == 200
    assert waypost.get("/no/such/page")[0] == 404
    for body in (b"", b"{", b"[]", b'{"sql": 5}', b"{}", b"\xff\xfe", b'{"sql": "' + b"x" * 100, b"[" * 100000):
        assert waypost.get("/api/v1/route", body)[0] == 400, body[:40]
    status, _ = waypost.get("/api/v1/route", {"sql": "SELECT " + "(" * 100_000, "database": "openfire", "user": "openfire"})
    assert status in (200, 400)


@pytest.mark.proxy
def test_a_server_that_cannot_be_reached(cluster, make_waypost):
    servers = [{"name": n, "host": "127.0.0.1", "port": p} for n, p in cluster.ports.items()]
    servers.append({"name": "gone", "host": "127.0.0.1", "port": waypost_process.free_port()})
    proxy = make_waypost(servers=servers, wait_for_split=True)
    with proxy.connect() as conn:
        assert conn.value("SELECT count(*) FROM probe_me") == "100"
    assert "gone" in proxy.get("/api/v1/servers")[1]


@pytest.mark.proxy
def test_no_server_can_be_reached(cluster):
    """Login is held or refused with a clear error, never served; nothing crashes, and it stops when told."""
    servers = [{"name": "gone", "host": "127.0.0.1", "port": waypost_process.free_port()}]
    proxy = waypost_process.Waypost(
        cluster, servers=servers, sections={"limits": {"login_timeout": "2s"}, "cluster": {"failover_hold": "1s"}}
    )
    try:
        proxy.start(wait=False)

        def alive():
            try:
                return proxy.get("/healthz")[0] == 200
            except OSError:
                return False

        waypost_process.eventually(alive, 20, "healthz")
        assert proxy.get("/readyz")[0] == 503
        with pytest.raises((wire.ServerError, ConnectionError)) as refused:
            proxy.connect().value("SELECT 1")
        if isinstance(refused.value, wire.ServerError):
            assert refused.value.sqlstate[:2] in ("08", "57", "53")
    finally:
        proxy.close()


@pytest.mark.proxy
def test_logs_on_a_full_disk(make_waypost):
    proxy = make_waypost(sections={"log": {"file": "/dev/full", "level": "debug"}})
    for _ in range(20):
        with proxy.connect() as conn:
            assert conn.value("SELECT 1") == "1"
