"""Real drivers read and write while a migration changes every shape under them. Each runs through Waypost and, at the same time,
on PostgreSQL itself: no value may be wrong, and no error may come that PostgreSQL does not give. drivers/README.md tells more."""

import collections
import contextlib
import os
import pathlib
import subprocess
import sys
import threading

import jdbc
import pytest
from cluster import REPLICAS

DRIVERS = pathlib.Path(__file__).resolve().parent / "drivers"

SECONDS = float(os.environ.get("DRIVER_SECONDS", "6"))
BUILT = DRIVERS.parents[2] / "build" / "drivers"

KEY = "id * 7 + 12345"  # what every column but the id holds, as a number or as text


def ids(columns):
    return f"SELECT id, {columns} FROM generate_series(1, 40) id"


# Name of a table -> how it is made, then what is done to it, round and round. @ is the schema.
BEFORE = f"""
CREATE SCHEMA @;
CREATE TABLE @.shape (id int PRIMARY KEY, v int, k text); INSERT INTO @.shape {ids(f"{KEY}, {KEY}")};
CREATE TABLE @.written (id int PRIMARY KEY, v int, k text);
CREATE TABLE @.base (id int PRIMARY KEY, v int, k text); INSERT INTO @.base {ids(f"{KEY}, {KEY}")};
CREATE TABLE @.swap (id int PRIMARY KEY, v int, w text, k text); INSERT INTO @.swap {ids(f"{KEY}, {KEY}, {KEY}")};
CREATE TABLE @.again (id int PRIMARY KEY, v int, k text); INSERT INTO @.again {ids(f"{KEY}, {KEY}")};
CREATE VIEW @.seen AS SELECT id, v, k FROM @.base;
CREATE FUNCTION @.rows(int) RETURNS TABLE (id int, v int, k text) LANGUAGE sql STABLE AS 'SELECT id, v, k FROM @.base WHERE id = $1';
CREATE FUNCTION @.one(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT v FROM @.base WHERE id = $1';
"""
LABELS = ", ".join(f"'{n * 7 + 12345}'" for n in range(1, 41))
MOODS = f"""CREATE TYPE @.mood AS ENUM ({LABELS});
CREATE TABLE @.moods (id int PRIMARY KEY, m @.mood, k text); INSERT INTO @.moods {ids(f"({KEY})::text::@.mood, {KEY}")};"""
BEFORE += MOODS


def again(columns):
    made = columns.replace(" int", "").replace(" bigint", "").replace(" text", "").replace(" PRIMARY KEY", "")
    values = ", ".join("id" if name.strip() == "id" else KEY for name in made.split(","))
    return f"DROP TABLE @.again; CREATE TABLE @.again ({columns}); INSERT INTO @.again ({made}) SELECT {values} FROM generate_series(1, 40) id"


def view(columns):
    return f"DROP VIEW @.seen; CREATE VIEW @.seen AS SELECT {columns} FROM @.base"


def functions(argument, kind):
    return (f"DROP FUNCTION @.rows; CREATE FUNCTION @.rows({argument}) RETURNS TABLE (id int, v {kind}, k text) LANGUAGE sql STABLE AS "
            f"'SELECT id, v::{kind}, k FROM @.base WHERE id = $1'; "
            f"DROP FUNCTION @.one; CREATE FUNCTION @.one({argument}) RETURNS {kind} LANGUAGE sql STABLE AS "
            f"'SELECT v::{kind} FROM @.base WHERE id = $1'")  # fmt: skip


DDL = [
    "ALTER TABLE @.shape ALTER v TYPE bigint",
    view("id, v::text AS v, k"),
    functions("bigint", "bigint"),
    f"ALTER TABLE @.shape ADD COLUMN e bigint GENERATED ALWAYS AS ({KEY}) STORED",
    again("k text, v bigint, id int PRIMARY KEY"),
    "ALTER TYPE @.mood ADD VALUE 'more'",
    "ALTER TABLE @.swap RENAME v TO x; ALTER TABLE @.swap RENAME w TO v; ALTER TABLE @.swap RENAME x TO w",
    "ALTER TABLE @.shape ALTER v TYPE text",
    "ALTER TABLE @.written ALTER v TYPE text",
    "CREATE OR REPLACE VIEW @.seen AS SELECT id, v::text AS v, k, v::bigint AS e FROM @.base",
    "ALTER TABLE @.shape RENAME e TO f",
    functions("int", "text"),
    again("id int PRIMARY KEY, v text, e int, k text"),
    "ALTER TABLE @.shape ALTER v TYPE float8 USING v::float8",
    "DROP TABLE @.moods; DROP TYPE @.mood; " + MOODS,
    "ALTER TABLE @.written ALTER v TYPE bigint USING v::bigint",
    "ALTER TABLE @.shape DROP COLUMN f",
    view("id, k, v::float8 AS v"),
    again("id int PRIMARY KEY, v int, k text"),
    "ALTER TABLE @.swap ALTER v TYPE bigint USING v::bigint",
    "ALTER TABLE @.swap ALTER w TYPE bigint USING w::bigint",
    functions("int", "int"),
    "ALTER TABLE @.shape ALTER v TYPE int USING v::int",
    view("id, v, k"),
    "ALTER TABLE @.written ALTER v TYPE int",
    "ALTER TABLE @.swap ALTER v TYPE int, ALTER w TYPE text",
]  # fmt: skip

# Text, arguments, how many rows there must be (0: as many as there are).
STATEMENTS = [
    ("SELECT id, v, k FROM @.shape WHERE id = $1::int", ["id"], 1),
    ("SELECT * FROM @.shape WHERE id = $1::int", ["id"], 1),
    ("SELECT * FROM @.shape ORDER BY id LIMIT 10", [], 10),
    ("SELECT v, k, id FROM @.shape WHERE id = $1::int FOR UPDATE", ["id"], 1),
    ("SELECT v, id FROM @.shape WHERE v = $1", ["open"], 1),
    ("SELECT * FROM @.seen WHERE id = $1::int", ["id"], 1),
    ("SELECT id, v, k FROM @.seen ORDER BY id LIMIT 10", [], 10),
    ("SELECT * FROM @.rows($1::int)", ["id"], 1),
    ("SELECT id, @.one(id) AS v, k FROM @.base WHERE id = $1::int", ["id"], 1),
    ("SELECT id, m AS v, k FROM @.moods WHERE id = $1::int", ["id"], 1),
    ("SELECT id, m, k FROM @.moods WHERE m = $1::text::@.mood", ["k"], 1),
    ("SELECT * FROM @.moods ORDER BY id LIMIT 10", [], 10),
    ("SELECT * FROM @.again WHERE id = $1::int", ["id"], 1),
    ("SELECT id, v, k FROM @.again ORDER BY id LIMIT 10", [], 10),
    ("SELECT * FROM @.swap WHERE id = $1::int", ["id"], 1),
    ("SELECT id, v, k FROM @.swap WHERE id = $1::int", ["id"], 1),
    ("SELECT * FROM @.written ORDER BY id DESC LIMIT 3", [], 0),
    ("UPDATE @.shape SET v = $1 WHERE id = $2::int RETURNING id, v, k", ["open", "id"], 1),
    ("UPDATE @.shape SET k = $2::text WHERE id = $1::int RETURNING *", ["id", "k"], 1),
    ("UPDATE @.swap SET k = k WHERE id = $1::int", ["id"], 0),
    ("INSERT INTO @.written (id, v, k) VALUES ($1::int, $2, $3::text) RETURNING id, v, k", ["new", "open", "k"], 1),
    ("INSERT INTO @.written VALUES ($1::int, $2, $3::text)", ["new", "open", "k"], 0),
]  # fmt: skip


def statement_lines(schema):
    for sql, args, rows in STATEMENTS:
        writes = not sql.startswith("SELECT") or "FOR UPDATE" in sql
        yield "\t".join(["statement", sql.replace("@", schema), " ".join(args), str(rows), "write" if writes else "read"])


@contextlib.contextmanager
def lagging(cluster, delay):
    def set_delay(value):
        for name in REPLICAS:
            cluster.sql(f"ALTER SYSTEM SET recovery_min_apply_delay = '{value}'", name, "postgres")
            cluster.sql("SELECT pg_reload_conf()", name, "postgres")

    set_delay(delay)
    try:
        yield
    finally:
        set_delay("0")


class Migration:
    """Changes one schema round and round, by one way of connecting after the other."""

    def __init__(self, schema, connects, pause):
        self.schema, self.connects, self.pause = schema, connects, pause
        self.done, self.count, self.failure = threading.Event(), 0, None
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            with contextlib.ExitStack() as stack:
                conns = [stack.enter_context(connect(timeout=60)) for connect in self.connects]
                while not self.done.wait(self.pause):
                    ddl = DDL[self.count % len(DDL)]
                    if ddl.endswith("'more'"):
                        ddl = ddl.replace("more", f"more{self.count}")
                    conns[self.count // 3 % len(conns)].rows(ddl.replace("@", self.schema))
                    self.count += 1
        except BaseException as error:  # pylint: disable=broad-except
            self.failure = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join(60)
        assert self.failure is None, self.failure


class Run:
    """One driver on one port, in a schema of its own."""

    def __init__(self, cluster, folder, driver, port, seconds, connections):
        self.cluster, self.driver, self.port = cluster, driver, port
        self.schema = f"{driver}_{'direct' if port == cluster.ports['pg0'] else 'through'}"
        self.plan = folder / f"{self.schema}.tsv"
        self.plan.write_text("\n".join([
            f"url\tpostgresql://openfire:openfire@127.0.0.1:{port}/bench?sslmode=disable", f"port\t{port}",
            f"seconds\t{seconds}", f"connections\t{connections}", *statement_lines(self.schema),
        ]) + "\n")  # fmt: skip
        cluster.sql(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE; " + BEFORE.replace("@", self.schema), database="bench", user="openfire")
        self.process, self.report = None, None

    def start(self, command):
        self.process = subprocess.Popen([*command, str(self.plan)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=DRIVERS)

    def finish(self, seconds):
        try:
            out, err = self.process.communicate(timeout=seconds)
        finally:
            self.process.kill()
        assert self.process.returncode == 0 and out, f"{self.schema}: {out[-2000:]}{err[-3000:]}"
        self.report = {"wrong": [], "errors": {}}
        for name, *values in (line.split("\t") for line in out.splitlines()):
            if name == "wrong":
                self.report["wrong"].append(values[0])
            elif name == "error":
                self.report["errors"][values[1]] = int(values[0])
            else:
                self.report[name] = values[0] if name == "driver" else float(values[0])
        self.report["stored"], self.report["spoilt"] = map(int, self.cluster.sql(
            f"SELECT count(*), count(*) FILTER (WHERE v::text <> k OR k <> ({KEY})::text) FROM {self.schema}.written", database="bench")[0])  # fmt: skip

    def kinds(self):
        """SQLSTATE, or the driver's own name of it, and whether it came at the first try or after the driver had prepared anew."""
        found = collections.Counter()
        for error, count in self.report["errors"].items():
            found[error.split(" ")[0]] += count
        return found


# What PostgreSQL gives under such a migration only when two things meet within a moment; a short control may miss it.
RARE = {"42804", "40P01", "XX000", "42P01", "42703", "42883", "42704", "0A000"}

PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def node():
    if not (DRIVERS / "node/node_modules").exists():
        run_tool(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], DRIVERS / "node")
    return ["node", "node/load.js"]


def pgjdbc():
    return jdbc.command("Load")


def pgx():
    run_tool(["go", "build", "-o", BUILT / "pgx", "."], DRIVERS / "pgx")
    return [str(BUILT / "pgx")]


def tokio_postgres():
    target = BUILT / "tokio-postgres"
    run_tool(["cargo", "build", "-q", "--locked", "--target-dir", target], DRIVERS / "tokio-postgres")
    return [str(target / "debug/load")]


def run_tool(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


COMMANDS = {
    "psycopg": lambda: [PYTHON, "-B", "psycopg_load.py"],
    "asyncpg": lambda: [PYTHON, "-B", "asyncpg_load.py"],
    "sqlalchemy": lambda: [PYTHON, "-B", "sqlalchemy_load.py"],
    "django": lambda: [PYTHON, "-B", "django_load.py"],
    "node": node,
    "pgjdbc": pgjdbc,
    "pgx": pgx,
    "tokio_postgres": tokio_postgres,
}


def run_drivers(cluster, waypost, folder, drivers, seconds, connections=4, pause=0.2):
    runs, commands = [], {driver: COMMANDS[driver]() for driver in drivers}
    with contextlib.ExitStack() as stack:
        for driver in drivers:
            for port in (cluster.ports["pg0"], waypost.port):
                run = Run(cluster, folder, driver, port, seconds, connections)
                runs.append(run)

                def past(timeout):
                    return cluster.connect(user="openfire", password="openfire", database="bench", timeout=timeout)

                def through(timeout):
                    return waypost.connect(database="bench", timeout=timeout)

                ways = [past] if run.schema.endswith("direct") else [through, past]
                run.migration = stack.enter_context(Migration(run.schema, ways, pause))
        for run in runs:
            run.start(commands[run.driver])
        for run in runs:
            run.finish(seconds + 60)
    return runs


def judge(runs):
    complaints = []
    for direct, through in zip(runs[::2], runs[1::2]):
        for run in (direct, through):
            report = run.report
            complaints += [f"{run.schema}: wrong: {what}" for what in report["wrong"][:5]]
            if report["spoilt"] or not report["inserted"] <= report["stored"] <= report["inserted"] + report["doubtful"]:
                complaints.append(f"{run.schema}: {report['stored']} stored, {report['spoilt']} spoilt of {report['inserted']} inserted")
            if report["rows"] < 50 or run.migration.count < 3:
                complaints.append(f"{run.schema}: {report['rows']:.0f} rows under {run.migration.count} changes")
        extra = set(through.kinds()) - set(direct.kinds()) - RARE
        complaints += [f"{through.schema}: {count} x {error}" for error, count in through.report["errors"].items() if error.split(" ")[0] in extra]
    return complaints


def show(runs):
    for run in runs:
        print(f"{run.schema}: {run.report['driver']}: {run.report['rows']:.0f} rows, {len(run.report['wrong'])} wrong, "
              f"{run.report['inserted']:.0f} inserted, {run.migration.count} changes, slowest {run.report['slowest']} s")  # fmt: skip
        for error, count in sorted(run.report["errors"].items()):
            print(f"    {count} x {error}")


ALL = list(COMMANDS)
TIMES = pytest.mark.timeout(600)  # the first run fetches and builds the drivers


@pytest.mark.proxy
@pytest.mark.long
@TIMES
@pytest.mark.parametrize("driver", ALL)
def test_under_a_migration(cluster, waypost, tmp_path, driver):
    runs = run_drivers(cluster, waypost, tmp_path, [driver], SECONDS)
    show(runs)
    assert not judge(runs)


@pytest.mark.proxy
@pytest.mark.long
@TIMES
@pytest.mark.parametrize("driver", ALL)
def test_with_few_server_connections(cluster, make_waypost, tmp_path, driver):
    """More clients than connections: each statement finds another one, which has it of another time."""
    proxy = make_waypost(sections={"pool": {"max_size": 2}, "top": {"workers": 1}}, wait_for_split=True)
    runs = run_drivers(cluster, proxy, tmp_path, [driver], SECONDS, connections=6)
    show(runs)
    assert not judge(runs)


@pytest.mark.proxy
@pytest.mark.long
@TIMES
@pytest.mark.parametrize("driver", ALL)
def test_with_a_replica_that_lags(cluster, make_waypost, tmp_path, driver):
    """Both replay late: what they answer too early, about tables of another shape, is thrown away."""
    proxy = make_waypost(wait_for_split=True)
    with lagging(cluster, "150ms"):
        runs = run_drivers(cluster, proxy, tmp_path, [driver], SECONDS)
    show(runs)
    assert not judge(runs)
