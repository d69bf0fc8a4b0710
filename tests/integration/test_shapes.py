"""DDL under prepared statements: a client that described a statement once reads rows of that shape or hears 0A000, wherever its
statement runs: the answers of Waypost are those of PostgreSQL, message by message."""

import contextlib
import os
import signal
import struct
import threading
import time

import psycopg
import pytest
import wire
from cluster import REPLICAS
from waypost import Waypost

INT4, INT8, FLOAT8 = 23, 20, 701
ONE = "(a int, b text); INSERT INTO shape VALUES (12345, 'one')"

# What is there before, the text, the DDL: each changes what the text returns or takes, or looks as if it did.
CASES = {
    "type": (ONE, "SELECT a FROM shape FOR UPDATE", "ALTER TABLE shape ALTER a TYPE bigint"),
    "type of a float": (ONE, "SELECT a FROM shape FOR UPDATE", "ALTER TABLE shape ALTER a TYPE float8"),
    "new column": (ONE, "SELECT * FROM shape FOR UPDATE", "ALTER TABLE shape ADD c int DEFAULT 3"),
    "new column that is not asked for": (ONE, "SELECT a FROM shape FOR UPDATE", "ALTER TABLE shape ADD c int"),
    "column gone": (ONE, "SELECT * FROM shape FOR UPDATE", "ALTER TABLE shape DROP b"),
    "column gone that is asked for": (ONE, "SELECT a FROM shape FOR UPDATE", "ALTER TABLE shape DROP a"),
    "column renamed": (ONE, "SELECT * FROM shape FOR UPDATE", "ALTER TABLE shape RENAME b TO bb"),
    "table gone": (ONE, "SELECT a FROM shape FOR UPDATE", "DROP TABLE shape"),
    "modifier": ("(a varchar(10)); INSERT INTO shape VALUES ('x')", "SELECT a FROM shape FOR UPDATE", "ALTER TABLE shape ALTER a TYPE varchar(20)"),
    "the same again": (ONE, "SELECT a FROM shape FOR UPDATE", "DROP TABLE shape; CREATE TABLE shape " + ONE),
    "there and back": (ONE, "SELECT a FROM shape FOR UPDATE", "ALTER TABLE shape ALTER a TYPE bigint; ALTER TABLE shape ALTER a TYPE int"),
    "index": (ONE, "SELECT a FROM shape WHERE a > 1 FOR UPDATE", "CREATE INDEX ON shape (a)"),
    "view": (ONE + "; CREATE VIEW shape_view AS SELECT a FROM shape", "SELECT * FROM shape_view FOR UPDATE",
             "CREATE OR REPLACE VIEW shape_view AS SELECT a, b FROM shape"),
    "function": (ONE + "; CREATE FUNCTION shape_f() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'", "SELECT shape_f() AS f",
                 "DROP FUNCTION shape_f(); CREATE FUNCTION shape_f() RETURNS float8 LANGUAGE sql VOLATILE AS 'SELECT 1.5::float8'"),
    "returning": (ONE, "UPDATE shape SET b = b RETURNING *", "ALTER TABLE shape ALTER a TYPE bigint"),
    "insert returning": (ONE, "INSERT INTO shape (a) VALUES (7) RETURNING a", "ALTER TABLE shape ALTER a TYPE bigint"),
    "no rows": (ONE, "UPDATE shape SET b = b", "ALTER TABLE shape ALTER a TYPE bigint"),
    "no columns": (ONE, "SELECT FROM shape FOR UPDATE", "ALTER TABLE shape ALTER a TYPE bigint"),
}  # fmt: skip
CLEAN = "DROP VIEW IF EXISTS shape_view; DROP FUNCTION IF EXISTS shape_f(); DROP TABLE IF EXISTS shape"


def seen(messages):
    """What a driver takes from the answers; the table and column that a RowDescription names are another run's own."""
    out = []
    for msg in messages:
        if msg.type == "E":
            fields = wire.error_fields(msg.body)
            out.append(("E", fields["S"], fields["C"], fields["M"], fields["R"]))
        elif msg.type == "T":
            count, at, columns = struct.unpack_from("!h", msg.body)[0], 2, []
            for _ in range(count):
                end = msg.body.index(b"\0", at)
                columns.append((msg.body[at:end], *struct.unpack_from("!IhI", msg.body, end + 7)))
                at = end + 19
            out.append(("T", columns))
        else:
            out.append((msg.type, msg.body))
    return out


class Play:
    """The same steps with PostgreSQL and with Waypost: `a` has prepared, `d` does DDL, `other` may prepare the same."""

    def __init__(self, connect):
        self.connect, self.opened, self.seen = connect, [], []
        self.a, self.d = self.open(), self.open()

    def open(self):
        self.opened.append(self.connect())
        return self.opened[-1]

    def ask(self, conn, *messages):
        conn.send(*messages, wire.sync())
        self.seen.append(seen(conn.until()))

    def query(self, conn, sql):
        self.seen.append(seen(conn.simple(sql)))

    def hold(self):
        """Takes the server connection that was used last."""
        self.open().rows("BEGIN; SELECT txid_current()")

    def close(self):
        for conn in self.opened:
            conn.shut()


def undescribed(name, values=(), formats=()):
    return wire.bind("", name, values, formats=formats, results=[1]), wire.execute()


def play(connect, name, case, place, use):
    before, sql, ddl = CASES[case]
    self = Play(connect)
    try:
        self.d.rows(f"{CLEAN}; CREATE TABLE shape {before}")
        self.a.rows("SELECT count(*) FROM probe_me")
        self.ask(self.a, wire.parse("fine", "SELECT count(*) FROM probe_me"), wire.describe("S", "fine"))
        self.ask(self.a, wire.parse(name, sql), *([wire.describe("S", name)] if name == "" or place != "not described" else []))
        self.ask(self.a, *undescribed(name))
        if place == "elsewhere":
            self.hold()
        self.d.rows(ddl)
        if place == "parsed since":
            other = self.open()
            self.ask(other, wire.parse("mine", sql), wire.describe("S", "mine"))
        if use == "alone":
            self.ask(self.a, *undescribed(name))
        elif use == "block":
            self.query(self.a, "BEGIN")
            self.ask(self.a, *undescribed(name))
            self.query(self.a, "SELECT count(*) FROM probe_me")
            self.query(self.a, "ROLLBACK")
        elif use == "pipeline":
            self.ask(self.a, *undescribed("fine"), *undescribed(name), *undescribed("fine"))
        elif use == "syncs":
            self.a.send(*undescribed("fine"), wire.sync(), *undescribed(name), wire.sync(), *undescribed("fine"), wire.sync())
            self.seen.append(seen(self.a.until(count=3)))
        elif use == "flush":
            self.a.send(*undescribed(name), wire.flush())
            self.a.send(*undescribed("fine"), wire.sync())
            self.seen.append(seen(self.a.until()))
        for _ in range(2):  # what a driver does then: it prepares anew, and that works at once
            self.ask(self.a, wire.close("S", name), wire.parse(name, sql), wire.describe("S", name))
            self.ask(self.a, *undescribed(name))
        self.ask(self.a, *undescribed("fine"))
        return self.seen
    finally:
        self.close()


@pytest.fixture(scope="module")
def primary_only(cluster):
    """All on the primary, so that it is known which statement meets which connection."""
    made = Waypost(cluster, sections={"routing": {"read_from": "none"}, "top": {"workers": 1}})
    try:
        yield made.start()
    finally:
        made.close()


@pytest.mark.proxy
@pytest.mark.parametrize("place", ["there", "elsewhere", "parsed since", "not described"])
@pytest.mark.parametrize("case", CASES)
def test_the_shape_of_rows_is_the_one_that_was_told(cluster, primary_only, case, place):
    for name in ("s", ""):
        for use in ("alone", "block", "pipeline", "syncs", "flush"):
            if name == "" and use == "block":
                continue  # BEGIN, a Query, ends the unnamed statement
            direct = play(lambda: cluster.connect(user="openfire", password="openfire"), name, case, place, use)
            through = play(primary_only.connect, name, case, place, use)
            assert through == direct, (name, use)


def described_as(messages):
    """The type of the first column that is returned."""
    (described,) = [m.body for m in messages if m.type == "T"]
    return struct.unpack_from("!I", described, described.index(b"\0", 2) + 7)[0]


DECODE = {INT4: ("!i", 4), INT8: ("!q", 8), FLOAT8: ("!d", 8)}


class Driver:
    """As pgjdbc, asyncpg, tokio-postgres and npgsql do it: describes once, reads all rows by that, prepares anew on 0A000."""

    def __init__(self, conn, text, name="s"):
        self.conn, self.text, self.name, self.type, self.number, self.refused = conn, text, name, None, 0, 0

    def prepare(self):
        self.number += 1
        self.at = f"{self.name}{self.number}" if self.name else ""
        self.conn.send(wire.parse(self.at, self.text), wire.describe("S", self.at), wire.sync())
        answer = self.conn.until()
        assert not wire.sqlstates(answer), answer
        self.type = described_as(answer)

    def read(self):
        """The first value, by the type that was told; None: 0A000."""
        self.conn.send(wire.bind("", self.at, results=[1]), wire.execute(), wire.sync())
        answer = self.conn.until()
        if wire.sqlstates(answer):
            assert wire.sqlstates(answer) == ["0A000"], [wire.error_fields(m.body) for m in answer if m.type == "E"]
            self.refused += 1
            return None
        code, size = DECODE[self.type]
        (row,) = [wire.row_values(m.body) for m in answer if m.type == "D"]
        assert len(row[0]) == size, (self.type, row)
        return struct.unpack(code, row[0])[0]


@pytest.mark.proxy
def test_a_bind_too_large_to_gather(cluster, primary_only):
    """Its statement is asked for, too, before it goes."""
    large = b"x" * (2 << 20)
    for place in ("there", "elsewhere"):
        self = Play(primary_only.connect)
        try:
            self.d.rows(f"{CLEAN}; CREATE TABLE shape {ONE}")
            self.ask(self.a, wire.parse("s", "SELECT a, length($1) FROM shape FOR UPDATE"), wire.describe("S", "s"))
            if place == "elsewhere":
                self.hold()
            self.ask(self.a, *undescribed("s", [large]))
            assert self.seen[-1][1] == ("D", struct.pack("!hiiii", 2, 4, 12345, 4, 2 << 20))
            self.d.rows("ALTER TABLE shape ALTER a TYPE bigint")
            if place == "elsewhere":
                self.hold()
            self.ask(self.a, wire.parse("fine", "SELECT 1"), *undescribed("s", [large]), *undescribed("fine"))
            assert [what[2] for what in self.seen[-1] if what[0] == "E"] == ["0A000"] and self.seen[-1][-1] == ("Z", b"I")
            self.ask(self.a, wire.parse("again", "SELECT a, length($1) FROM shape FOR UPDATE"), wire.describe("S", "again"))
            self.ask(self.a, *undescribed("again", [large]))
            assert self.seen[-1][1] == ("D", struct.pack("!hiqii", 2, 8, 12345, 4, 2 << 20))
        finally:
            self.close()


@pytest.mark.proxy
@pytest.mark.parametrize("text", ["UPDATE shape SET a = $1", "SELECT b FROM shape WHERE a = $1 FOR UPDATE"])
@pytest.mark.parametrize("place", ["there", "elsewhere", "parsed since"])
def test_parameters_keep_the_types_that_they_had(cluster, primary_only, text, place):
    """What a Parse left open is int4 for good, as the client was told: it goes on sending four bytes."""

    def steps(connect):
        self = Play(connect)
        try:
            self.d.rows(f"{CLEAN}; CREATE TABLE shape {ONE}")
            self.ask(self.a, wire.parse("s", text))
            self.d.rows("ALTER TABLE shape ALTER a TYPE float8")
            if place == "elsewhere":
                self.hold()
            if place == "parsed since":
                self.ask(self.open(), wire.parse("s", text), wire.describe("S", "s"))
            self.ask(self.a, *undescribed("s", [struct.pack("!i", 12345)], [1]))
            self.ask(self.a, wire.describe("S", "s"))
            self.seen.append(self.d.rows("SELECT a FROM shape"))
            return self.seen
        finally:
            self.close()

    assert steps(primary_only.connect) == steps(lambda: cluster.connect(user="openfire", password="openfire"))


@pytest.mark.proxy
@pytest.mark.parametrize("name", ["s", ""])
def test_reads_on_replicas_are_of_the_shape_that_was_told(cluster, waypost, name):
    """Neither a replica's 0A000 nor a Parse on the primary behind it brings rows that nobody asked about."""
    owner = cluster.connect(user="openfire", password="openfire")
    conns = [waypost.connect() for _ in range(6)]
    try:
        for kind in range(3):
            owner.rows(f"{CLEAN}; CREATE TABLE shape {ONE}")
            # A text of its own each time: no connection has parsed it.
            drivers = [Driver(conn, f"SELECT a AS x{kind} FROM shape", name and f"{name}{kind}_") for conn in conns]
            for driver in drivers:
                driver.prepare()
            for _ in range(3):
                assert [driver.read() for driver in drivers] == [12345] * len(drivers)
            owner.rows("ALTER TABLE shape ALTER a TYPE float8")
            for _ in range(3):
                assert [driver.read() for driver in drivers] == [None] * len(drivers)
            for driver in drivers:  # one after the other: those who did not hear of it yet still must
                driver.prepare()
                assert driver.read() == 12345.0 and isinstance(driver.read(), float)
            owner.rows("ALTER TABLE shape ALTER a TYPE bigint")
            assert [driver.read() for driver in drivers] == [None] * len(drivers)
    finally:
        for conn in (owner, *conns):
            conn.shut()


@contextlib.contextmanager
def stopped(cluster):
    """Neither the replicas' sessions nor who tells how fresh those must be answer meanwhile."""
    of_role = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND usename = "
    pids = [int(pid) for [pid] in cluster.sql(of_role + "'postgres'")]
    pids += [int(pid) for name in REPLICAS for [pid] in cluster.sql(of_role + "'openfire'", name)]

    def tell(what):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.kill(pid, what)

    tell(signal.SIGSTOP)
    try:
        yield
    finally:
        tell(signal.SIGCONT)


@pytest.mark.proxy
def test_a_replica_that_takes_its_time_to_tell_the_shape(cluster, make_waypost):
    """What waits for that is a whole batch, not the beginning of one that its client has yet to end."""
    proxy = make_waypost(sections={"top": {"workers": 1}}, wait_for_split=True)
    conns = [proxy.connect(timeout=20) for _ in range(7)]
    try:
        a, *others = conns
        a.rows(f"{CLEAN}; CREATE TABLE shape {ONE}")
        for n in range(6):
            driver = Driver(a, f"SELECT a AS y{n} FROM shape", f"y{n}_")
            driver.prepare()
            assert driver.read() == 12345
            for other in others:  # they take the connections that have it
                other.rows("BEGIN READ ONLY")
                other.rows("SELECT count(*) FROM probe_me")
            before = proxy.metric("waypost_prepared_statement_reprepares_total")
            time.sleep(0.3)  # nobody writes: the read is sent before it is known how fresh it must be
            with stopped(cluster):
                a.send(wire.bind("", driver.at, results=[1]), wire.execute(), wire.sync())
                time.sleep(0.05)
            assert wire.types(a.until()) == "2DCZ"
            proxy.counted(before + 1, "waypost_prepared_statement_reprepares_total", at_least=True)
            for other in others:
                other.rows("COMMIT")
    finally:
        for conn in conns:
            conn.shut()


@pytest.mark.proxy
def test_who_asks_in_the_same_batch_is_spared_the_error(waypost):
    """Also where it is not the first of its batch, and in a block, as long as the server itself did not fail it."""
    with waypost.connect() as a, waypost.connect() as d:
        d.rows(f"{CLEAN}; CREATE TABLE shape {ONE}")
        a.send(wire.parse("s", "SELECT a FROM shape FOR UPDATE"), wire.describe("S", "s"), wire.sync())
        assert described_as(a.until()) == INT4
        d.rows("ALTER TABLE shape ALTER a TYPE bigint")
        a.send(wire.bind("", "s", results=[1]), wire.describe("P", ""), wire.execute(), wire.sync())
        answer = a.until()
        assert described_as(answer) == INT8 and wire.row_values(answer[2].body) == [struct.pack("!q", 12345)]
        # From then on it knows.
        a.send(*undescribed("s"), wire.sync())
        assert wire.types(a.until()) == "2DCZ"
        d.rows("ALTER TABLE shape ALTER a TYPE float8")
        a.send(wire.describe("S", "s"), *undescribed("s"), wire.sync())
        answer = a.until()
        assert described_as(answer) == FLOAT8 and wire.types(answer) == "tT2DCZ"


@pytest.mark.proxy
@pytest.mark.parametrize("place", ["there", "elsewhere", "parsed since"])
@pytest.mark.parametrize("ddl", ["ADD c int DEFAULT 3", "DROP b", "ALTER a TYPE bigint"])
def test_a_format_for_each_column_that_was_told(cluster, primary_only, place, ddl):
    """pgx asks what comes, but gives the formats of what came before: no Bind for other columns, but 0A000."""
    sql = "SELECT * FROM shape FOR UPDATE"

    def steps(connect):
        self = Play(connect)
        try:
            self.d.rows(f"{CLEAN}; CREATE TABLE shape {ONE}")
            self.ask(self.a, wire.parse("s", sql), wire.describe("S", "s"))
            self.ask(self.a, *undescribed("s"))
            if place == "elsewhere":
                self.hold()
            self.d.rows(f"ALTER TABLE shape {ddl}")
            if place == "parsed since":
                self.ask(self.open(), wire.parse("mine", sql), wire.describe("S", "mine"))
            self.ask(self.a, wire.bind("", "s", results=[1, 0]), wire.describe("P", ""), wire.execute())
            self.ask(self.a, wire.close("S", "s"), wire.parse("s", sql), wire.describe("S", "s"))
            self.ask(self.a, *undescribed("s"))
            return self.seen
        finally:
            self.close()

    assert steps(primary_only.connect) == steps(lambda: cluster.connect(user="openfire", password="openfire"))


class Migration:
    """ALTER TABLE ... TYPE, again and again, under whoever reads."""

    def __init__(self, connect):
        self.conn, self.done, self.count = connect(timeout=60), threading.Event(), 0
        self.conn.rows(f"{CLEAN}; CREATE TABLE shape {ONE}")
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.done.wait(0.05):
            for kind in ("bigint", "float8", "int"):
                self.conn.rows(f"ALTER TABLE shape ALTER a TYPE {kind}")
                self.count += 1
                self.done.wait(0.05)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join(60)
        self.conn.shut()


TEXTS = ["SELECT a FROM shape", "SELECT a FROM shape FOR UPDATE", "UPDATE shape SET b = b RETURNING a", "SELECT a, b FROM shape LIMIT 1"]


@pytest.mark.proxy
@pytest.mark.timeout(120)
@pytest.mark.parametrize("past", [False, True], ids=["through", "past"])
def test_drivers_that_describe_once_under_migrations(cluster, make_waypost, past):
    """No value is read by another type than it has, and no error but 0A000 comes, of which the next Parse is the end."""
    proxy = make_waypost(sections={"server": {"max_connections": 6}}, wait_for_split=True)
    until, failures, reads, refused = time.monotonic() + 8, [], [0], [0]

    def run(number):
        conn = proxy.connect(timeout=60)
        try:
            driver = Driver(conn, TEXTS[number % len(TEXTS)], "" if number % 5 == 4 else "s")
            in_block = number % 3 == 0
            while time.monotonic() < until:
                driver.prepare()
                for _ in range(40):
                    if in_block:
                        conn.rows("BEGIN")
                        if driver.name == "":
                            driver.prepare()
                    value = driver.read()
                    if in_block:
                        conn.rows("ROLLBACK")
                        if driver.name == "":
                            driver.prepare()
                    if value is None:
                        break
                    assert value == 12345, (driver.type, value)
                    reads[0] += 1
            refused[0] += driver.refused
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(f"{number}: {error!r}")
        finally:
            conn.shut()

    owner = (lambda timeout: cluster.connect(user="openfire", password="openfire")) if past else proxy.connect
    with Migration(owner) as migration:
        threads = [threading.Thread(target=run, args=(n,)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not failures, failures
    assert reads[0] > 100 and refused[0] > 10 and migration.count > 10, (reads, refused, migration.count)


@pytest.mark.proxy
@pytest.mark.timeout(120)
def test_psycopg_under_migrations(make_waypost):
    """It describes what it reads each time: right values and no error at all but those of a block."""
    proxy = make_waypost(sections={"server": {"max_connections": 6}}, wait_for_split=True)
    until, failures, reads = time.monotonic() + 6, [], [0]

    def run(number):
        try:
            with psycopg.connect(host="127.0.0.1", port=proxy.port, user="openfire", password="openfire", autocommit=True) as conn:
                while time.monotonic() < until:
                    cur = conn.cursor(binary=number % 2 == 0)
                    try:
                        value = cur.execute(TEXTS[number % len(TEXTS)], prepare=True).fetchone()[0]
                    except psycopg.errors.FeatureNotSupported:
                        conn.execute("DEALLOCATE ALL")
                        conn._prepared.clear()
                        continue
                    assert value == 12345, value
                    reads[0] += 1
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(f"{number}: {error!r}")

    with Migration(proxy.connect):
        threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not failures and reads[0] > 100, (failures, reads)
