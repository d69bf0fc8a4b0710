"""Another server becomes the primary while the old one still runs, or hangs: nothing that was under way there is acknowledged
any more, nobody waits for it, and every client goes on."""

import contextlib
import os
import signal
import time

import cluster as clusters
import pytest
import waypost as waypost_process
import wire
from conftest import prepare

pytestmark = pytest.mark.proxy

# The prober looks every 250 ms; the rest is for a machine that does other things as well.
SOON_SECONDS = 4.0


@pytest.fixture
def pair():
    """A cluster whose commits wait for nobody, and a Waypost: the test may ruin both."""
    made = clusters.Cluster()
    try:
        made.start()
        prepare(made)
        for server in ("pg0", "pg1"):
            made.sql("ALTER SYSTEM SET synchronous_standby_names = ''", server, "postgres")
            made.sql("ALTER SYSTEM SET synchronous_commit = 'on'", server, "postgres")
            made.sql("SELECT pg_reload_conf()", server, "postgres")
        made.sql("CREATE TABLE kept (id text, port int DEFAULT inet_server_port())", user="openfire")
        with waypost_process.running(made, sections={"routing": {"read_from": "streaming"}}) as proxy:
            yield made, proxy
    finally:
        made.destroy()


def processes(cluster, server):
    """The postmaster and its children."""
    postmaster = int((cluster.dir / server / "postmaster.pid").read_text().split()[0])
    found = [postmaster]
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", encoding="ascii") as file:
            if int(file.read().rsplit(")", 1)[1].split()[1]) == postmaster:
                found.append(int(entry))
    return found


def signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def insert(name, slow=""):
    return wire.query(f"INSERT INTO kept SELECT '{name}' {slow} RETURNING port")


def check_all_go_on(pair, depose, frees=lambda: None):
    cluster, proxy = pair
    with contextlib.ExitStack() as stack:
        idle, tied, block, writes, copies, empty = (stack.enter_context(proxy.connect()) for _ in range(6))
        idle.rows("SET application_name = 'idle'")
        tied.rows("CREATE TEMP TABLE gone (i int)")
        block.rows("BEGIN")
        block.rows("INSERT INTO kept VALUES ('block before')")
        empty.rows("BEGIN")
        writes.send(insert("writes", "FROM pg_sleep(12)"))
        copies.send(wire.query("COPY kept (id) FROM STDIN"))
        assert copies.until("G")
        copies.send(wire.copy_data("copies\n"))
        time.sleep(0.3)
        depose()
        began = time.monotonic()

        # What was under way is told, within a moment.
        assert wire.sqlstates(writes.until()) == ["08007"]
        copies.send(wire.copy_done())
        assert wire.sqlstates(copies.until()) == ["08007"]
        end = tied.until()
        assert wire.sqlstates(end) == ["08006"] and b"FATAL" in end[0].body
        assert b"is the primary no longer" in end[0].body
        assert time.monotonic() - began < SOON_SECONDS
        block.send(insert("block after"))
        assert wire.sqlstates(block.until()) == ["40001"]
        block.rows("ROLLBACK")

        # Everybody goes on where the primary is now.
        for conn in (idle, block, writes, copies, empty):
            assert conn.rows("INSERT INTO kept VALUES ('after') RETURNING port") == [[str(cluster.ports["pg1"])]]
        empty.rows("COMMIT")
        assert idle.value("SHOW application_name") == "idle"
        frees()
        time.sleep(0.5)
        for conn in (idle, block, writes, copies, empty):  # nothing else has come in between
            assert conn.value("SELECT count(*) FROM kept WHERE id = 'after'") == "5"
    assert cluster.sql("SELECT DISTINCT id FROM kept", server="pg1") == [["after"]]
    assert "server_deposed server=pg0 primary=pg1" in proxy.log()


def test_a_primary_that_runs_beside_its_successor(pair):
    cluster, _ = pair
    check_all_go_on(pair, lambda: cluster.sql("SELECT pg_promote()", server="pg1"))


def test_a_primary_that_hangs(pair):
    """Its kernel goes on taking what is sent to it, and it runs that when it wakes up."""
    cluster, _ = pair
    pids = processes(cluster, "pg0")

    def hang():
        pids[:] = processes(cluster, "pg0")
        signal_all(pids, signal.SIGSTOP)
        cluster.sql("SELECT pg_promote()", server="pg1")

    try:
        check_all_go_on(pair, hang, lambda: signal_all(pids, signal.SIGCONT))
    finally:
        signal_all(pids, signal.SIGCONT)
