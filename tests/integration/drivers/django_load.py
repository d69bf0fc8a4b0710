"""Django's database layer over psycopg2: one connection a thread, autocommit, atomic blocks with savepoints in them."""

import re
import time
import urllib.parse

import django
from django.conf import settings
from load import Client, Load, Turn, run_clients


class DjangoClient(Client):
    def execute(self, turn):
        sql, args = turn.sql.replace("%", "%%"), turn.arguments(str)
        with db.connection.cursor() as cursor:
            before = time.monotonic()
            cursor.execute(re.sub(r"\$\d", "%s", sql), [args[int(n) - 1] for n in re.findall(r"\$(\d)", sql)])
            names = [column[0] for column in cursor.description or []]
            rows = [dict(zip(names, row)) for row in cursor.fetchall()] if names else []
            self.load.took(time.monotonic() - before)
        turn.check(rows)

    def alone(self):
        turn = Turn(self.load, self, "alone", self.texts)
        for tries in range(6):
            try:
                self.execute(turn)
                self.load.inserted += turn.inserts
                return
            except db.Error as error:
                self.note(error, "alone", tries)
        self.load.doubtful += turn.inserts

    def block(self, way):
        inserts = 0
        try:
            with db.transaction.atomic():
                if way == "read only":
                    with db.connection.cursor() as cursor:
                        cursor.execute("SET TRANSACTION READ ONLY")
                for _ in range(2):
                    with db.transaction.atomic():
                        turn = Turn(self.load, self, way, self.texts)
                        inserts += turn.inserts
                        self.execute(turn)
            self.load.inserted += inserts
        except db.Error as error:
            self.note(error, way, 0)
            self.load.doubtful += inserts

    def note(self, error, way, tries):
        state = getattr(error.__cause__, "pgcode", None) or getattr(error.__cause__, "sqlstate", None)
        self.load.errors[f"{state or type(error).__name__} {way} {tries}: {str(error).splitlines()[0]}"] += 1

    def close(self):
        db.connection.close()


def main():
    load = Load(f"Django {django.__version__}")
    url = urllib.parse.urlparse(load.url)
    settings.configure(DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "USER": url.username, "PASSWORD": url.password,
        "HOST": url.hostname, "PORT": url.port,
    }})  # fmt: skip
    django.setup()
    run_clients(load, lambda number: DjangoClient(load, number))


if __name__ == "__main__":
    from django import db
    import django.db.transaction

    main()
