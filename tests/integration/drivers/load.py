"""What the programs in Python share: which statement comes next, and whether its rows are right. See README.md."""

import collections
import random
import sys
import threading
import time

IDS = 40
WAYS = ["alone"] * 7 + ["block"] * 2 + ["read only"]


def key(row_id):
    return str(row_id * 7 + 12345)


def plain(value):
    """psycopg leaves an enum that came in binary as bytes."""
    return (value.decode() if isinstance(value, bytes) else str(value)).removesuffix(".0")


class Load:
    """The counts of all connections of one program."""

    def __init__(self, driver):
        self.driver, self.statements, self.rows, self.inserted, self.doubtful = driver, [], 0, 0, 0
        self.wrong, self.errors, self.slowest = [], collections.Counter(), 0.0
        with open(sys.argv[1], encoding="utf-8") as plan:
            for name, *values in (line.rstrip("\n").split("\t") for line in plan):
                if name == "statement":
                    sql, args, rows, write = values
                    self.statements.append({"sql": sql, "args": args.split(), "rows": int(rows), "write": write == "write"})
                elif name == "url":
                    self.url = values[0]
                elif name == "connections":
                    self.connections = int(values[0])
                elif name == "seconds":
                    self.until = time.monotonic() + float(values[0])

    def goes_on(self):
        return time.monotonic() < self.until

    def took(self, seconds):
        self.slowest = max(self.slowest, seconds)

    def say(self):
        print("driver", self.driver, sep="\t")
        for name in ("rows", "inserted", "doubtful"):
            print(name, getattr(self, name), sep="\t")
        print("slowest", f"{self.slowest:.3f}", sep="\t")
        for what in self.wrong:
            print("wrong", what.replace("\t", " "), sep="\t")
        for error, count in self.errors.items():
            print("error", count, error.replace("\t", " "), sep="\t")


class Turn:
    """One statement with its arguments, as often as it has to be tried; `texts` are those of its connection."""

    def __init__(self, load, connection, way, texts):
        self.load, self.way, self.texts = load, way, texts
        allowed = [s for s in load.statements if not (s["write"] and way == "read only")]
        self.statement = random.choice(allowed)
        self.id = connection.new_id() if self.inserts else random.randint(1, IDS)

    @property
    def inserts(self):
        return "new" in self.statement["args"]

    @property
    def sql(self):
        """A statement that failed for good is another text from then on: that is prepared anew by every driver."""
        return self.statement["sql"] + self.texts.get(self.statement["sql"], "")

    def fresh_text(self):
        self.texts[self.statement["sql"]] = f" /* {random.randint(1, 1 << 30)} */"

    def arguments(self, open_type):
        """`open_type` makes the argument whose type PostgreSQL finds out itself."""
        make = {"id": self.id, "new": self.id, "k": key(self.id), "open": open_type(int(key(self.id)))}
        return [make[name] for name in self.statement["args"]]

    def check(self, rows):
        """`rows` are dicts. Every column but id and k has the value of k, of whatever type it is just now."""
        if self.statement["rows"] and len(rows) != self.statement["rows"]:
            self.load.wrong.append(f"{len(rows)} rows: {self.way}: {self.sql} {self.id}")
        for row in rows:
            values = [plain(value) for name, value in row.items() if name != "id"]
            if any(value != key(row["id"]) for value in values) or (self.statement["rows"] == 1 and row["id"] != self.id):
                self.load.wrong.append(f"{row}: {self.way}: {self.sql} {self.id}")
            self.load.rows += 1


class Connection:
    def __init__(self, number):
        self.number, self.count = number, 0

    def new_id(self):
        self.count += 1
        return self.number * 1_000_000 + self.count


class Client(Connection):
    """One connection with a thread of its own. The driver's class has alone(), block(way) and, if need be, close()."""

    def __init__(self, load, number):
        super().__init__(number)
        self.load, self.texts = load, {}

    def run(self):
        while self.load.goes_on():
            way = random.choice(WAYS)
            if way == "alone":
                self.alone()
            else:
                self.block(way)
        self.close()

    def close(self):
        pass


def run_clients(load, make):
    """`make(number)` makes each, in its thread; says what came of all."""

    def run(number):
        try:
            make(number).run()
        except Exception as error:  # pylint: disable=broad-except
            load.errors[f"fatal: {error!r}"] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, load.connections + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.say()
