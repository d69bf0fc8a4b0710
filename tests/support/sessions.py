"""Generated session scripts: several clients, one step of one client at a time, played to PostgreSQL and to Waypost.

A script is written while PostgreSQL plays it, since what makes sense next depends on what it answered; Waypost then gets
the same steps. No two clients ever wait for each other's locks: each has its own tables. And no more clients hold a server
connection at a time (a transaction, an open series, a pin) than there are, or Waypost would rightly let the rest wait.
"""

import dataclasses
import json
import random
import re
import time

import transcript
import wire

CLIENTS = 4
# READ ONLY blocks, which run on a replica.
READ_ONLY_BLOCKS = True
# currval and lastval answer for whoever used the server connection before (to be mended).
SEQUENCE_VALUES = False
# PREPARE, EXECUTE, DEALLOCATE in SQL of what the protocol prepared; the same name parsed twice in a batch.
SHARED_NAMES = True
# A commit made weaker where it cannot be seen is read from a replica too early (to be mended).
FENCED = False
# What nothing but the end of the connection undoes.
FOR_GOOD = re.compile(r"setseed|\bLOAD\b")
# While the catalogue is read again, after DDL, nobody knows what a user's function does: it ties.
USER_MADE = re.compile(r"whoami|\bf_|scratch\.g")
USER, DATABASE = "openfire", "bench"
SCHEMA = f"""
CREATE ROLE r1 NOLOGIN; CREATE ROLE r2 NOLOGIN; GRANT r1, r2 TO {USER};
CREATE SCHEMA a AUTHORIZATION {USER}; CREATE SCHEMA b AUTHORIZATION {USER}; CREATE SCHEMA scratch AUTHORIZATION {USER};
GRANT ALL ON SCHEMA a, b, scratch, public TO r1, {USER}; GRANT USAGE ON SCHEMA a, public TO r2;
SET SESSION AUTHORIZATION {USER};
CREATE TABLE public.who (w text); INSERT INTO public.who VALUES ('public');
CREATE TABLE a.who (w text, extra int); INSERT INTO a.who VALUES ('a', 1);
CREATE TABLE b.who (w text); INSERT INTO b.who VALUES ('b'), ('bb');
CREATE FUNCTION public.whoami() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'public' $$;
CREATE FUNCTION a.whoami() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'a' $$;
CREATE FUNCTION b.whoami() RETURNS int LANGUAGE sql STABLE AS $$ SELECT 7 $$;
CREATE FUNCTION f_set(n text, v text, l bool) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN set_config(n, v, l); END $$;
CREATE FUNCTION f_set_and_fail(n text, v text) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config(n, v, false); RAISE EXCEPTION 'after the SET' USING ERRCODE = 'P0077', HINT = 'none'; END $$;
CREATE FUNCTION f_set_caught(n text, v text) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN BEGIN PERFORM set_config(n, v, false); PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN coalesce(current_setting(n, true), ''); END $$;
CREATE FUNCTION f_with_set() RETURNS text LANGUAGE sql STABLE SET work_mem = '3MB' AS $$ SELECT current_setting('work_mem') $$;
CREATE FUNCTION f_notice(t text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE NOTICE 'note %', t; RAISE WARNING 'warn %', t; RETURN t; END $$;
CREATE FUNCTION f_read(i int) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) + i FROM public.who $$;
CREATE PROCEDURE p_set(n text, v text) LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config(n, v, false); END $$;
CREATE VIEW v_who AS SELECT w FROM public.who;
GRANT SELECT ON ALL TABLES IN SCHEMA public, a TO r1; GRANT SELECT ON a.who TO r2;
""" + "".join(
    f"""CREATE TABLE t{c} (id int PRIMARY KEY, t text, n numeric, at timestamptz) WITH (autovacuum_enabled = off); CREATE SEQUENCE s{c};
CREATE TABLE k{c} (id serial, p int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION f_write{c}(i int) RETURNS int LANGUAGE sql AS $$ INSERT INTO t{c} VALUES (i, 'by function') RETURNING id $$;
"""
    for c in range(CLIENTS)
)
RESET = """
SET synchronous_commit = remote_apply; SET client_min_messages = error;
DROP SCHEMA scratch CASCADE; CREATE SCHEMA scratch; GRANT ALL ON SCHEMA scratch TO r1;
""" + "".join(
    f"""TRUNCATE t{c}, k{c}; SELECT setval('s{c}', 1, false), setval('k{c}_id_seq', 1, false);
INSERT INTO t{c} SELECT i, 'row ' || i, i / 4.0, '2024-03-10 00:00Z'::timestamptz + i * interval '1 hour' FROM generate_series(1, 8) i;
SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = {80000 + c}; SELECT lo_from_bytea({80000 + c}, 'large object {c}');
"""
    for c in range(CLIENTS)
)


@dataclasses.dataclass
class Step:
    who: int
    messages: list  # (name, arguments), as in a transcript
    until: str = "Z"
    count: int = 1
    pins: bool = False  # it may tie the session to its server connection ...
    frees: bool = False  # ... or ends whatever did

    def __str__(self):
        name = "abcdefgh"[self.who]
        lines = [f"{name}> {m} {', '.join(json.dumps(a) for a in arguments)}".rstrip() for m, arguments in self.messages]
        return "\n".join([*lines, f"{name}< {self.until}" + (f" {self.count}" if self.count != 1 else "")])


class Player:
    """Connections to one server; what each step was answered."""

    def __init__(self, port, startups, timeout):
        self.notes = [[] for _ in startups]  # notifications come when they come: kept apart
        self.status = ["I" for _ in startups]
        self.open_series = [False for _ in startups]
        self.pinned = [False for _ in startups]
        self.for_good = [False for _ in startups]
        self.conns, self.logins = [], []
        for startup in startups:
            conn = wire.Wire("127.0.0.1", port, timeout)
            self.conns.append(conn)
            replies = conn.login(USER, USER, DATABASE, **startup)
            self.logins.append(transcript.sorted_parameters([transcript.show(m) for m in replies]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for conn in self.conns:
            try:
                conn.send(wire.terminate())
            except OSError:
                pass
            conn.shut()

    def holds(self, who):
        return self.pinned[who] or self.open_series[who] or self.status[who] != "I"

    def may_step(self, who, connections):
        """False if, with so many server connections, this client would wait for another."""
        return self.holds(who) or sum(map(self.holds, range(len(self.conns)))) < connections

    def play(self, step):
        conn, lines, count = self.conns[step.who], [], step.count
        if conn.buffer:
            lines.append(f"(unread {conn.buffer[:80]!r})")
        try:
            conn.send(*(transcript.BUILDERS[name](*arguments) for name, arguments in step.messages))
            while count:
                msg = conn.recv()
                if msg is None:
                    lines.append("(closed)")
                    break
                if msg.type == "A":
                    self.notes[step.who].append(transcript.show(msg))
                    continue
                lines.append(transcript.show(msg))
                if msg.type == "Z":
                    self.status[step.who] = msg.body.decode()
                count -= msg.type in step.until
        except TimeoutError:
            lines.append("(silence)")
        except OSError as error:
            lines.append(f"({type(error).__name__})")
        self.open_series[step.who] = step.messages[-1][0] == "Flush"
        self.for_good[step.who] = self.for_good[step.who] or bool(FOR_GOOD.search(str(step.messages)))
        freed = step.frees and not self.for_good[step.who] and any(line.startswith("C b'DISCARD ALL") for line in lines)
        self.pinned[step.who] = (self.pinned[step.who] or step.pins) and not freed
        return lines

    def notifications(self, seconds):
        """All that came until now or comes within so long."""
        for who, conn in enumerate(self.conns):
            conn.sock.settimeout(seconds)
            try:
                while (msg := conn.recv()) is not None:
                    self.notes[who].append(transcript.show(msg))
            except OSError:
                pass
        return self.notes


# --- what clients do --------------------------------------------------------------------------------------------

SETTINGS = {
    "DateStyle": ["ISO", "German", "'SQL, DMY'", "Postgres", "'nonsense'"],
    "IntervalStyle": ["postgres", "iso_8601", "sql_standard", "nonsense"],
    "TimeZone": ["'UTC'", "'Asia/Tokyo'", "'America/New_York'", "-3", "'nowhere'"],
    "bytea_output": ["hex", "escape"],
    "extra_float_digits": ["0", "3", "-5", "99"],
    "search_path": ["a", "b", "public", "a, public", "b, a", "''", "\"$user\", public", "pg_catalog, b", "nowhere"],
    "client_encoding": ["'UTF8'", "'LATIN1'", "'SQL_ASCII'", "'nonsense'"],
    "standard_conforming_strings": ["on", "off"],
    "application_name": ["'one'", "'two words'", "''"],
    "statement_timeout": ["'20s'", "0", "30000", "'-5'"],
    "work_mem": ["'1MB'", "'5MB'", "12345", "1"],
    "default_transaction_isolation": ["'read committed'", "'repeatable read'", "serializable"],
    "default_transaction_read_only": ["on", "off"],
    "synchronous_commit": ["on", "off", "local", "remote_apply"] if FENCED else ["remote_apply"],
    "enable_seqscan": ["off", "on", "maybe"],
    "client_min_messages": ["notice", "warning", "error"],
    "my.x": ["'1'", "'two'", "''", "E'it''s'"],
    "my.y": ["'why'", "3"],
    "xmloption": ["content", "document"],
    "quote_all_identifiers": ["on", "off"],
    "array_nulls": ["on", "off"],
    "row_security": ["on", "off"],
    "plan_cache_mode": ["auto", "force_generic_plan", "force_custom_plan"],
    "log_statement": ["'all'"],  # a superuser's
    "nonsense": ["1"],
    "lock_timeout": ["0", "'9s'"],
    "transaction_isolation": ["'serializable'"],
    "max_connections": ["5"],
    "geqo_seed": ["0.5"],
    "role": ["r1", "'r2'", "none"],
}
SHOWN = ["DateStyle", "IntervalStyle", "TimeZone", "work_mem", "search_path", "application_name", "statement_timeout",
         "default_transaction_isolation", "default_transaction_read_only", "synchronous_commit", "transaction_isolation",
         "enable_seqscan", "client_encoding", "extra_float_digits", "xmloption", "standard_conforming_strings", "role",
         "transaction_read_only", "transaction_deferrable", "plan_cache_mode", "row_security", "client_min_messages"]  # fmt: skip
BEGINS = ["BEGIN", "BEGIN", "BEGIN", "START TRANSACTION", "BEGIN READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ",
          "BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
          "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", "BEGIN READ WRITE", "begin; ", "/* x */ BEGIN WORK"]  # fmt: skip
ENDS = ["COMMIT", "COMMIT", "ROLLBACK", "END", "ABORT", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "COMMIT AND NO CHAIN"]  # fmt: skip
PARAMETERISED = [
    ("SELECT $1::int + 1", ["41"]),
    ("SELECT t, n FROM t{c} WHERE id = $1", ["3"]),
    ("SELECT w FROM who ORDER BY w", []),
    ("SELECT * FROM who ORDER BY w", []),
    ("SELECT whoami()", []),
    ("SELECT $1::date, $2::interval", ["2024-02-03", "1 day 2 hours"]),
    ("SELECT current_setting($1, true)", ["work_mem"]),
    ("INSERT INTO t{c} VALUES ($1, $2) RETURNING id, t", ["1{r}", "new"]),
    ("UPDATE t{c} SET t = $1 WHERE id = $2", ["changed", "2"]),
    ("DELETE FROM t{c} WHERE id = $1", ["7"]),
    ("SELECT at FROM t{c} WHERE id <= $1 ORDER BY id", ["3"]),
    ("SELECT id FROM t{c} ORDER BY id", []),
    ("SELECT set_config($1, $2, false)", ["work_mem", "6MB"]),
    ("SELECT nextval('s{c}')", []),
    ("SELECT * FROM d{c}", []),
    ("SELECT * FROM scratch.d{c} WHERE id < $1", ["5"]),
    ("SET work_mem = '2MB'", []),
    ("SHOW DateStyle", []),
    ("BEGIN", []),
    ("COMMIT", []),
    ("ROLLBACK", []),
    ("SELECT '2024-02-03'::date, E'\\\\x4142'::bytea", []),
    ("SELECT 'a\\b', current_user", []),
    ("SELECT 1 / $1::int", ["0"]),
    ("SELECT FROM nowhere", []),
    ("syntax error", []),
    ("", []),
    ("SELECT pg_advisory_xact_lock({c})", []),
    ("SELECT generate_series(1, $1::int)", ["6"]),
    ("VALUES ($1)", ["text"]),
]


class Author:
    """Makes up one step after the other. `tame`: nothing that ties a session to its connection."""

    def __init__(self, rng, tame):
        self.rng, self.tame = rng, tame
        self.may_tie = set()  # (client, name) of statements that may pin when they run

    def step(self, who, player):
        step = self._step(who, player)
        for message in step.messages:  # the author's {c}: the client's own objects
            for at, argument in enumerate(message[1]):
                if isinstance(argument, str):
                    message[1][at] = self.own(argument, who)
        return step

    def own(self, text, who):
        return text.replace("{c}", str(who)).replace("{r}", str(self.rng.randrange(10)))

    def _step(self, who, player):
        rng = self.rng
        if player.open_series[who]:
            return self._go_on(who)
        if player.status[who] == "E" and rng.random() < 0.5:
            return self.query(who, rng.choice(["ROLLBACK", "COMMIT", "ROLLBACK TO p1", "ROLLBACK TO SAVEPOINT p2", "ABORT"]))
        if rng.random() < 0.01:  # both at once: what is only prepared keeps its locks
            end = rng.choice(["COMMIT", "ROLLBACK"])
            return Step(who, [("Query", ["PREPARE TRANSACTION 'x{c}'"]), ("Query", [f"{end} PREPARED 'x{{c}}'"])], count=2)
        if player.status[who] == "T" and rng.random() < 0.12:
            return self.query(who, rng.choice(ENDS))
        if player.pinned[who] and player.status[who] == "I" and rng.random() < 0.15:
            return self.query(who, "DISCARD ALL", frees=True)
        kinds = [
            (30, self._simple), (8, self._several), (14, self._unnamed), (7, self._prepare), (14, self._execute_named),
            (4, self._close), (4, self._describe), (6, self._portal), (6, self._pipeline), (4, self._flush),
            (3, self._copy_in), (2, self._copy_in_extended), (2, self._function_call), (2, self._syncs), (1, self._empty),
            (4, self._in_flight), (3, self._whole_block), (2, self._copy_in_a_pipeline), (2, self._portal_in_pieces), (2, self._driver_begin),
        ]  # fmt: skip
        chosen = rng.choices([k for _, k in kinds], [w for w, _ in kinds])[0]
        return chosen(who)

    def query(self, who, sql, **more):
        return Step(who, [("Query", [sql])], **more)

    # SQL texts; each with whether it may pin.

    def setting(self):
        name = self.rng.choice(list(SETTINGS))
        return name, self.rng.choice(SETTINGS[name])

    def set_statement(self):
        rng, (name, value) = self.rng, self.setting()
        if name == "role":
            return rng.choice([f"SET ROLE {value}", f"SET LOCAL ROLE {value}", "RESET ROLE", "SET SESSION AUTHORIZATION DEFAULT",
                               f"SET SESSION AUTHORIZATION {USER}", "SET ROLE nobody_knows"])
        return rng.choice([
            f"SET {name} = {value}", f"SET {name} TO {value}", f"SET SESSION {name} = {value}", f"SET LOCAL {name} = {value}",
            f"RESET {name}", f"SET {name} TO DEFAULT", f"SET LOCAL {name} TO DEFAULT", f"SET {name} = {value}", "RESET ALL",
            f"SHOW {name}" if "." not in name else f"SELECT coalesce(current_setting('{name}', true), '')",
        ])  # fmt: skip

    def set_config(self):
        name, value = self.setting()
        value = value if value.startswith(("'", "E'")) else f"'{value}'"
        local = self.rng.choice(["true", "false", "false"])
        call = f"set_config('{name}', {value}, {local})"
        return self.rng.choice([
            f"SELECT {call}", f"SELECT {call}, coalesce(current_setting('{name}', true), '')", f"SELECT 1 WHERE {call} IS NOT NULL",
            f"SELECT pg_catalog.{call}", f"SELECT upper({call})", f"SELECT * FROM {call}", f"WITH x AS (SELECT {call}) SELECT * FROM x",
            f"SELECT {call} FROM t{{c}} WHERE id < 3", f"VALUES ({call})", f"SELECT CASE WHEN false THEN {call} ELSE 'not' END",
        ])  # fmt: skip

    def look(self):
        rng = self.rng
        return rng.choice([
            "SELECT " + ", ".join(f"current_setting('{n}', true)" for n in rng.sample(SHOWN, 4)) + ", coalesce(current_setting('my.x', true), '')",
            "SELECT current_user, session_user, current_schemas(false)",
            f"SHOW {rng.choice(SHOWN)}",
            "SELECT '2024-02-03'::date, '1 day 2:03:04'::interval, '2024-02-03 04:05:06Z'::timestamptz, 1.1::float8 / 3, '\\x4142'::bytea",
            "SELECT w FROM who ORDER BY w",
            "SELECT * FROM who ORDER BY w",
            "SELECT whoami()",
            "SELECT * FROM t{c} ORDER BY id",
            "SELECT count(*), sum(id), max(t) FROM t{c}",
            "SELECT at, n FROM t{c} WHERE id < 3 ORDER BY id",
            "SELECT 'a\\b', E'a\\nb'",
            "SELECT id FROM d{c} ORDER BY id",
            "SELECT * FROM scratch.d{c}",
            "SELECT f_read(1)",
            "SELECT f_with_set(), current_setting('work_mem')",
            "SELECT * FROM v_who",
            "SELECT f_notice('x')",
            "SELECT repeat('x', 20000)",
            "SELECT g, repeat('y', 100) FROM generate_series(1, 300) g",
            "COPY t{c} TO STDOUT",
            "COPY (SELECT id, t FROM t{c} ORDER BY id LIMIT 3) TO STDOUT (FORMAT csv)",
            "SELECT 1 / 0", "SELECT nowhere", "SELECT * FROM nowhere", "nonsense", "SELECT 'x'::int", "SELECT 1 / (id - 2) FROM t{c} ORDER BY id",
            "SELECT now() = statement_timestamp() OR true, now() = transaction_timestamp()",
            "TABLE t{c}", "VALUES (1), (2)", "SELECT xmlparse(content 'x')", "EXPLAIN (COSTS OFF) SELECT * FROM who",
            "SELECT count(*) FROM pg_cursors", "SELECT lo_get({c} + 80000)",
        ])  # fmt: skip

    def change(self):
        return self.rng.choice([
            "INSERT INTO t{c} VALUES (1{r}, 'inserted')", "INSERT INTO t{c} VALUES (1, 'duplicate')",
            "INSERT INTO t{c} VALUES (2{r}, 'x') ON CONFLICT DO NOTHING RETURNING *", "UPDATE t{c} SET t = t || '+' WHERE id < 3",
            "DELETE FROM t{c} WHERE id = {r}", "UPDATE t{c} SET n = n + 1 RETURNING id, n", "INSERT INTO k{c} (p) VALUES ({r})",
            "WITH x AS (INSERT INTO t{c} VALUES (3{r}, 'cte') RETURNING id) SELECT * FROM x", "SELECT nextval('s{c}')",
            "SELECT setval('s{c}', 50)", "SELECT f_write{c}(4{r})", "TRUNCATE t{c}", "SELECT * FROM t{c} WHERE id = 1 FOR UPDATE",
            "SELECT id FROM t{c} ORDER BY id LIMIT 1 FOR SHARE", "NOTIFY ch{c}, 'payload {r}'", "SELECT pg_notify('ch0', 'from {c}')",
            "SELECT lo_put(80000 + {c}, 0, 'L{r}')", "SELECT pg_advisory_xact_lock(100 + {c})", "LOCK TABLE t{c}",
            "SELECT lo_open(80000 + {c}, 262144)",
        ])  # fmt: skip

    def ddl(self):
        return self.rng.choice([
            "CREATE TABLE scratch.d{c} (id int)", "CREATE TABLE scratch.d{c} AS SELECT 1 AS id, 'x' AS t", "DROP TABLE scratch.d{c}",
            "ALTER TABLE scratch.d{c} ADD COLUMN c{r} int", "CREATE TABLE IF NOT EXISTS scratch.d{c} (id int, t text)",
            "INSERT INTO scratch.d{c} (id) VALUES ({r})", "CREATE VIEW scratch.v{c} AS SELECT * FROM t{c}", "DROP VIEW IF EXISTS scratch.v{c}",
            "CREATE OR REPLACE FUNCTION scratch.g{c}() RETURNS int LANGUAGE sql AS 'SELECT {r}'", "SELECT scratch.g{c}()",
            "CREATE INDEX ON scratch.d{c} (id)", "SELECT 1 AS id INTO scratch.d{c}",
        ])  # fmt: skip

    def transaction(self):
        rng = self.rng
        begins = [b for b in BEGINS if READ_ONLY_BLOCKS or "READ ONLY" not in b]
        return rng.choice([
            *begins, rng.choice(ENDS), "SAVEPOINT p1", "SAVEPOINT p2", "ROLLBACK TO p1", "ROLLBACK TO SAVEPOINT p2", "RELEASE p1",
            "RELEASE SAVEPOINT p2", "SET TRANSACTION READ ONLY", "SET LOCAL transaction_read_only = on", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET TRANSACTION READ WRITE",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET CONSTRAINTS ALL IMMEDIATE",
            "COMMIT PREPARED 'none'", 'SAVEPOINT "P 1"', 'ROLLBACK TO "P 1"', "SAVEPOINT p1; SET LOCAL work_mem = '3MB'; ROLLBACK TO p1", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, DEFERRABLE",
        ])  # fmt: skip

    def cursor(self):
        return self.rng.choice([
            "DECLARE c1 CURSOR FOR SELECT * FROM t{c} ORDER BY id", "DECLARE c2 SCROLL CURSOR FOR SELECT generate_series(1, 9)",
            "FETCH 2 FROM c1", "FETCH NEXT c2", "FETCH BACKWARD 1 FROM c2", "MOVE 3 IN c2", "CLOSE c1", "CLOSE ALL", "FETCH ALL FROM c1",
            "DECLARE c3 BINARY CURSOR FOR SELECT 1", "FETCH 1 FROM nothing",
        ])  # fmt: skip

    def pinning(self):
        name, value = self.setting()
        value = value if value.startswith(("'", "E'")) else f"'{value}'"
        return self.rng.choice([
            "CREATE TEMP TABLE tt (id int)", "CREATE TEMP TABLE tt (id int) ON COMMIT DELETE ROWS", "CREATE TEMP TABLE tt ON COMMIT DROP AS SELECT 1 AS id",
            "INSERT INTO tt VALUES ({r})", "SELECT * FROM tt", "DROP TABLE tt", "CREATE TEMP TABLE who (w text)",
            "SELECT 1 AS id INTO TEMP tt", "DISCARD TEMP", "DISCARD PLANS", "DISCARD SEQUENCES", "DISCARD ALL",
            "LISTEN ch0", "LISTEN ch{c}", "UNLISTEN ch0", "UNLISTEN *", "NOTIFY ch0, '{r}'", "SELECT pg_listening_channels()",
            "DECLARE h CURSOR WITH HOLD FOR SELECT id FROM t{c} ORDER BY id", "FETCH 2 FROM h", "CLOSE h",
            "SELECT pg_advisory_lock(200 + {c})", "SELECT pg_advisory_unlock(200 + {c})", "SELECT pg_advisory_unlock_all()",
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
            "PREPARE q1 AS SELECT whoami()", "PREPARE q1 (int) AS SELECT $1 + {r}", "EXECUTE q1", "EXECUTE q1 (2)", "DEALLOCATE q1", "DEALLOCATE ALL",
            *(["PREPARE n1 AS SELECT w FROM who ORDER BY w", "EXECUTE n1", "DEALLOCATE PREPARE n2"] if SHARED_NAMES else []), "EXPLAIN (COSTS OFF) EXECUTE q1",
            "SELECT nextval('s{c}')", *(["SELECT currval('s{c}')", "SELECT lastval()"] if SEQUENCE_VALUES else []), "SELECT setseed(0.4)", "SELECT setseed(0.4), random()",
            f"DO $$ BEGIN PERFORM set_config('{name}', {value}, false); END $$", f"CALL p_set('{name}', {value})",
            f"SELECT f_set('{name}', {value}, false)", f"SELECT f_set('{name}', {value}, true)", f"SELECT f_set_and_fail('{name}', {value})",
            f"SELECT f_set_caught('{name}', {value})", "DO 'BEGIN COMMIT; END'", "DO 'BEGIN RAISE EXCEPTION ''no''; END'",
            "DO 'BEGIN CREATE TEMP TABLE tt (id int); END'", "LOAD 'auto_explain'", "UPDATE pg_settings SET setting = '7MB' WHERE name = 'work_mem'",
        ])  # fmt: skip

    def sql(self):
        """(a statement, whether it may pin)"""
        kinds = [(22, self.set_statement), (8, self.set_config), (34, self.look), (14, self.change), (12, self.transaction), (5, self.cursor), (4, self.ddl)]
        if not self.tame:
            kinds.append((14, self.pinning))
        kind = self.rng.choices([k for _, k in kinds], [w for w, _ in kinds])[0]
        text = kind()
        # What may set what nobody sees, in whatever disguise; what does not parse is one.
        ties = kind in (self.pinning, self.set_config, self.change, self.ddl) or "nonsense" in text
        return text, ties or bool(USER_MADE.search(text))

    # Steps.

    def _simple(self, who):
        sql, pins = self.sql()
        return self.query(who, sql + self.rng.choice(["", "", ";", " ;; "]), pins=pins, frees=sql == "DISCARD ALL")

    def _several(self, who):
        parts = [self.sql() for _ in range(self.rng.randint(2, 4))]
        return self.query(who, "; ".join(sql for sql, _ in parts), pins=any(pins for _, pins in parts))

    def _empty(self, who):
        return self.query(who, self.rng.choice(["", ";", " -- nothing\n", "/* nothing */;"]))

    def _text(self):
        """(text, parameters, pins) for Parse."""
        if self.rng.random() < 0.3:
            sql, pins = self.sql()
            return sql, [], pins
        sql, values = self.rng.choice(PARAMETERISED)
        return sql, [v.replace("{r}", str(self.rng.randrange(10))) for v in values], "(" in sql or "INSERT" in sql or "syntax" in sql

    def _name(self):
        return self.rng.choice(["n1", "n2", "n3"])

    def _unnamed(self, who):
        sql, values, pins = self._text()
        messages = [("Parse", ["", sql]), ("Bind", ["", "", values])]
        if self.rng.random() < 0.6:
            messages.append(("Describe", ["P", ""]))
        return Step(who, [*messages, ("Execute", []), ("Sync", [])], pins=pins)

    def _prepare(self, who):
        sql, _, pins = self._text()
        messages = [("Parse", [self._name(), sql])]
        if self.rng.random() < 0.3:
            messages.insert(0, ("Close", ["S", messages[0][1][0]]))
        if self.rng.random() < 0.5:
            messages.append(("Describe", ["S", messages[-1][1][0]]))
        if pins:
            self.may_tie.add((who, messages[-1][1][-1] if messages[-1][0] == "Describe" else messages[-1][1][0]))
        return Step(who, [*messages, ("Sync", [])], pins=pins)

    def _values_for_any(self):
        return self.rng.choice([[], [], ["3"], ["1", "2"], ["work_mem"]])

    def _execute_named(self, who):
        name = self._name()
        messages = [("Bind", ["", name, self._values_for_any()])]
        if self.rng.random() < 0.3:
            messages.append(("Describe", ["P", ""]))
        return Step(who, [*messages, ("Execute", []), ("Sync", [])], pins=(who, name) in self.may_tie)

    def _close(self, who):
        return Step(who, [("Close", self.rng.choice([["S", self._name()], ["P", "p1"], ["S", ""]])), ("Sync", [])])

    def _describe(self, who):
        return Step(who, [("Describe", self.rng.choice([["S", self._name()], ["S", ""], ["P", "p1"]])), ("Sync", [])])

    def _portal(self, who):
        portal = self.rng.choice(["", "p1", "p2"])
        messages = self.rng.choice([
            [("Parse", ["", "SELECT * FROM generate_series(1, 7)"]), ("Bind", [portal, ""]), ("Execute", [portal, 3])],
            [("Parse", ["", "SELECT id FROM t{c} ORDER BY id"]), ("Bind", [portal, ""]), ("Execute", [portal, 2]), ("Execute", [portal, 2])],
            [("Execute", [portal, 2])], [("Execute", [portal, 0])], [("Bind", [portal, self._name(), []]), ("Execute", [portal, 1])],
            [("Bind", [portal, "n1", []]), ("Close", ["P", portal]), ("Execute", [portal, 1])],
        ])  # fmt: skip
        pins = any(m == "Bind" and (who, a[1]) in self.may_tie for m, a in messages)
        return Step(who, [(m, list(a)) for m, a in messages] + [("Sync", [])], pins=pins)

    def _pipeline(self, who):
        messages, pins = [], False
        for _ in range(self.rng.randint(2, 5)):
            if self.rng.random() < 0.3:
                name = self._name()
                messages += [("Bind", ["", name, self._values_for_any()]), ("Execute", [])]
                pins = pins or (who, name) in self.may_tie
                continue
            sql, values, one_pins = self._text()
            name = self.rng.choice(["", "", "n1", "n3"])
            if name and not SHARED_NAMES and any(m == "Parse" and a[0] == name for m, a in messages):
                name = ""
            pins = pins or one_pins
            if one_pins and name:
                self.may_tie.add((who, name))
            messages += [("Parse", [name, sql]), ("Bind", ["", name, values]), ("Execute", [])]
        return Step(who, [*messages, ("Sync", [])], pins=pins)

    def _syncs(self, who):
        one, two = self._unnamed(who), self._execute_named(who)
        return Step(who, one.messages + two.messages, count=2, pins=one.pins or two.pins)

    def _together(self, parts):
        """Several steps in one write."""
        return Step(parts[0].who, [m for p in parts for m in p.messages], count=sum(p.count for p in parts), pins=any(p.pins for p in parts))

    def _in_flight(self, who):
        kinds = [self._unnamed, self._unnamed, self._execute_named, self._prepare, self._close, self._describe, self._portal, self._pipeline, self._simple]
        return self._together([self.rng.choice(kinds)(who) for _ in range(self.rng.randint(2, 6))])

    def _run(self, who, sql):
        if self.rng.random() < 0.4:
            return self.query(who, sql)
        return Step(who, [("Parse", ["", sql]), ("Bind", ["", ""]), ("Execute", []), ("Sync", [])])

    def _whole_block(self, who):
        """A transaction without waiting for any of its answers."""
        kinds = [self._unnamed, self._execute_named, self._simple, self._portal, lambda who: self._run(who, "SAVEPOINT p1"),
                 lambda who: self._run(who, self.rng.choice(["ROLLBACK TO p1", "RELEASE p1"]))]  # fmt: skip
        inside = [self.rng.choice(kinds)(who) for _ in range(self.rng.randint(1, 4))]
        return self._together([self._run(who, self.rng.choice(BEGINS)), *inside, self._run(who, self.rng.choice(ENDS))])

    def _driver_begin(self, who):
        """BEGIN and the first statement in one batch; the BEGIN has a name after some time."""
        begin = self.rng.choice(BEGINS[:-2])
        first = self.rng.choice([[("Parse", ["", begin]), ("Bind", ["", ""])], [("Bind", ["", "n1"])], [("Parse", ["n1", begin]), ("Bind", ["", "n1"])]])
        rest = self._unnamed(who)
        return Step(who, [*first, ("Execute", []), *rest.messages], pins=rest.pins or (who, "n1") in self.may_tie)

    def _copy_in_a_pipeline(self, who):
        copy = Step(who, [("Parse", ["", "COPY t{c} FROM STDIN"]), ("Bind", ["", ""]), ("Execute", []), ("CopyData", ["9{r}\tcopied\t1\t2024-01-01\n"]),
                          self.rng.choice([("CopyDone", []), ("CopyFail", ["no"])]), ("Sync", [])])  # fmt: skip
        out = self._run(who, self.rng.choice(["COPY t{c} TO STDOUT", "COPY (SELECT 1 / (id - 2) FROM t{c} ORDER BY id) TO STDOUT"]))
        parts = [self._unnamed(who), self.rng.choice([copy, out]), self._execute_named(who)]
        self.rng.shuffle(parts)
        return self._together(parts)

    def _portal_in_pieces(self, who):
        """Rows a few at a time, each time asked for with a Flush; the portal is described between."""
        portal = self.rng.choice(["", "p1"])
        return Step(who, [("Parse", ["", "SELECT id, t FROM t{c} ORDER BY id"]), ("Bind", [portal, ""]), ("Describe", ["P", portal]),
                          ("Execute", [portal, 2]), ("Flush", [])], until="ECIs")  # fmt: skip

    def _flush(self, who):
        sql, values, pins = self._text()
        messages = [("Parse", ["", sql]), ("Bind", ["", "", values]), ("Execute", []), ("Flush", [])]
        return Step(who, messages, until="ECIs", pins=pins)

    def _go_on(self, who):
        if self.rng.random() < 0.3:
            sql, values, pins = self._text()
            return Step(who, [("Parse", ["", sql]), ("Bind", ["", "", values]), ("Execute", []), ("Sync", [])], pins=pins)
        if self.rng.random() < 0.3:
            return Step(who, [("Execute", [self.rng.choice(["", "p1"]), 2]), ("Describe", ["P", "p1"]), ("Sync", [])])
        return Step(who, [("Sync", [])])

    def _copy_in(self, who):
        rows = "".join(f"{60 + self.rng.randrange(20)}\tcopied\t1\t2024-01-01\n" for _ in range(2))
        end = self.rng.choice([("CopyDone", []), ("CopyDone", []), ("CopyFail", ["changed my mind"])])
        rows = self.rng.choice([rows, rows, "bad\tdata\n"])
        return Step(who, [("Query", ["COPY t{c} FROM STDIN"]), ("CopyData", [rows]), end])

    def _copy_in_extended(self, who):
        return Step(who, [("Parse", ["", "COPY t{c} FROM STDIN"]), ("Bind", ["", ""]), ("Execute", []), ("Flush", []),
                          ("CopyData", ["9{r}\tcopied\t1\t2024-01-01\n"]), ("CopyDone", []), ("Sync", [])])  # fmt: skip

    def _function_call(self, who):
        call = self.rng.choice([[177, ["20", "22"]], [177, ["x", "1"]], [957 + 10**6, []], [1271, ["1", "2"]], [65, ["1", "1"]]])
        return Step(who, [("FunctionCall", call)], pins=True)


STARTUPS = [{}, {}, {"application_name": "started"}, {"options": "-c work_mem=2MB -c search_path=b,public"}, {"DateStyle": "German"},
            {"TimeZone": "Asia/Tokyo", "my.x": "at start"}, {"default_transaction_read_only": "on"}, {"client_encoding": "LATIN1"}]  # fmt: skip


@dataclasses.dataclass
class Script:
    seed: int
    startups: list
    steps: list

    def __str__(self):
        lines = [f"{'abcdefgh'[i]}: {json.dumps(s)}" for i, s in enumerate(self.startups) if s]
        return "\n".join([f"seed {self.seed}", *lines, *map(str, self.steps)])


def write(seed, length, port, connections):
    """(a script, what PostgreSQL answered to each step, its logins, its notifications)."""
    rng = random.Random(seed)
    author = Author(rng, tame=seed % 2 == 0)
    startups = [dict(rng.choice(STARTUPS)) for _ in range(CLIENTS)]
    steps, answers = [], []
    with Player(port, startups, 10.0) as player:
        who = 0
        while len(steps) < length:
            if rng.random() < 0.5:
                who = rng.randrange(CLIENTS)
            if not player.may_step(who, connections):
                who = rng.choice([c for c in range(CLIENTS) if player.may_step(c, connections)])
            step = author.step(who, player)
            steps.append(step)
            answers.append(player.play(step))
            assert not answers[-1] or answers[-1][-1] != "(silence)", f"a wrong script, PostgreSQL is silent:\n{step}"
        notes = player.notifications(0.05) if any("LISTEN" in str(s) for s in steps) else player.notes
        return Script(seed, startups, steps), answers, player.logins, notes


def replay(script, port, connections=None, timeout=8.0):
    """The same of another server. None if, of `connections`, a client would have to wait for another's."""
    answers = []
    with Player(port, script.startups, timeout) as player:
        for step in script.steps:
            if connections is not None and not player.may_step(step.who, connections):
                return None
            if connections is not None and player.open_series[step.who] and step.messages[0][0] == "Query":
                return None
            answers.append(player.play(step))
            if answers[-1][-1:] in (["(silence)"], ["(closed)"]):
                break
        deadline = time.monotonic() + 1.0
        listens = any("LISTEN" in str(s) for s in script.steps)
        notes = player.notifications(0.05 if listens else 0.001)
        while listens and time.monotonic() < deadline and connections is None and not any(notes):
            notes = player.notifications(0.05)
        return answers, player.logins, notes
