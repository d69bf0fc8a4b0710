"""Clients that go on while servers die, and a judge of what they were told.

Writers insert numbers and count up, in autocommit; movers move money in transactions; readers look for everything that was
acknowledged before they asked; newcomers log in anew each time. None validates its connection before it uses it, and none tries
again what failed, so that each error that Waypost lets through is counted.
"""

import collections
import contextlib
import threading
import time
from typing import NamedTuple

import wire

ACCOUNTS, START_BALANCE = 20, 1000
SCHEMA = f"""
DROP TABLE IF EXISTS written, counted, account, moved;
CREATE TABLE written (writer int, n int, port int DEFAULT inet_server_port());
CREATE INDEX ON written (writer, n);
CREATE TABLE counted (writer int PRIMARY KEY, times int NOT NULL DEFAULT 0);
CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
CREATE TABLE moved (mover int, n int);
CREATE INDEX ON moved (mover, n);
INSERT INTO counted SELECT generate_series(0, 99);
INSERT INTO account SELECT i, {START_BALANCE} FROM generate_series(1, {ACCOUNTS}) i;
"""
# Longer than anything may take: whoever waits so long hangs.
HANG_SECONDS = 90.0
# What may have been done and may not have been.
DOUBTFUL = ("08007", "closed", "hung")


class Event(NamedTuple):
    kind: str      # read, write, transaction, login
    began: float   # time.monotonic()
    ended: float
    outcome: str   # "ok", an SQLSTATE, "closed", "hung", "refused"
    port: int = 0  # of the server that says it ran it


class Told(Exception):
    """A statement ended in an error; `outcome` as in Event."""

    def __init__(self, outcome, message=""):
        super().__init__(f"{outcome} {message}")
        self.outcome = outcome


class Client(threading.Thread):
    """One connection, kept for as long as Waypost keeps it."""

    kind = ""
    rest_seconds = 0.01  # between two turns: a machine with two cores has other things to do

    def __init__(self, load, number):
        super().__init__(daemon=True, name=f"{type(self).__name__} {number}")
        self.load, self.number = load, number
        self.conn, self.status = None, "I"
        self.prepared = {}

    def run(self):
        while not self.load.over.is_set():
            began, outcome, port = time.monotonic(), "ok", 0
            try:
                port = self.turn() or 0
            except Told as told:
                outcome = told.outcome
                self.load.note(f"{self.kind} {told}")
            self.load.events.append(Event(self.kind, began, time.monotonic(), outcome, port))
            self.load.over.wait(self.rest_seconds)
        self.leave()

    def turn(self):
        """One statement or transaction; the port of the server that ran it, if that is known."""
        raise NotImplementedError

    def leave(self):
        if self.conn:
            self.conn.shut()
        self.conn = None

    def connected(self):
        if not self.conn:
            try:
                ports = self.load.ports
                self.conn = wire.connect(ports[self.number // 2 % len(ports)], timeout=HANG_SECONDS)
            except (OSError, wire.ServerError) as error:
                self.load.over.wait(0.05)
                raise Told("refused", str(error)) from error
            self.prepared, self.status = {}, "I"
        return self.conn

    def ask(self, sql, *values):
        """(rows, tag) of a statement. Clients with an odd number send it as drivers do: prepared once, then bound."""
        conn = self.connected()
        if self.number % 2:
            message = b"" if sql in self.prepared else wire.parse(f"s{len(self.prepared)}", sql)
            name = self.prepared.setdefault(sql, f"s{len(self.prepared)}")
            message += wire.bind("", name, values) + wire.execute() + wire.sync()
        else:
            for at in range(len(values), 0, -1):
                sql = sql.replace(f"${at}", str(values[at - 1]))
            message = wire.query(sql)
        return self.answer(conn, message)

    def answer(self, conn, message):
        try:
            conn.send(message)
            replies = conn.until()
        except TimeoutError as error:
            self.leave()
            raise Told("hung", f"for {HANG_SECONDS} s") from error
        except OSError:
            replies = []
        errors = [wire.error_fields(m.body) for m in replies if m.type == "E"]
        if not replies or replies[-1].type != "Z":
            self.leave()
            raise Told("closed", f"with {errors[0].get('C')} {errors[0].get('M')}" if errors else "without a word")
        self.status = replies[-1].body.decode()
        if errors:
            raise Told(errors[0]["C"], errors[0]["M"])
        tags = [m.body.rstrip(b"\0").decode() for m in replies if m.type == "C"]
        return wire.rows(replies), tags[-1]


class Writer(Client):
    kind = "write"

    def turn(self):
        load, me = self.load, self.number
        if load.tries[me] % 4 == 3:
            load.tries[me] += 1
            return self.told(load.counts[me], lambda: self.ask("UPDATE counted SET times = times + 1 WHERE writer = $1"
                                                               " RETURNING inet_server_port()", me))  # fmt: skip
        load.tries[me] += 1
        n = load.tries[me]
        try:
            rows, _ = self.ask("INSERT INTO written (writer, n) VALUES ($1, $2) RETURNING port", me, n)
        except Told as told:
            load.told[me, n] = told.outcome
            raise
        load.told[me, n] = "ok"
        load.acked[me] = n
        return int(rows[0][0])

    @staticmethod
    def told(counts, action):
        try:
            rows, _ = action()
        except Told as told:
            counts[told.outcome] += 1
            raise
        counts["ok"] += 1
        return int(rows[0][0])


class Mover(Client):
    kind = "transaction"

    def turn(self):
        load, me = self.load, self.number
        load.moves[me] += 1
        n = load.moves[me]
        one, other = sorted((n % ACCOUNTS + 1, (n * 7 + me + 3) % ACCOUNTS + 1))
        try:
            self.ask("BEGIN")
            self.ask("UPDATE account SET balance = balance - 1 WHERE id = $1", one)
            self.ask("UPDATE account SET balance = balance + 1 WHERE id = $1", other)
            self.ask("INSERT INTO moved (mover, n) VALUES ($1, $2)", me, n)
            _, tag = self.ask("COMMIT")
        except Told as told:
            load.moves_told[me, n] = told.outcome
            if self.conn and self.status != "I":
                self.ask("ROLLBACK")
            raise
        load.moves_told[me, n] = "ok" if tag == "COMMIT" else tag
        if tag != "COMMIT":
            raise Told("rolled back", "COMMIT was answered by " + tag)
        load.moves_acked[me] = n


class Reader(Client):
    kind = "read"

    def turn(self):
        load = self.load
        load.looks += 1
        look = load.looks
        if look % 5 == 4:
            rows, _ = self.ask("SELECT sum(balance) FROM account")
            if int(rows[0][0]) != ACCOUNTS * START_BALANCE:
                load.wrong["unbalanced"].append(f"{rows[0][0]} in all")
        elif look % 5 == 3 and load.movers:
            self.look("SELECT coalesce(max(n), 0) FROM moved WHERE mover = $1", look % load.movers, load.moves_acked, load.moves_seen)
        else:
            self.look("SELECT coalesce(max(n), 0) FROM written WHERE writer = $1", look % load.writers, load.acked, load.seen)

    def look(self, sql, whom, acked, seen):
        """Must see what was acknowledged, and what any reader has seen, before it asked."""
        acked_before, seen_before, began = acked[whom], seen[whom], time.monotonic()
        rows, _ = self.ask(sql, whom)
        found = int(rows[0][0])
        what = f"at {began - self.load.began:.3f} s, of {whom}: found {found}, acknowledged {acked_before}, seen {seen_before}"
        if found < acked_before:
            self.load.wrong["stale"].append(what)
        elif found < seen_before:
            self.load.wrong["backward"].append(what)
        seen[whom] = max(seen[whom], found)


class Newcomer(Client):
    """Logs in, reads, leaves: what a pool does when it grows."""

    kind = "login"
    rest_seconds = 0.1

    def turn(self):
        self.ask("SELECT count(*) FROM account")
        self.leave()


class Workload:
    """`ports`: of one Waypost or several, among which the clients are spread."""

    def __init__(self, *ports, writers=4, readers=4, movers=2, newcomers=1):
        self.ports, self.writers, self.movers = ports, writers, movers
        self.over = threading.Event()
        self.began = time.monotonic()
        self.events = []
        self.errors = collections.Counter()  # by message
        # By writer: what it tried last, what was acknowledged last, what any reader saw; likewise by mover.
        self.tries, self.acked, self.seen = ([0] * writers for _ in range(3))
        self.moves, self.moves_acked, self.moves_seen = ([0] * movers for _ in range(3))
        self.told, self.moves_told = {}, {}  # (writer, n) -> outcome
        self.counts = [collections.Counter() for _ in range(writers)]
        self.looks = 0
        self.wrong = collections.defaultdict(list)
        self.clients = [kind(self, number) for kind, count in ((Writer, writers), (Reader, readers), (Mover, movers),
                                                               (Newcomer, newcomers)) for number in range(count)]  # fmt: skip

    def note(self, what):
        self.errors[what] += 1

    def __enter__(self):
        self.began = time.monotonic()
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends all clients; those that do not come back hang."""
        self.over.set()
        deadline = time.monotonic() + 40
        for client in self.clients:
            client.join(max(0.0, deadline - time.monotonic()))
            if client.is_alive():
                self.wrong["hanging"].append(client.name)

    # -- what came of it

    def acknowledged(self, kind="write", since=0.0, ports=()):
        """Events of that kind that were acknowledged after `since`, by these servers."""
        found = [e for e in list(self.events) if e.kind == kind and e.outcome == "ok" and e.ended > since]
        return [e for e in found if not ports or e.port in ports]

    def wait_for(self, kind="write", count=20, since=None, seconds=30.0):
        """Until so many of that kind have begun and been acknowledged since."""
        since, deadline = time.monotonic() if since is None else since, time.monotonic() + seconds
        while sum(e.began > since for e in self.acknowledged(kind, since)) < count:
            assert time.monotonic() < deadline, f"no {count} of kind {kind} acknowledged within {seconds} s; {self.summary()}"
            time.sleep(0.02)

    def outcomes(self):
        """{kind: {outcome: count}} of what did not end well."""
        found = collections.defaultdict(collections.Counter)
        for event in self.events:
            if event.outcome != "ok":
                found[event.kind][event.outcome] += 1
        return {kind: dict(counts) for kind, counts in found.items()}

    def longest(self):
        """{kind: seconds of its longest turn}; what still hangs does not count."""
        found = collections.defaultdict(float)
        for event in self.events:
            found[event.kind] = max(found[event.kind], event.ended - event.began)
        return {kind: round(seconds, 3) for kind, seconds in found.items()}

    def pause(self):
        """The longest time in which no write was acknowledged."""
        ends = sorted(e.ended for e in self.acknowledged())
        return max((b - a for a, b in zip(ends, ends[1:])), default=0.0)

    def judge(self, servers, primary):
        """Compares what was told with what is there, on that server itself; fills `wrong`."""
        with servers.connect(primary, "openfire", "openfire", "openfire", timeout=60) as conn:
            there = {(int(a), int(b)): int(c) for a, b, c in conn.rows("SELECT writer, n, count(*) FROM written GROUP BY 1, 2")}
            moved = {(int(a), int(b)): int(c) for a, b, c in conn.rows("SELECT mover, n, count(*) FROM moved GROUP BY 1, 2")}
            times = [int(row[0]) for row in conn.rows("SELECT times FROM counted ORDER BY writer")]
            total = int(conn.value("SELECT sum(balance) FROM account"))
        self.compare("write", self.told, there)
        self.compare("transaction", self.moves_told, moved)
        for writer, counts in enumerate(self.counts):
            doubtful = sum(counts[outcome] for outcome in DOUBTFUL)
            if times[writer] < counts["ok"]:
                self.wrong["lost"].append(f"{counts['ok'] - times[writer]} updates of writer {writer}")
            if times[writer] > counts["ok"] + doubtful:
                self.wrong["twice"].append(f"{times[writer] - counts['ok'] - doubtful} updates of writer {writer}")
        if total != ACCOUNTS * START_BALANCE:
            self.wrong["unbalanced"].append(f"{total} at the end")
        return self

    def compare(self, kind, told, there):
        for key, outcome in told.items():
            count = there.get(key, 0)
            if count > 1:
                self.wrong["twice"].append(f"{kind} {key}: {count}")
            elif outcome == "ok" and not count:
                self.wrong["lost"].append(f"{kind} {key}")
            elif outcome != "ok" and outcome not in DOUBTFUL and count:
                self.wrong["done though refused"].append(f"{kind} {key}: {outcome}")

    def summary(self):
        kinds = collections.Counter(e.kind for e in self.events if e.outcome == "ok")
        lines = [f"acknowledged {dict(kinds)}, not {self.outcomes()}",
                 f"no write acknowledged for {self.pause():.3f} s; longest turn {self.longest()}"]  # fmt: skip
        lines += [f"  {count} x {what[:200]}" for what, count in self.errors.most_common(12)]
        lines += [f"  {what}: {len(cases)}, as {cases[:3]}" for what, cases in self.wrong.items()]
        return "\n".join(lines)


class Watch(threading.Thread):
    """When a server stops being a standby: asks it itself, all the time."""

    def __init__(self, servers, names):
        super().__init__(daemon=True)
        self.servers, self.names = servers, names
        self.promoted = {}  # server -> time.monotonic() at which it first answered as primary
        self.over = threading.Event()

    def run(self):
        links = {}
        while not self.over.wait(0.005):
            for name in self.names:
                try:
                    links[name] = links.get(name) or self.servers.connect(name, timeout=1.0)
                    if links[name].value("SELECT pg_is_in_recovery()") == "f":
                        self.promoted.setdefault(name, time.monotonic())
                except (OSError, wire.ServerError, AssertionError):
                    if links.pop(name, None):
                        continue
                    self.over.wait(0.05)
        for link in links.values():
            with contextlib.suppress(OSError):
                link.shut()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(10)
