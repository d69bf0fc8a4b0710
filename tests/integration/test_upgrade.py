"""SIGUSR2: a new process takes the place of the old one. Clients keep their connections, and none is refused meanwhile."""

import os
import pathlib
import re
import signal
import threading
import time

import pytest
import wire
from openfire import Openfire
from waypost import eventually

pytestmark = [pytest.mark.proxy]


class Process:
    """One that somebody else has started, as subprocess has those of its own."""

    returncode = None

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        try:
            state = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return 0
        return 0 if state == "Z" else None

    def wait(self, seconds=None):
        eventually(lambda: self.poll() is not None, seconds or 60, "it has ended")
        return 0

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def start_upgrade(proxy):
    """The old process goes on until it has nothing left; both."""
    old, before = proxy.process, proxy.log().count("upgrade_started")
    old.send_signal(signal.SIGUSR2)
    eventually(lambda: proxy.log().count("upgrade_started") > before, what="it was started")
    proxy.process = Process(int(re.findall(r"upgrade_started .*pid=(\d+)", proxy.log())[-1]))
    return old, proxy.process


def upgrade(proxy):
    old, new = start_upgrade(proxy)
    assert old.wait(40) == 0, proxy.log()[-3000:]
    eventually(proxy.ready, 15, "the admin port answers")
    return new


@pytest.fixture
def proxy(make_waypost):
    return make_waypost(sections={"top": {"workers": 2, "drain_timeout": "8s"}}, wait_for_split=True)


def test_clients_go_on_with_what_they_named_and_set(cluster, proxy, marker):
    conns = [proxy.connect(application_name=f"app{number}") for number in range(70)]
    for number, conn in enumerate(conns):
        conn.rows(f"SET work_mem TO '{number + 64}kB'")
        conn.rows("UPDATE probe_me SET t = t WHERE id = 1")  # its server connection may have values of sequences now
        conn.send(wire.parse("mine", "SELECT $1::text, current_setting('work_mem'), current_setting('application_name')"), wire.sync())
        conn.until()
    pids = [conn.pid for conn in conns]
    for _ in range(2):
        new = upgrade(proxy)
        for number, conn in enumerate(conns):
            conn.send(wire.bind("", "mine", ["é"]), wire.execute(), wire.sync())
            assert wire.rows(conn.until()) == [["é", f"{number + 64}kB", f"app{number}"]]
    assert new.poll() is None and pids == [conn.pid for conn in conns]
    # Its cancel key is as good as before, and so are its names.
    victim = conns[3]
    victim.send(wire.query(f"SELECT pg_sleep(30), '{marker}'"))
    eventually(lambda: cluster.runs(marker), what="it runs")
    time.sleep(0.3)
    victim.cancel()
    assert wire.sqlstates(victim.until()) == ["57014"]
    victim.send(wire.parse("mine", "SELECT 1"), wire.sync())
    assert wire.sqlstates(victim.until()) == ["42P05"]
    victim.rows("RESET ALL")
    assert victim.value("SHOW application_name") == "app3"
    for conn in conns:
        conn.shut()
    states = ("idle", "active", "waiting", "idle_in_transaction")
    eventually(lambda: sum(proxy.metric("waypost_client_connections", state=state) for state in states) == 0, what="nobody is counted any more")


def test_what_is_under_way_is_served_to_its_end_by_the_old_one(cluster, proxy, marker):
    block, sleeper, tied, late = (proxy.connect(timeout=40) for _ in range(4))
    block.rows("BEGIN")
    block.rows("CREATE TEMP TABLE mine (a int)")
    block.rows("INSERT INTO mine VALUES (7)")
    tied.rows("LISTEN heard")
    sleeper.send(wire.query("SELECT pg_sleep(2), 'slept'"))
    late.send(wire.query(f"SELECT pg_sleep(30), '{marker}'"))
    eventually(lambda: cluster.runs(marker), what="it runs")
    time.sleep(0.5)  # and is proved fresh: it will not run a second time
    old, _ = start_upgrade(proxy)
    eventually(lambda: "handing_over" in proxy.log(), 15, "it hands over")
    with proxy.connect() as fresh:
        assert fresh.value("SELECT 1") == "1"
    late.cancel()  # it asks the new process, which does not know that key
    assert wire.sqlstates(late.until()) == ["57014"]
    assert wire.rows(sleeper.until())[0][1] == "slept"
    assert block.value("SELECT a FROM mine") == "7"
    block.rows("ROLLBACK")
    assert block.value("SELECT 1") == "1"
    # Only what ties a client to its server connection is in the way; drain_timeout ends that.
    assert wire.sqlstates(tied.until(kind="E")) == ["57P01"]
    assert old.wait(20) == 0
    for conn in (block, sleeper, late):
        assert conn.value("SELECT 2") == "2"
        conn.shut()


def refuse_nobody(proxy, upgrades):
    """Clients that connect, ask once and end, as fast as they can. How many there were."""
    failed, done, stop = [], [], threading.Event()

    def storm():
        while not stop.is_set():
            try:
                with proxy.connect() as conn:
                    assert conn.value("SELECT 1") == "1"
                done.append(1)
            except Exception as error:  # noqa: BLE001: all that happens is told
                failed.append(repr(error))

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(upgrades):
            upgrade(proxy)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    print(f"{upgrades} restarts: {len(done)} clients, {len(failed)} failed")
    assert failed == [] and len(done) > 5 * upgrades
    return len(done)


def test_nobody_is_refused_under_a_storm_of_log_ins(proxy):
    refuse_nobody(proxy, 3)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_nobody_is_refused_through_a_hundred_restarts(proxy):
    refuse_nobody(proxy, 100)


def fail_nothing(cluster, proxy, upgrades):
    """pgjdbc and DBCP2 as Openfire has them, which never validate a connection: no statement fails, none is lost."""
    with Openfire(proxy.port) as openfire:
        for _ in range(upgrades):
            upgrade(proxy)
        openfire.judge(cluster.ports["pg0"])
    print(f"{upgrades} restarts: {openfire.summary()}")
    done = openfire.done
    assert not openfire.errors and not openfire.wrong and not done["dropped"] and not done["refused"], openfire.summary()
    assert all(done[what] > upgrades for what in ("read", "write", "transaction")), openfire.summary()


def test_openfire_feels_nothing_of_a_restart(cluster, proxy):
    fail_nothing(cluster, proxy, 2)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_openfire_feels_nothing_of_twenty_restarts(cluster, proxy):
    fail_nothing(cluster, proxy, 20)


def work(proxy, number, stop, told):
    """What a pool's connection does: writes, reads its own writes, in blocks and without, by prepared statements."""
    try:
        with proxy.connect(timeout=40, database="bench") as conn:
            conn.send(wire.parse("put", "INSERT INTO counted VALUES ($1, $2)"), wire.parse("ask", "SELECT max(value) FROM counted WHERE id = $1"), wire.sync())
            conn.until()
            value = 0
            while not stop.is_set():
                value += 1
                block = value % 3 == 0
                if block:
                    conn.rows("BEGIN")
                conn.send(wire.bind("", "put", [str(number), str(value)]), wire.execute(), wire.sync())
                assert wire.sqlstates(conn.until()) == []
                if block:
                    conn.rows("COMMIT")
                conn.send(wire.bind("", "ask", [str(number)]), wire.execute(), wire.sync())
                assert wire.rows(conn.until()) == [[str(value)]]
                time.sleep(0.001 * (value % 7))
            told[number] = value
    except Exception as error:  # noqa: BLE001: all that happens is told
        told[number] = repr(error)


def go_on_through(proxy, cluster, upgrades):
    cluster.sql("DROP TABLE IF EXISTS counted", database="bench", user="openfire")
    cluster.sql("CREATE TABLE counted (id int, value int)", database="bench", user="openfire")
    stop, told = threading.Event(), {}
    threads = [threading.Thread(target=work, args=(proxy, number, stop, told)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(upgrades):
            upgrade(proxy)
            time.sleep(0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert all(isinstance(value, int) and value > upgrades for value in told.values()), (told, [line for line in proxy.log().splitlines() if "not_handed_over" in line])
    for number, value in told.items():
        assert cluster.sql(f"SELECT count(*) FROM counted WHERE id = {number}", database="bench", user="openfire") == [[str(value)]]


@pytest.mark.long
def test_a_workload_feels_nothing(proxy, cluster):
    go_on_through(proxy, cluster, 3)


@pytest.mark.long
def test_a_workload_feels_nothing_of_twenty(proxy, cluster):
    go_on_through(proxy, cluster, 20)


def test_one_that_cannot_start_changes_nothing(proxy):
    with proxy.connect() as conn:
        good = proxy.config.read_text()
        proxy.config.write_text(good + "\n[nonsense]\n")
        old = proxy.process
        old.send_signal(signal.SIGUSR2)
        eventually(lambda: "upgrade_failed" in proxy.log(), 15, "it was told")
        assert old.poll() is None and conn.value("SELECT 1") == "1"
        proxy.config.write_text(good)
        upgrade(proxy)
        assert conn.value("SELECT 1") == "1"
