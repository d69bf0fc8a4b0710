"""One client must not cost the others: what it sends takes processor time in proportion to its length, in small turns."""

import os
import threading
import time

import pytest
import wire

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Below this the clock of the kernel says nothing.
FLOOR_SECONDS = 0.08
# Twice as much is twice the work; a square is four times as much.
MOST_PER_DOUBLING = 3.0


def names(n, message):
    return b"".join(message(f"n{i}") for i in range(n))


PIPELINES = {
    "parses": lambda n: names(n, lambda x: wire.parse(x, "SELECT 1")) + wire.sync(),
    "parses and closes, then an error": lambda n: names(n, lambda x: wire.parse(x, "SELECT 1") + wire.close("S", x))
    + wire.parse("", "SELECT wrong")
    + wire.sync(),
    "closes": lambda n: names(n, lambda x: wire.close("S", x)) + wire.sync(),
    "parses behind an error": lambda n: wire.parse("", "SELEC") + names(n, lambda x: wire.parse(x, "SELECT 1")) + wire.sync(),
    "deallocations": lambda n: names(n, lambda x: wire.parse("", f"DEALLOCATE {x}") + wire.bind("", "") + wire.execute())
    + wire.sync(),
    "binds": lambda n: wire.parse("s", "SELECT 1") + names(n, lambda x: wire.bind(x, "s")) + wire.sync(),
    "runs of named portals": lambda n: wire.parse("", "SELECT 1")
    + names(n, lambda x: wire.bind(x, "") + wire.execute(x) + wire.close("P", x))
    + wire.sync(),
    "descriptions": lambda n: wire.parse("s", "SELECT 1") + wire.describe("S", "s") * n + wire.sync(),
    "portals that are closed": lambda n: names(n, lambda x: wire.close("P", x)) + wire.sync(),
    "syncs": lambda n: wire.sync() * n,
    "copy data outside a COPY": lambda n: wire.close("S", "") * n + wire.copy_data("") * n + wire.sync(),
    "flushes": lambda n: wire.parse("", "SELECT 1") + (wire.bind("", "") + wire.execute() + wire.flush()) * n + wire.sync(),
}


@pytest.fixture(scope="module")
def one_worker(cluster):
    import waypost as waypost_process

    with waypost_process.running(cluster, sections={"top": {"workers": 1}}) as made:
        yield made


def cpu_seconds(waypost):
    with open(f"/proc/{waypost.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def send_all(conn, data, mark):
    """Sends `data` and a query that returns `mark`, and reads all answers up to that."""
    sender = threading.Thread(target=conn.sock.sendall, args=(data + wire.query(f"SELECT '{mark}'"),), daemon=True)
    sender.start()
    seen = b""
    while mark.encode() not in seen:
        got = conn.sock.recv(1 << 20)
        assert got, f"closed after {seen[-300:]!r}"
        seen = seen[-1000:] + got
    sender.join()


def cost(waypost, data):
    conn = waypost.connect(database="bench")
    before = cpu_seconds(waypost)
    send_all(conn, data, f"mark{time.monotonic_ns()}")
    spent = cpu_seconds(waypost) - before
    conn.sock.close()
    return spent


def check_linear(waypost, make, n):
    costs = [cost(waypost, make(size)) for size in (n, 2 * n, 4 * n)]
    for less, more in zip(costs, costs[1:]):
        assert more <= less * MOST_PER_DOUBLING + FLOOR_SECONDS, f"seconds at n, 2n, 4n: {costs}"


@pytest.mark.proxy
@pytest.mark.parametrize("kind", PIPELINES)
def test_long_pipeline_costs_as_much_as_it_is_long(one_worker, kind):
    check_linear(one_worker, PIPELINES[kind], 15000)
