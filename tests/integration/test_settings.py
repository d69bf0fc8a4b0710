"""Settings at every level: random SET, SET LOCAL, RESET, set_config, roles, savepoints and prepared statements, while other
clients keep taking the server connections used so far. After each step every setting, who the session is and what row
security shows must be what PostgreSQL itself says."""

import os
import random
import re
import time

import pytest
import waypost as waypost_process
import wire

pytestmark = pytest.mark.proxy

DATABASE = "levels"
TWO_CONNECTIONS = {"server": {"max_connections": 2}, "top": {"workers": 1}}
PASSWORDS = {"lv_app": "lv_app", "lv_boss": "lv_boss"}
SCHEMA = """
DROP DATABASE IF EXISTS levels;
DROP ROLE IF EXISTS lv_app, lv_boss, lv_one, lv_two;
CREATE ROLE lv_one; CREATE ROLE lv_two;
CREATE ROLE lv_app LOGIN PASSWORD 'lv_app' IN ROLE lv_one, lv_two;
CREATE ROLE lv_boss LOGIN SUPERUSER PASSWORD 'lv_boss';
CREATE DATABASE levels
"""
TABLES = """
CREATE TABLE tenants (t text, v text);
INSERT INTO tenants VALUES ('one', 'of one'), ('two', 'of two'), ('', 'of nobody');
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tenants USING (t = coalesce(current_setting('app.tenant', true), ''));
CREATE POLICY all_of_two ON tenants TO lv_two USING (true);
GRANT SELECT ON tenants TO PUBLIC;
CREATE SCHEMA a; CREATE SCHEMA b;
CREATE TABLE a.pathy AS SELECT 'a' AS v; CREATE TABLE b.pathy AS SELECT 'b' AS v; CREATE TABLE public.pathy AS SELECT 'public' AS v;
GRANT USAGE ON SCHEMA a, b TO PUBLIC;
GRANT SELECT ON a.pathy, b.pathy, public.pathy TO PUBLIC
"""
VALUES = {
    "work_mem": ["'5MB'", "6000", "'7MB'"],
    "sort_mem": ["8000"],
    "search_path": ["a", "b, public", "'$user', public", "pg_catalog"],
    "DateStyle": ["'ISO'", "'SQL'", "'German'", "'DMY'", "'MDY'", "'Postgres, YMD'"],
    "TimeZone": ["'UTC'", "'Asia/Tokyo'", "INTERVAL '-3' HOUR TO MINUTE"],
    "IntervalStyle": ["'iso_8601'", "'postgres'"],
    "statement_timeout": ["'1min'", "'2min'"],
    "application_name": ["'x'", "'it''s'", "''"],
    "app.tenant": ["'one'", "'two'", "''"],
    "extra_float_digits": ["0", "3"],
    "default_transaction_read_only": ["on", "off"],
    "default_transaction_isolation": ["'repeatable read'", "'read committed'"],
}
STATEMENTS = {
    "lit": "SELECT '01/02/03'::date::text || ' ' || '1 day 2 hours'::interval::text",
    "path": "SELECT v FROM pathy",
    "rows": "SELECT string_agg(v, ',' ORDER BY v) FROM tenants",
    "who": "SELECT current_user || ' ' || session_user || ' ' || (0.1 + 0 * random())::float4::float8",
}
SHOWN = [name for name in VALUES if name not in ("app.tenant", "sort_mem")] + ["role", "session_authorization", "client_encoding"]
STATE = (
    "SELECT current_user, session_user, "
    + ", ".join(f"current_setting('{name}')" for name in SHOWN)
    + ", coalesce(current_setting('app.tenant', true), ''), (SELECT string_agg(v, ',' ORDER BY v) FROM public.tenants), '1 hour'::interval"
)
STARTS = [
    {},
    {"application_name": "start", "DateStyle": "German"},
    {"options": "-c work_mem=9MB -c app.tenant=one -c search_path=b", "TimeZone": "Europe/Paris"},
    {"options": "-c role=lv_one", "extra_float_digits": "2"},
]
SEEDS = {"short": range(40), "long": range(1000, 1600)}
STEPS = 30


class Script:
    """Random steps that make sense one behind the other, as far as that can be told without a server."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.block, self.savepoints = False, []
        self.user = self.random.choice(list(PASSWORDS))
        self.start = self.random.choice(STARTS)

    def set(self):
        r = self.random
        name = r.choice(list(VALUES))
        if r.random() < 0.2:
            value = r.choice(["lv_one", "lv_two", "NONE"])
            return f"SET {r.choice(['', 'SESSION ', 'LOCAL '])}ROLE {value}"
        if r.random() < 0.15:
            who = r.choice(["lv_app", "DEFAULT"] + (["lv_one"] if self.user == "lv_boss" else []))
            return f"SET {r.choice(['', 'LOCAL '])}SESSION AUTHORIZATION {who}"
        if r.random() < 0.1:
            return f"SET SESSION CHARACTERISTICS AS TRANSACTION {r.choice(['READ ONLY', 'READ WRITE', 'ISOLATION LEVEL REPEATABLE READ'])}"
        value = r.choice(VALUES[name])
        if r.random() < 0.2 and name not in ("search_path", "TimeZone"):
            local = r.choice(["true", "false"])
            quoted = value if value.startswith("'") else f"'{value}'"
            return f"SELECT set_config('{name}', {quoted}, {local})"
        if name == "TimeZone":
            return f"SET {r.choice(['', 'LOCAL '])}TIME ZONE {value}"
        return f"SET {r.choice(['', 'SESSION ', 'LOCAL ', 'LOCAL '])}{name} TO {value}"

    def reset(self):
        r = self.random
        name = r.choice(list(VALUES) + ["role", "session_authorization"])
        if name == "session_authorization":
            return "RESET SESSION AUTHORIZATION"
        return r.choice([f"RESET {name}", f"SET {name} TO DEFAULT", f"SET LOCAL {name} TO DEFAULT", "RESET ALL"])

    def transaction(self):
        r = self.random
        if not self.block:
            self.block, self.savepoints = True, []
            return r.choice(["BEGIN", "BEGIN", "BEGIN READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ"])
        if r.random() < 0.35:
            self.savepoints.append(r.choice("xyz"))
            return f"SAVEPOINT {self.savepoints[-1]}"
        if self.savepoints and r.random() < 0.5:
            return r.choice(["ROLLBACK TO ", "RELEASE "]) + r.choice(self.savepoints)
        self.block = False
        return r.choice(["COMMIT", "COMMIT", "ROLLBACK", "COMMIT AND CHAIN"])

    def simple(self):
        kind = self.random.random()
        if kind < 0.45:
            return self.set()
        if kind < 0.65:
            return self.reset()
        if kind < 0.95:
            return self.transaction()
        return self.random.choice(["SELECT 1/0", "DISCARD ALL"])

    def step(self):
        r = self.random
        if r.random() < 0.3:
            return ("run", r.choice(list(STATEMENTS)))
        if r.random() < 0.2:
            return ("parse", r.choice(list(STATEMENTS)))
        texts = [self.simple() for _ in range(r.choice([1, 1, 1, 2, 3]))]
        if any("DISCARD" in text for text in texts):
            texts = texts[:1]
        return (r.choice(["query", "query", "pipeline"]), texts)


def outcome(conn):
    """What the client sees, as far as it can be compared."""
    replies = conn.until()
    errors = [(fields.get("C"), fields.get("M")) for fields in (wire.error_fields(m.body) for m in replies if m.type == "E")]
    tags = [m.body for m in replies if m.type == "C"]
    return wire.rows(replies), errors, tags, replies[-1].body if replies else None


def run(conn, step, known):
    kind, what = step
    if kind == "query":
        conn.send(wire.query("; ".join(what)))
    elif kind == "pipeline":
        for text in what:
            conn.send(wire.parse("", text), wire.bind("", ""), wire.execute())
        conn.send(wire.sync())
    elif kind == "parse":
        conn.send(wire.close("S", what), wire.parse(what, STATEMENTS[what]), wire.sync())
        seen = outcome(conn)
        if seen[1]:
            known.discard(what)
        else:
            known.add(what)
        return seen
    elif what in known:
        conn.send(wire.bind("", what), wire.execute(), wire.sync())
    else:
        conn.send(wire.query(STATEMENTS[what]))
    if "DISCARD ALL" in what:
        known.clear()
    return outcome(conn)


def difference(cluster, proxy, seed):
    script = Script(seed)
    steps = [script.step() for _ in range(STEPS)]
    start = {"database": DATABASE, **script.start}
    told = []
    holders = [proxy.connect("lv_app", "lv_app", database=DATABASE) for _ in range(2)]
    held = [False, False]
    mover = random.Random(seed)
    try:
        with cluster.connect(user=script.user, password=PASSWORDS[script.user], **start) as direct, \
                proxy.connect(script.user, PASSWORDS[script.user], **start) as through:  # fmt: skip
            known = [set(), set()]
            for step in steps:
                told.append(step)
                mine = mover.randrange(2)
                if script.user == "lv_app" and mover.random() < 0.5:
                    holders[mine].simple("ROLLBACK" if held[mine] else "BEGIN; SELECT 1 FROM tenants FOR UPDATE; SELECT txid_current()")
                    held[mine] = not held[mine]
                want, got = (run(conn, step, names) for conn, names in zip((direct, through), known))
                if step[0] == "query" and "DISCARD ALL" in step[1]:
                    known[0].clear(), known[1].clear()
                if want != got:
                    return told, ("answer", want, got)
                if want[3] != b"E":
                    want, got = (conn.simple(STATE) for conn in (direct, through))
                    want, got = ((wire.rows(replies), wire.sqlstates(replies)) for replies in (want, got))
                    if want != got:
                        names = ["current_user", "session_user", *SHOWN, "app.tenant", "rows", "interval"]
                        other = [(n, w, g) for n, w, g in zip(names, *(r[0][0] if r[0] else [] for r in (want, got))) if w != g]
                        return told, (other or (want, got))
    finally:
        for conn in holders:
            conn.shut()
    return None


@pytest.fixture(scope="module")
def proxy(cluster):
    for sql in SCHEMA.strip().split(";\n"):
        cluster.sql(sql, database="postgres")
    cluster.sql(TABLES, database=DATABASE)
    sections = {"server": {"max_connections": 4}, "top": {"workers": 1}}
    users = [{"name": name, "password": password} for name, password in {**PASSWORDS, "openfire": "openfire"}.items()]
    with waypost_process.running(cluster, sections=sections, users=users) as made:
        yield made


def test_settings_are_what_postgresql_says(cluster, proxy, request):
    seeds = SEEDS["long" if request.config.getoption("--long") else "short"]
    if "WAYPOST_SEEDS" in os.environ:
        seeds = range(*map(int, os.environ["WAYPOST_SEEDS"].split("-")))
    until = time.monotonic() + (600 if request.config.getoption("--long") else 40)
    tried = 0
    for seed in seeds:
        if time.monotonic() > until:
            break
        tried += 1
        found = difference(cluster, proxy, seed)
        assert found is None, f"seed {seed}: " + "\n".join(map(str, found[0])) + f"\n{found[1]}"
    assert tried >= 5


class Names:
    """Random statements about settings that PostgreSQL knows by their name alone, of which no other session has heard."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = [f"only{seed}.{name}" for name in "xyz"]

    def one(self):
        r = self.random
        name, value = r.choice(self.names), r.choice(["'1'", "'2'", "''"])
        sets = [
            f"SET {name} = {value}",
            f"SET LOCAL {name} = {value}",
            f"SELECT set_config('{name}', {value}, {r.choice(['true', 'false'])})",
        ]
        resets = [f"RESET {name}", f"SET {name} TO DEFAULT", f"SET LOCAL {name} TO DEFAULT", "RESET ALL"]
        return r.choice(sets * 3 + resets + ["SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "SELECT 1/0"])

    def step(self):
        r = self.random
        if r.random() < 0.1:
            return ["DISCARD ALL"]
        texts = [self.one() for _ in range(r.choice([1, 2, 3]))]
        if r.random() < 0.6:
            texts = [r.choice(["BEGIN", "BEGIN READ ONLY"]), *texts, r.choice(["COMMIT", "ROLLBACK"])]
        return texts

    def outcomes(self):
        """What tells NULL, '' and 42704 apart."""
        return [f"SELECT current_setting('{name}', true)" for name in self.names] + [f"SHOW {name}" for name in self.names]


def answers(conn, texts, kind):
    """Sent as one Query, as a series with one Sync or with a Sync for each, or so with parameters."""
    if kind == "query":
        conn.send(wire.query("; ".join(texts)))
        return wire.rows(seen := conn.until()), wire.sqlstates(seen), wire.types(seen), seen[-1].body
    for text in texts:
        values = re.findall(r"set_config\('.*', '(.*)', true\)", text) if kind == "bound" else []
        text = text.replace(f"'{values[0]}', true", "$1, true") if values else text
        conn.send(wire.parse("", text), wire.bind("", "", values), wire.execute())
        if kind != "series":
            conn.send(wire.sync())
    conn.send(wire.sync())
    seen = conn.until(count=1 + (len(texts) if kind != "series" else 0))
    return wire.rows(seen), wire.sqlstates(seen), wire.types(seen), seen[-1].body


@pytest.mark.parametrize("seed", range(30))
def test_names_alone_are_known_as_postgresql_knows_them(cluster, two_connections, seed):
    """After each step the session goes on on a connection where somebody else was: with two connections it is the other one."""
    script = Names(seed)
    with cluster.connect() as direct, two_connections.connect() as through:
        with two_connections.connect() as one, two_connections.connect() as other:
            one.rows("BEGIN; SELECT txid_current()")
            for _ in range(6):
                step, kind = script.step(), script.random.choice(["query", "query", "series", "syncs", "bound"])
                want, got = (answers(conn, step, kind) for conn in (direct, through))
                assert got == want, (step, kind)
                if want[-1] != b"I":
                    want, got = (answers(conn, ["ROLLBACK"], "query") for conn in (direct, through))
                    assert got == want, (step, kind)
                other.rows("BEGIN; SELECT txid_current()")
                one.rows("ROLLBACK")
                one, other = other, one
                for text in script.outcomes():
                    want, got = (answers(conn, [text], "query") for conn in (direct, through))
                    assert got == want, (step, kind, text)


def test_a_name_that_an_extension_has_taken_on_the_next_connection(make_waypost):
    """PostgreSQL refuses it there, since version 15; that is the end of the name, and not of the session or of other names."""
    proxy = make_waypost(sections=TWO_CONNECTIONS)  # of its own: nobody has loaded the extension before
    with proxy.connect() as conn, proxy.connect() as one, proxy.connect() as other:
        conn.rows("BEGIN; SET LOCAL plpgsql.nothing = 'x'; SET LOCAL known.too = 'x'; SET LOCAL zz.known = 'x'")
        one.rows("DO 'BEGIN END'")
        one.rows("BEGIN; SELECT txid_current()")
        conn.rows("COMMIT")
        other.rows("BEGIN; SELECT txid_current()")
        one.rows("ROLLBACK")
        for name in ("known.too", "zz.known"):
            assert conn.value(f"SELECT current_setting('{name}', true)") == "", name
        assert conn.value("SELECT 1") == "1"


@pytest.fixture(scope="module")
def two_connections(cluster):
    with waypost_process.running(cluster, sections=TWO_CONNECTIONS) as made:
        yield made


def test_a_statement_outlives_the_role_that_prepared_it(cluster, make_waypost):
    """Prepared under a role that is gone since, and parsed anew on a connection that lacks it."""
    proxy = make_waypost(sections={"server": {"max_connections": 2}, "top": {"workers": 1}})
    cluster.sql("CREATE ROLE lv_gone; GRANT lv_gone TO openfire; CREATE TABLE lv_kept (t text); GRANT ALL ON lv_kept TO openfire")
    try:
        with proxy.connect() as conn, proxy.connect() as holder:
            conn.rows("SET ROLE lv_gone")
            conn.send(wire.parse("ins", "INSERT INTO lv_kept VALUES ($1)"), wire.sync())
            assert wire.types(conn.until()) == "1Z"
            conn.rows("RESET ROLE")
            holder.rows("BEGIN; SELECT txid_current()")
            cluster.sql("REVOKE lv_gone FROM openfire")
            for before in ("", "BEGIN; SET LOCAL work_mem = '5MB'"):
                conn.simple(before)
                conn.send(wire.bind("", "ins", ["x"]), wire.execute(), wire.sync())
                assert wire.types(conn.until()) == "2CZ"
            assert conn.value("SHOW work_mem") == "5MB"
            conn.rows("COMMIT")
            assert conn.value("SELECT count(*) FROM lv_kept") == "2"
    finally:
        cluster.sql("DROP TABLE lv_kept; DROP ROLE lv_gone")
