"""SQLAlchemy with its pool, over psycopg2: transactions unless it is told AUTOCOMMIT."""

import re
import time

import sqlalchemy
from load import Client, Load, Turn, run_clients
from sqlalchemy.exc import DBAPIError


class AlchemyClient(Client):
    def __init__(self, load, engine, number):
        super().__init__(load, number)
        self.engine = engine

    def execute(self, conn, turn):
        args = turn.arguments(str)
        text = sqlalchemy.text(re.sub(r"\$(\d)", r":a\1 ", turn.sql))
        before = time.monotonic()
        result = conn.execute(text, {f"a{n}": args[n - 1] for n in range(1, len(args) + 1)})
        rows = [dict(row._mapping) for row in result] if result.returns_rows else []  # pylint: disable=protected-access
        self.load.took(time.monotonic() - before)
        turn.check(rows)

    def alone(self):
        turn = Turn(self.load, self, "alone", self.texts)
        for tries in range(6):
            try:
                with self.engine.connect() as conn:
                    self.execute(conn.execution_options(isolation_level="AUTOCOMMIT"), turn)
                self.load.inserted += turn.inserts
                return
            except DBAPIError as error:
                self.note(error, "alone", tries)
        self.load.doubtful += turn.inserts

    def block(self, way):
        inserts = 0
        try:
            with self.engine.connect() as connected:
                conn = connected.execution_options(postgresql_readonly=way == "read only", isolation_level="READ COMMITTED")
                with conn.begin():
                    for _ in range(2):
                        turn = Turn(self.load, self, way, self.texts)
                        inserts += turn.inserts
                        self.execute(conn, turn)
            self.load.inserted += inserts
        except DBAPIError as error:
            self.note(error, way, 0)
            self.load.doubtful += inserts

    def note(self, error, way, tries):
        self.load.errors[f"{error.orig.pgcode or type(error.orig).__name__} {way} {tries}: {str(error.orig).splitlines()[0]}"] += 1


def main():
    load = Load(f"SQLAlchemy {sqlalchemy.__version__}")
    url = load.url.replace("postgresql:", "postgresql+psycopg2:")
    engine = sqlalchemy.create_engine(url, pool_size=load.connections, pool_pre_ping=True, future=True)
    run_clients(load, lambda number: AlchemyClient(load, engine, number))


main()
