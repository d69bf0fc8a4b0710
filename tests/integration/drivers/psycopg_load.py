"""psycopg 3: prepares by itself, text and binary."""

import re
import time

import psycopg
from load import Client, Load, Turn, run_clients
from psycopg.rows import dict_row


class PsycopgClient(Client):
    def __init__(self, load, number):
        super().__init__(load, number)
        self.conn = psycopg.connect(load.url, autocommit=True, row_factory=dict_row)
        self.conn.prepare_threshold = 2 if number % 2 else 0

    def execute(self, turn):
        cur = self.conn.cursor(binary=self.number % 3 == 0)
        sql, args = turn.sql.replace("%", "%%"), turn.arguments(str)
        for n in range(len(args), 0, -1):
            sql = sql.replace(f"${n}", "%s")
        before = time.monotonic()
        cur.execute(sql, [args[int(n) - 1] for n in re.findall(r"\$(\d)", turn.sql)])
        self.load.took(time.monotonic() - before)
        turn.check(cur.fetchall() if cur.description else [])

    def alone(self):
        turn = Turn(self.load, self, "alone", self.texts)
        for tries in range(6):
            try:
                self.execute(turn)
                self.load.inserted += turn.inserts
                return
            except psycopg.Error as error:
                self.note(error, "alone", tries)
                turn.fresh_text()  # it does not prepare anew by itself
        self.load.doubtful += turn.inserts

    def block(self, way):
        turn, inserts = None, 0
        try:
            with self.conn.transaction():
                if way == "read only":
                    self.conn.execute("SET TRANSACTION READ ONLY")
                for _ in range(2):
                    turn = Turn(self.load, self, way, self.texts)
                    inserts += turn.inserts
                    self.execute(turn)
            self.load.inserted += inserts
        except psycopg.Error as error:
            self.note(error, way, 0)
            self.load.doubtful += inserts
            if turn and error.sqlstate != "0A000":  # behind ROLLBACK it prepares anew
                turn.fresh_text()

    def note(self, error, way, tries):
        self.load.errors[f"{error.sqlstate or type(error).__name__} {way} {tries}: {str(error).splitlines()[0]}"] += 1


def main():
    load = Load(f"psycopg {psycopg.__version__}")
    run_clients(load, lambda number: PsycopgClient(load, number))


main()
