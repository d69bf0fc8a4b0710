"""asyncpg with its pool and its cache of statements: binary, described once."""

import asyncio
import time

import asyncpg
from load import WAYS, Connection, Load, Turn, random


class Client(Connection):
    def __init__(self, load, pool, number):
        super().__init__(number)
        self.load, self.pool, self.texts = load, pool, {}

    async def execute(self, conn, turn):
        for open_type in (int, str, float):  # it checks against the type that it was told
            try:
                before = time.monotonic()
                rows = await conn.fetch(turn.sql, *turn.arguments(open_type))
                self.load.took(time.monotonic() - before)
                turn.check([dict(row) for row in rows])
                return
            except asyncpg.DataError as error:
                if open_type is float or "invalid input for query argument" not in str(error):
                    raise

    async def alone(self, conn):
        turn = Turn(self.load, self, "alone", self.texts)
        for tries in range(6):
            try:
                await self.execute(conn, turn)
                self.load.inserted += turn.inserts
                return
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self.note(error, "alone", tries)
                if tries:
                    turn.fresh_text()
        self.load.doubtful += turn.inserts

    async def block(self, conn, way):
        turn, inserts = None, 0
        try:
            async with conn.transaction(readonly=way == "read only"):
                for _ in range(2):
                    turn = Turn(self.load, self, way, self.texts)
                    inserts += turn.inserts
                    await self.execute(conn, turn)
            self.load.inserted += inserts
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self.note(error, way, 0)
            self.load.doubtful += inserts
            if turn and getattr(error, "sqlstate", None) != "0A000":
                turn.fresh_text()

    def note(self, error, way, tries):
        # The driver's own words for 0A000 have no SQLSTATE.
        state = "0A000" if isinstance(error, asyncpg.InvalidCachedStatementError) else getattr(error, "sqlstate", None)
        self.load.errors[f"{state or type(error).__name__} {way} {tries}: {str(error).splitlines()[0]}"] += 1

    async def run(self):
        while self.load.goes_on():
            async with self.pool.acquire() as conn:
                for _ in range(10):
                    way = random.choice(WAYS)
                    await (self.alone(conn) if way == "alone" else self.block(conn, way))


async def guarded(load, client):
    try:
        await client.run()
    except Exception as error:  # pylint: disable=broad-except
        load.errors[f"fatal: {error!r}"] += 1


async def main():
    load = Load(f"asyncpg {asyncpg.__version__}")
    count = load.connections
    async with asyncpg.create_pool(load.url, min_size=count, max_size=count) as pool:
        await asyncio.gather(*(guarded(load, Client(load, pool, n)) for n in range(1, count + 1)))
    load.say()


asyncio.run(main())
