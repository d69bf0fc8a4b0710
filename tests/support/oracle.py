"""Runs a statement on the primary and on a hot standby and says what it did: its answer, and whether it changed anything.
What the servers say here is the truth that classification is held against."""

import contextlib
import os
import time

import transcript
import wire

STATEMENT_TIMEOUT_MS = 5000
# What a standby answers to what it cannot do. Class 25 says "read-only", the others say what recovery lacks.
REFUSALS = {"25006", "25001", "55000", "0A000"}
REFUSAL_WORDS = ("read-only", "recovery", "hot standby", "standby server", "assign TransactionIds", "unlogged")

# All that a statement may leave behind and that can be asked for, seen from inside its own session. Row by row: what
# is changed in the database for good, what this session holds.
LOOK = """
SELECT 'transaction id', coalesce(pg_catalog.pg_current_xact_id_if_assigned()::text, 'none')
UNION ALL SELECT 'rows', (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::text
  FROM pg_catalog.pg_stat_xact_user_tables)
UNION ALL SELECT 'locks', (SELECT coalesce(string_agg(l.locktype || ' ' || l.mode || ' ' || coalesce(l.objid::text, ''), ',' ORDER BY l.mode, l.objid), '')
  FROM pg_catalog.pg_locks l WHERE l.pid = pg_catalog.pg_backend_pid()
  AND (l.locktype = 'advisory' OR l.locktype = 'relation' AND l.mode <> 'AccessShareLock'))
UNION ALL SELECT 'settings', (SELECT md5(string_agg(s.name || '=' || s.setting, ',' ORDER BY s.name))
  FROM pg_catalog.pg_settings s WHERE s.name NOT LIKE 'transaction%')
UNION ALL SELECT 'own settings', concat_ws('|', session_user, current_user, pg_catalog.current_setting('role'),
  pg_catalog.current_setting('my.seen', true))
UNION ALL SELECT 'session', concat_ws('|',
  (SELECT count(*) FROM pg_catalog.pg_prepared_statements), (SELECT count(*) FROM pg_catalog.pg_cursors WHERE name <> ''),
  pg_catalog.pg_my_temp_schema(), (SELECT string_agg(c, ',') FROM pg_catalog.pg_listening_channels() c))
"""
# The same from outside, asked by another session: these survive a rollback. Sequences too, which no rollback undoes.
LOOK_OUTSIDE = """
SELECT 'next transaction id', pg_snapshot_xmax(pg_current_snapshot())::text
UNION ALL SELECT 'sequences', coalesce((SELECT md5(string_agg(c.oid || ':' || coalesce(pg_sequence_last_value(c.oid)::text, ''), ','
  ORDER BY c.oid)) FROM pg_class c WHERE c.relkind = 'S' AND c.relpersistence <> 't'), '')
UNION ALL SELECT 'large objects', (SELECT count(*)::text FROM pg_largeobject_metadata)
UNION ALL SELECT 'session locks', (SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory')
"""


class Answer:
    """What a client saw: every message of the reply but ReadyForQuery."""

    def __init__(self, messages):
        shown = [transcript.show(m) for m in messages if m.type not in "ZSA"]
        self.lines = tuple(shown)
        self.error = next((wire.error_fields(m.body) for m in messages if m.type == "E"), None)

    @property
    def sqlstate(self):
        return self.error["C"] if self.error else None

    @property
    def timed_out(self):
        return self.sqlstate == "57014"

    def refused_as_standby(self):
        """True if the error is that this server is no primary."""
        if self.error is None or self.sqlstate not in REFUSALS:
            return False
        return self.sqlstate == "25006" or any(word in self.error["M"] for word in REFUSAL_WORDS)

    def __eq__(self, other):
        """The same messages; rows in any order, since without ORDER BY no order is promised."""
        return self.lines == other.lines or sorted(self.lines) == sorted(other.lines)

    def __str__(self):
        text = " / ".join(self.lines)
        return text if len(text) < 600 else f"{text[:400]} ... {text[-150:]}"


class Session:
    """One session on one server; renewed when a statement has closed or soiled it."""

    def __init__(self, cluster, server, user, database):
        self.connect = lambda: cluster.connect(
            server, user, {"postgres": "secret"}.get(user, user), database, timeout=30.0,
            options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c client_min_messages=notice",
        )
        self.conn = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.renew()

    def renew(self):
        if self.conn is not None:
            with contextlib.suppress(OSError):
                self.conn.send(wire.terminate())
            self.conn.shut()
        self.conn = None

    def run(self, sql):
        """The messages that answer one Query; COPY FROM STDIN gets no data."""
        if self.conn is None:
            self.conn = self.connect()
            self.conn.rows("DO $$BEGIN END$$")  # PL/pgSQL brings settings of its own when it is first used
        self.conn.send(wire.query(sql))
        seen = []
        while not seen or seen[-1].type != "Z":
            msg = self.conn.recv()
            if msg is None:
                self.renew()
                break
            seen.append(msg)
            if msg.type == "G":
                self.conn.send(wire.copy_fail("no data"))
        return seen

    def answer(self, sql):
        """`sql` by itself, in a session as new."""
        seen = self.run(sql)
        result = Answer(seen)
        if seen and seen[-1].type == "Z" and seen[-1].body != b"I":
            self.run("ROLLBACK")
        if self.conn is not None and self.run("DISCARD ALL")[0].type == "E":
            self.renew()
        return result


class Oracle:
    def __init__(self, cluster, user, database, directory=None, standby="pg1"):
        self.primary = Session(cluster, "pg0", user, database)
        self.standby = Session(cluster, standby, user, database)
        self.watcher = Session(cluster, "pg0", "postgres", database)
        self.directory = directory

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for session in (self.primary, self.standby, self.watcher):
            session.renew()

    def _outside(self):
        rows = dict(wire.rows(self.watcher.run(LOOK_OUTSIDE)))
        rows["files"] = sorted(os.listdir(self.directory)) if self.directory else []
        return rows

    def changes(self, sql, keep):
        """{what: (before, after)} of all that `sql`, in a transaction of its own, was seen to change on the primary.
        `keep`: commit it (only what changes nothing should be), else roll it back."""
        outside = self._outside()
        self.primary.run("BEGIN")
        before = dict(wire.rows(self.primary.run(LOOK)))
        replies = self.primary.run(sql)
        found = {}
        if replies and replies[-1].body == b"T":
            after = dict(wire.rows(self.primary.run(LOOK)))
            found = {k: (before[k], after.get(k)) for k in before if before[k] != after.get(k)}
        if sql[:7].upper() == "EXPLAIN" and "advisory" not in found.get("locks", ("", "advisory"))[1]:
            del found["locks"]  # EXPLAIN INSERT locks as INSERT does, until its end; a standby lets it
        if self.primary.conn is not None:
            self.primary.run("COMMIT" if keep else "ROLLBACK")
            left = dict(wire.rows(self.primary.run(LOOK)))
            found |= {f"{k} (after)": (before[k], left.get(k)) for k in before
                      if k in ("locks", "own settings", "session") and before[k] != left.get(k)}
        after = self._outside()
        found |= {k: (outside[k], after.get(k)) for k in outside if outside[k] != after.get(k)}
        if found or self.primary.conn is not None and self.primary.run("DISCARD ALL")[0].type == "E":
            self.primary.renew()
        return found

    def faults(self, sql):
        """Why a replica should not have been given `sql`: a list of sentences, empty if it may. And whether its answer
        could be compared: not that of a clock or a die."""
        wrong = []
        standby = self.standby.answer(sql)
        if standby.refused_as_standby():
            wrong.append(f"the standby refuses: {standby.sqlstate} {standby.error['M']}")
        first = self.primary.answer(sql)
        changed = self.changes(sql, keep=True)
        # Again and again, for some three seconds: autovacuum takes transaction ids too.
        for pause in (0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6):
            if not changed:
                break
            time.sleep(pause)
            changed = self.changes(sql, keep=True)
        if changed:
            wrong.append(f"changes the primary: {changed}")
        again = self.primary.answer(sql)
        comparable = first == again and not (first.timed_out or standby.timed_out)
        if comparable and first != standby and not wrong:
            wrong.append(f"answers differ:\n    primary {first}\n    standby {standby}")
        return wrong, comparable
