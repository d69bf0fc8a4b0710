"""Another server becomes the primary while the old one still runs, or hangs: nothing that was under way there is acknowledged
any more, nobody waits for it, and every client goes on. Nor does anybody wait for a replica that hangs."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error

import pytest
import waypost as waypost_process
import wire

pytestmark = pytest.mark.proxy

# The prober looks every 250 ms; the rest is for a machine that does other things as well.
SOON_SECONDS = 4.0


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


def readiness(proxy):
    """(status, body) of /readyz; (0, "") before it listens."""
    with contextlib.suppress(urllib.error.URLError):
        return proxy.get("/readyz")
    return 0, ""


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
    proxy.logged("server_deposed server=pg0 primary=pg1")
    proxy.counted(1, "waypost_primary_changes_total")


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


def test_a_replica_that_hangs(pair):
    """Its kernel goes on taking what is sent to it: reads that were sent there run elsewhere, and nobody waits for it to wake up."""
    cluster, proxy = pair
    pids = processes(cluster, "pg1")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(proxy.connect()) for _ in range(3)]
        for conn in clients:
            assert conn.value("SELECT count(*) FROM probe_me") == "100"
        signal_all(pids, signal.SIGSTOP)
        stack.callback(signal_all, pids, signal.SIGCONT)
        began, retries = time.monotonic(), proxy.metric("waypost_read_retries_total", cause="connection_lost")
        for conn in clients:
            conn.send(wire.query("SELECT count(*) FROM probe_me"))
        for conn in clients:
            assert wire.rows(conn.until()) == [["100"]]
        with proxy.connect() as newcomer:
            assert newcomer.value("SELECT count(*) FROM probe_me") == "100"
        assert time.monotonic() - began < SOON_SECONDS
        proxy.counted(retries + 1, "waypost_read_retries_total", cause="connection_lost", at_least=True)


def test_one_promoted_beside_a_primary_that_others_follow(pair):
    """It may be a mistake: nothing is written anywhere, what is under way ends, and whoever comes waits until it is decided."""
    cluster, proxy = pair
    cluster.start_server("pg2")
    waypost_process.eventually(lambda: cluster.sql("SELECT count(*) FROM pg_stat_replication") == [["2"]], what="two standbys")
    time.sleep(1)  # until Waypost has seen that
    with proxy.connect() as slow, proxy.connect() as waits:
        slow.send(insert("slow", "FROM pg_sleep(12)"))
        time.sleep(0.3)
        cluster.sql("SELECT pg_promote()", server="pg1")
        assert wire.sqlstates(slow.until()) == ["08007"]
        waits.send(insert("waits"))
        waypost_process.eventually(lambda: proxy.metric("waypost_held_statements") == 1, what="a held statement")
        status, body = proxy.get("/readyz")
        assert status == 503 and "promoted beside pg0" in body
        cluster.sql(f"ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port={cluster.ports['pg1']} user=postgres application_name=r2'",
                    "pg2", "postgres")
        cluster.sql("SELECT pg_reload_conf()", "pg2", "postgres")
        assert wire.rows(waits.until()) == [[str(cluster.ports["pg1"])]]
        assert slow.rows("SELECT count(*) FROM kept WHERE id = 'slow'") == [["0"]]
    assert cluster.sql("SELECT count(*) FROM kept WHERE id = 'waits'") == [["0"]]


def test_a_restart_remembers_who_was_deposed(pair, tmp_path):
    """The old primary comes back, alone or beside the new one, while Waypost is new as well."""
    cluster, _ = pair
    state = {"cluster": {"state_file": str(tmp_path / "state"), "failover_hold": "1s"},
             "routing": {"read_from": "streaming"}}  # fmt: skip
    with waypost_process.running(cluster, sections=state) as proxy:
        proxy.counted(1, "waypost_state_saved")
        cluster.sql("SELECT pg_promote()", server="pg1")
        with proxy.connect() as conn:

            def a_write_ran_on_the_new_one():
                with contextlib.suppress(wire.ServerError):  # 08007 for what was under way on the old one
                    return conn.rows("INSERT INTO kept VALUES ('new') RETURNING port") == [[str(cluster.ports["pg1"])]]
                return False

            waypost_process.eventually(a_write_ran_on_the_new_one, what="a write on pg1")
    before = cluster.sql("SELECT count(*) FROM kept")
    proxy = waypost_process.Waypost(cluster, sections=state)
    with contextlib.closing(proxy.start()), proxy.connect() as conn:  # both are up
        assert conn.rows("INSERT INTO kept VALUES ('both') RETURNING port") == [[str(cluster.ports["pg1"])]]
    cluster.stop_server("pg1")
    proxy = waypost_process.Waypost(cluster, sections=state)
    try:
        proxy.start(wait=False)
        waypost_process.eventually(lambda: "a deposed primary" in readiness(proxy)[1], what="the old primary refused")
        with pytest.raises(wire.ServerError) as refused:
            proxy.connect()
        assert refused.value.sqlstate == "57P03" and "a deposed primary: it is on timeline 1" in refused.value.fields["D"]
        assert cluster.sql("SELECT count(*) FROM kept") == before
        # Only a person may go back.
        accepted = subprocess.run([waypost_process.BINARY, "accept", "--config", proxy.config, "pg0"], capture_output=True, text=True, check=True)
        assert "accepted pg0 on timeline 1" in accepted.stdout
        proxy.hangup()
        waypost_process.eventually(lambda: readiness(proxy)[0] == 200, what="the old primary accepted")
        with proxy.connect() as conn:
            assert conn.rows("INSERT INTO kept VALUES ('back') RETURNING port") == [[str(cluster.ports["pg0"])]]
    finally:
        proxy.close()


def test_two_servers_and_no_memory(pair):
    """One of two answers: it may be the deposed one."""
    cluster, _ = pair
    cluster.stop_server("pg1")
    proxy = waypost_process.Waypost(cluster, sections={"cluster": {"failover_hold": "1s"}}, servers=[
        {"name": name, "host": "127.0.0.1", "port": cluster.ports[name]} for name in ("pg0", "pg1")])  # fmt: skip
    try:
        proxy.start(wait=False)
        waypost_process.eventually(lambda: "only 1 of 2 servers have answered" in readiness(proxy)[1], what="no majority")
        cluster.start_server("pg1")
        waypost_process.eventually(lambda: readiness(proxy)[0] == 200, what="a majority")
    finally:
        proxy.close()
