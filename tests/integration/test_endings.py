"""Whichever way a connection ends, the client hears why, as from PostgreSQL."""

import socket
import struct

import meddler as meddlers
import pytest
import waypost as waypost_process
import wire

SSL_REQUEST = struct.pack("!ii", 8, wire.SSL_REQUEST)


def first_error(messages):
    """(severity, SQLSTATE, message) of the first ErrorResponse."""
    fields = next(wire.error_fields(m.body) for m in messages if m.type == "E")
    return fields["S"], fields["C"], fields["M"]


# --- before the end of the login


@pytest.mark.parametrize("before", [b"", SSL_REQUEST], ids=["first", "behind SSLRequest"])
def test_terminate_instead_of_a_start_up_ends_without_a_word(waypost, before):
    with socket.create_connection(("127.0.0.1", waypost.port), timeout=10) as sock:
        if before:
            sock.sendall(before)
            assert sock.recv(1) == b"N"
        sock.sendall(wire.terminate())
        assert sock.recv(100) == b""


def test_terminate_instead_of_a_password(waypost):
    with wire.Wire("127.0.0.1", waypost.port) as conn:
        conn.send(wire.startup_packet({"user": "openfire", "database": "openfire"}))
        assert conn.recv().type == "R"
        conn.send(wire.terminate())
        assert first_error(conn.drain()) == ("FATAL", "08P01", "expected SASL response, got message type 88")


@pytest.mark.proxy
def test_who_never_logs_in_is_closed_as_by_postgresql(make_waypost):
    waypost = make_waypost(sections={"limits": {"login_timeout": "500ms"}})
    for said in ([], [wire.startup_packet({"user": "openfire", "database": "openfire"})]):
        with wire.Wire("127.0.0.1", waypost.port) as conn:
            conn.send(*said)
            assert [m.type for m in conn.drain()] == ["R"] * len(said)


def refused_login(waypost, **params):
    with pytest.raises(wire.ServerError) as refused:
        waypost.connect(**params)
    return refused.value.fields["S"], refused.value.sqlstate


@pytest.mark.proxy
def test_a_login_that_no_primary_can_be_asked_about_is_told_so(cluster):
    nowhere = [{"name": "pg0", "host": "127.0.0.1", "port": waypost_process.free_port()}]
    waypost = waypost_process.Waypost(cluster, servers=nowhere, sections={"cluster": {"failover_hold": "1s"}})
    try:
        waypost.start(wait=False)
        waypost_process.eventually(lambda: listens(waypost.port), what="listening")
        assert refused_login(waypost) == ("FATAL", "57P03")
        waypost.counted(1, "waypost_client_connections_total", outcome="timeout")
    finally:
        waypost.close()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.proxy
def test_a_login_for_which_the_primary_has_no_place_is_told_so(make_waypost):
    waypost = make_waypost(sections={"pool": {"query_wait_timeout": "1s"}, "server": {"max_connections": 1}})
    with waypost.connect() as conn:
        conn.rows("BEGIN")
        conn.rows("SELECT txid_current()")  # holds the only place
        assert refused_login(waypost, application_name="another") == ("FATAL", "53300")


# --- a server that ends a connection, or breaks it


@pytest.fixture(scope="module")
def meddled(cluster):
    """(Meddler, Waypost): one server, all that it says can be changed."""
    cluster.sql("CREATE TABLE IF NOT EXISTS endings (i int)", user="openfire")
    meddler = meddlers.Meddler(cluster.ports["pg0"])
    servers = [{"name": "pg0", "host": "127.0.0.1", "port": meddler.port}]
    waypost = waypost_process.Waypost(cluster, servers=servers, sections={"top": {"workers": 1}})
    try:
        waypost.start()
        yield meddler, waypost
        assert waypost.process.poll() is None, waypost.log()[-3000:]
    finally:
        waypost.close()
        meddler.close()


@pytest.fixture
def conn(meddled):
    meddler, waypost = meddled
    with waypost.connect() as made:
        yield made
        meddler.rule = None


def once(meddler, instead, kind="C", nth=1):
    """The nth message of `kind` becomes what `instead(message)` returns, a list; what follows goes as it is."""
    left = [nth]

    def rule(this, body):
        left[0] -= this == kind
        if this != kind or left[0] != 0:
            return None
        meddler.rule = None
        return instead(wire.message(this, body))

    meddler.rule = rule


EXTENDED = [wire.parse("", "SELECT 7"), wire.bind("", ""), wire.describe("P", ""), wire.execute(), wire.sync()]

# What becomes of the first message of a kind.
MISCHIEF = {
    "closed before the row": ("D", lambda m: [meddlers.CLOSE]),
    "closed in the row": ("D", lambda m: [m[: len(m) // 2], meddlers.CLOSE]),
    "closed behind the row": ("C", lambda m: [meddlers.CLOSE]),
    "closed behind the end": ("Z", lambda m: [meddlers.CLOSE]),
    "unknown status": ("Z", lambda m: [wire.message("Z", b"Q")]),
    "no status": ("Z", lambda m: [wire.message("Z")]),
    "unknown message": ("C", lambda m: [wire.message("!", b"zz"), m]),
    "answered twice": ("C", lambda m: [m, m]),
    "ready too early": ("C", lambda m: [wire.message("Z", b"I"), m]),
    "negative length": ("C", lambda m: [b"C" + struct.pack("!i", -2)]),
    "length too short": ("C", lambda m: [b"C" + struct.pack("!i", 2)]),
    "login again": ("C", lambda m: [wire.message("R", struct.pack("!I", 0)), m]),
    "fatal": ("D", lambda m: [meddlers.error("FATAL", "XX000")]),
    "fatal, and stays open": ("Z", lambda m: [meddlers.error("FATAL", "57P01")]),
    "panic": ("C", lambda m: [meddlers.error("PANIC", "XX000"), meddlers.CLOSE]),
    "idle": ("T", lambda m: [meddlers.error("FATAL", "57P05"), meddlers.CLOSE]),
    "error, then closed": ("C", lambda m: [meddlers.error("ERROR", "22012"), meddlers.CLOSE]),
    "error, then unknown status": ("C", lambda m: [meddlers.error("ERROR", "22012"), wire.message("Z", b"x")]),
    "last notice": ("D", lambda m: [meddlers.error("WARNING", "57P02", kind="N", R="quickdie"), meddlers.CLOSE]),
}
BEFORE = {
    "alone": [],
    "in a block": ["BEGIN", "SELECT txid_current()"],
    "opening a block": ["BEGIN"],
    "tied": ["CREATE TEMP TABLE IF NOT EXISTS tie (i int)"],
    "tied, in a block": ["CREATE TEMP TABLE IF NOT EXISTS tie (i int)", "BEGIN"],
    "settings ahead": ["SET work_mem = '5MB'"],
}
ASKED = {
    "query": [wire.query("SELECT 7")],
    "write": [wire.query("INSERT INTO endings VALUES (1) RETURNING 7")],
    "two": [wire.query("SELECT 7; SELECT 8")],
    "extended": EXTENDED,
    "flush": [*EXTENDED[:-1], wire.flush(), wire.sync()],
    "what is asked about": [wire.query("DO $$ BEGIN PERFORM 1; END $$")],
    "pipeline": [*EXTENDED, *EXTENDED],
}


# Every other pair, as on a chessboard, so that each of either is met; --long runs all.
PAIRS = [
    pytest.param(before, mischief, id=f"{what}-{when}", marks=[pytest.mark.long] if (row + column) % 2 else [])
    for row, (what, mischief) in enumerate(MISCHIEF.items())
    for column, (when, before) in enumerate(BEFORE.items())
]


@pytest.mark.proxy
@pytest.mark.parametrize("before, mischief", PAIRS)
def test_whatever_a_server_does_the_client_is_answered(meddled, before, mischief):
    meddler, waypost = meddled
    kind, instead = mischief
    lies = instead is MISCHIEF["ready too early"][1]  # of a block, too: what follows may well be the end
    for name, asked in ASKED.items():
        with waypost.connect() as conn:
            conn.sock.settimeout(10)
            for sql in before:
                conn.rows(sql)
            once(meddler, instead, kind)
            conn.send(*asked)
            due = sum(part[:1] in (b"S", b"Q") for part in asked)
            try:
                messages = conn.until(count=due)
            except TimeoutError:
                pytest.fail(f"{name}: no answer")
            except ConnectionResetError:
                messages = []
            meddler.rule = None
            if wire.types(messages).count("Z") == due:
                # It goes on: as many answers as questions, and what follows is answered too.
                assert wire.types(messages).count("E") <= due, (name, messages)
                if lies:
                    continue
                # What has no row of its own: Waypost's own question behind it may have been met, which ends the client.
                may_end = name == "what is asked about" and kind in "DT"
                try:
                    conn.rows("ROLLBACK" if messages[-1].body != b"I" else "SELECT 1")
                    assert conn.value("SELECT 5") == "5", name
                except wire.ServerError as fault:
                    assert may_end and fault.fields["S"] == "FATAL", (name, fault)
                except (BrokenPipeError, ConnectionResetError):
                    assert may_end, name
            elif messages and kind != "D":
                assert wire.sqlstates(messages), (name, messages)
                assert first_error(messages[-1:])[0] in ("FATAL", "PANIC"), (name, messages)


@pytest.mark.proxy
@pytest.mark.parametrize("sqlstate", ["25P03", "25P04", "57P05", "57P01", "XX000"])
def test_a_tied_session_hears_why_it_ends(meddled, conn, sqlstate):
    meddler, _ = meddled
    conn.rows("CREATE TEMP TABLE tie (i int)")
    once(meddler, lambda m: [m, meddlers.error("FATAL", sqlstate, "that is why"), meddlers.CLOSE], kind="Z")
    conn.send(wire.query("SELECT 1"))
    assert first_error(conn.drain()) == ("FATAL", sqlstate, "that is why")


@pytest.mark.proxy
@pytest.mark.parametrize("sqlstate", ["25P03", "25P04", "XX000"])
def test_a_client_whose_block_the_server_ends_hears_why(meddled, conn, sqlstate):
    meddler, _ = meddled
    conn.rows("BEGIN")
    conn.rows("SELECT txid_current()")
    once(meddler, lambda m: [m, meddlers.error("FATAL", sqlstate, "that is why"), meddlers.CLOSE], kind="Z")
    conn.send(wire.query("SELECT 1"))
    assert first_error(conn.drain()) == ("FATAL", sqlstate, "that is why")


@pytest.mark.proxy
@pytest.mark.parametrize("goodbye", [
    [meddlers.error("FATAL", "57P01", "it goes")], [meddlers.error("FATAL", "40001", "it goes")],
    [meddlers.error("WARNING", "57P02", "it goes", kind="N", R="quickdie")],
])  # fmt: skip
def test_a_block_whose_server_goes_away_can_be_tried_again(meddled, conn, goodbye):
    meddler, _ = meddled
    conn.rows("BEGIN")
    conn.rows("SELECT txid_current()")
    once(meddler, lambda m: [*goodbye, meddlers.CLOSE], kind="T")
    replies = conn.simple("SELECT 1")
    assert wire.types(replies) == "EZ" and replies[-1].body == b"E"
    fields = wire.error_fields(replies[0].body)
    assert (fields["S"], fields["C"], fields["D"]) == ("ERROR", "40001", "it goes")
    conn.rows("ROLLBACK")
    assert conn.value("SELECT 7") == "7"


@pytest.mark.proxy
def test_a_statement_that_failed_before_its_server_was_lost_has_one_error(meddled, conn):
    meddler, _ = meddled
    once(meddler, lambda m: [meddlers.CLOSE], kind="Z")
    replies = conn.simple("INSERT INTO endings SELECT 1 / 0")
    assert wire.types(replies) == "EZ" and wire.sqlstates(replies) == ["22012"]


@pytest.mark.proxy
@pytest.mark.parametrize("begin", [[], ["BEGIN"]], ids=["alone", "opening a block"])
@pytest.mark.parametrize("goodbye", [[], [meddlers.error("FATAL", "57P01", "it goes")]], ids=["unsaid", "said"])
def test_a_read_of_which_nothing_was_heard_runs_again(meddled, conn, begin, goodbye):
    meddler, waypost = meddled
    before = waypost.metric("waypost_read_retries_total")
    for sql in begin:
        conn.rows(sql)
    for asked in ([wire.query("SELECT 7")], EXTENDED):
        once(meddler, lambda m: [*goodbye, meddlers.CLOSE], kind="T" if len(asked) == 1 else "1")
        conn.send(*asked)
        assert wire.rows(conn.until()) == [["7"]]
        if begin:
            conn.rows("ROLLBACK")
            conn.rows("BEGIN")
    waypost.counted(before + 2, "waypost_read_retries_total")


def close_at_rows(meddler):
    """From now on the server connection ends where rows would come: what was sent so far."""
    seen = []

    def rule(kind, _):
        if kind != "T":
            return None
        seen.append(kind)
        return [meddlers.CLOSE]

    meddler.rule = rule
    return seen


@pytest.mark.proxy
def test_a_read_that_brings_its_server_down_runs_no_third_time(meddled, conn):
    meddler, _ = meddled
    seen = close_at_rows(meddler)
    replies = conn.simple("SELECT 7")
    assert wire.sqlstates(replies) == ["08006"] and len(seen) == 2
    meddler.rule = None
    assert conn.value("SELECT 7") == "7"


@pytest.mark.proxy
@pytest.mark.parametrize("sql", ["INSERT INTO endings VALUES (1) RETURNING 1", "SELECT nextval('endings_s')"])
def test_what_may_have_written_never_runs_again(cluster, meddled, conn, sql):
    meddler, _ = meddled
    cluster.sql("CREATE SEQUENCE IF NOT EXISTS endings_s", user="openfire")
    seen = close_at_rows(meddler)
    assert wire.sqlstates(conn.simple(sql)) == ["08007"] and len(seen) == 1


@pytest.mark.proxy
def test_what_meets_the_end_of_an_idle_connection_runs_again(meddled, conn):
    """idle_session_timeout on a pooled connection is not the client's concern, and nothing was looked at."""
    meddler, _ = meddled
    once(meddler, lambda m: [meddlers.error("FATAL", "57P05"), meddlers.CLOSE], kind="T")
    assert conn.value("INSERT INTO endings VALUES (1) RETURNING 7") == "7"


def test_idle_in_transaction_session_timeout(waypost):
    with waypost.connect() as conn:
        conn.rows("SET idle_in_transaction_session_timeout = '200ms'")
        conn.rows("BEGIN")
        conn.rows("CREATE TEMP TABLE x (i int) ON COMMIT DROP")
        said = first_error(conn.drain())
    assert said == ("FATAL", "25P03", "terminating connection due to idle-in-transaction timeout")


def test_idle_session_timeout_of_a_tied_session(waypost):
    with waypost.connect() as conn:
        conn.rows("CREATE TEMP TABLE x (i int)")
        conn.rows("SET idle_session_timeout = '200ms'")
        said = first_error(conn.drain())
    assert said == ("FATAL", "57P05", "terminating connection due to idle-session timeout")


def test_a_tied_session_that_an_administrator_ends(cluster, waypost):
    with waypost.connect() as conn:
        conn.rows("CREATE TEMP TABLE x (i int)")
        cluster.sql(f"SELECT pg_terminate_backend({conn.value('SELECT pg_backend_pid()')}, 5000)")
        said = first_error(conn.drain())
    assert said == ("FATAL", "57P01", "terminating connection due to administrator command")


# --- notifications


def notified(conn):
    return [struct.unpack("!i", m.body[:4])[0] for m in conn.simple("SELECT 1") if m.type == "A"]


def test_a_client_knows_its_own_notifications(waypost):
    with waypost.connect() as conn, waypost.connect() as other:
        conn.rows("LISTEN endings")
        replies = conn.simple("NOTIFY endings, 'own'")
        own = [m for m in replies if m.type == "A"]
        assert [struct.unpack("!i", m.body[:4])[0] for m in own] == [conn.pid]
        assert own[0].body[4:] == b"endings\0own\0"
        other.rows("NOTIFY endings, 'of another'")
        (sender,) = waypost_process.eventually(lambda: notified(conn), what="a notification")
        assert sender != conn.pid
