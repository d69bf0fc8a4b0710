"""Fail-over under real managers: repmgr as in Openfire's guide, Patroni on etcd. Whatever dies, nobody is told what is not so, no
read fails, and every client keeps its connection."""

import contextlib
import json
import socket
import threading
import time

import pytest
import waypost as waypost_process
from openfire import Openfire
from patroni_cluster import PatroniServers
from repmgr_cluster import RepmgrServers
from waypost import eventually
from workload import SCHEMA, Watch, Workload

# What a client may be told. A read: nothing but its answer. A write that was under way: that nobody knows what became of it. A
# transaction: that it has to be done again, or of its COMMIT that nobody knows.
ALLOWED = {"write": {"08007"}, "transaction": {"40001", "08007"}}
# From the promotion to the first write that was acknowledged, on a machine that does other things as well.
GAP_SECONDS = 3.0
# Waypost looks every 250 ms; what the old one acknowledges later than this would be its fault.
DEPOSED_SECONDS = 0.5


@contextlib.contextmanager
def running(kind, **options):
    servers = kind(**options)
    try:
        servers.up()
        yield servers
    finally:
        servers.down()


@contextlib.contextmanager
def waypost_before(servers, remembers=True, seeds=None, **settings):
    """`settings` are those of its [cluster]; `seeds` the servers that it is told, all by default."""
    told = seeds and [{"name": name, "host": "127.0.0.1", "port": servers.ports[name]} for name in seeds]
    sections = {"routing": {"read_from": "streaming"}, "cluster": settings, "admin": {"console_admins": ["openfire"]}}
    made = waypost_process.Waypost(servers, sections=sections, servers=told)
    if remembers:
        settings["state_file"] = str(made.dir / "state")
    try:
        yield made.start()
        assert made.process.poll() is None, f"ended by itself: {made.process.returncode}\n{made.log()[-3000:]}"
    finally:
        made.close()


@pytest.fixture(scope="module")
def repmgr():
    with running(RepmgrServers) as servers:
        yield servers


@pytest.fixture(scope="module")
def patroni():
    with running(PatroniServers) as servers:
        yield servers


def prepare(servers):
    primary = servers.primaries()[0]
    with servers.connect(primary, "openfire", "openfire", "openfire") as conn:
        conn.rows(SCHEMA)
    return primary


def fail_over(servers, load, action, primary):
    """Does that to the primary and waits until another has taken over and writes go on there; the name of that one."""
    others = [name for name in servers.names if name != primary]
    load.wait_for("write")
    with Watch(servers, others) as watch:
        action()
        eventually(lambda: watch.promoted, 40, "another is promoted")
    new, promoted = next(iter(watch.promoted.items()))
    for kind in ("write", "read", "transaction"):
        load.wait_for(kind, since=promoted)
    first = min(event.ended for event in load.acknowledged("write", promoted, [servers.ports[new]]))
    print(f"{new} promoted, first write {first - promoted:.3f} s later")
    assert first - promoted < GAP_SECONDS, load.summary()
    assert not load.acknowledged("write", promoted + DEPOSED_SECONDS, [servers.ports[primary]]), load.summary()
    return new


def check(load, openfire, servers, primary):
    """What all of them were told, held against what is there now."""
    load.stop()
    load.judge(servers, primary)
    print(load.summary())
    assert not load.wrong, load.summary()
    for kind, outcomes in load.outcomes().items():
        assert set(outcomes) <= ALLOWED.get(kind, set()), load.summary()
    if openfire:
        openfire.judge(servers.ports[primary])
        print(openfire.summary())
        assert not openfire.wrong, openfire.summary()
        assert not openfire.done["dropped"] and not openfire.done["refused"], openfire.summary()
        for kind, outcomes in openfire.errors.items():
            assert set(outcomes) <= ALLOWED.get(kind, set()), openfire.summary()


def test_the_guides_own_test(repmgr, request):
    """Stop the primary: the other is promoted and everybody goes on. Bring it back as a standby; then the same for the other."""
    primary = prepare(repmgr)
    with waypost_before(repmgr) as waypost, Openfire(waypost.port) as openfire, Workload(waypost.port) as load:
        for _ in range(10 if request.config.getoption("--long") else 1):
            for _ in repmgr.names:
                old, primary = primary, fail_over(repmgr, load, lambda: repmgr.stop(primary), primary)
                repmgr.start(old)
                load.wait_for("read")
        check(load, openfire, repmgr, primary)


def hold(servers, action, back):
    """One fault of the primary under load, and the cluster whole again at the end."""
    primary = prepare(servers)
    with waypost_before(servers) as waypost, contextlib.ExitStack() as stack:
        openfire = stack.enter_context(Openfire(waypost.port))
        load = stack.enter_context(Workload(waypost.port))
        stack.callback(servers.resume, primary)
        new = fail_over(servers, load, lambda: action(primary), primary)
        promoted = time.monotonic()
        back(primary)
        load.wait_for("write")
        load.wait_for("read")
        assert not load.acknowledged("write", promoted, [servers.ports[primary]]), load.summary()
        check(load, openfire, servers, new)


@pytest.mark.long
def test_repmgr_switched_over(repmgr):
    hold(repmgr, lambda _: repmgr.switchover(), lambda _: None)


@pytest.mark.long
def test_repmgr_frozen(repmgr):
    """It wakes up beside its successor, which repmgr does not prevent, and runs what it had been sent."""

    def back(old):
        repmgr.resume(old)
        time.sleep(3)
        repmgr.stop(old)
        repmgr.start(old)

    hold(repmgr, repmgr.pause, back)


def test_patroni_killed(patroni):
    hold(patroni, patroni.kill, lambda _: patroni.settle())


def test_patroni_frozen(patroni):
    """The whole node hangs for longer than its lock lives, and wakes up when it has a successor."""

    def back(old):
        patroni.resume(old)
        patroni.settle()

    hold(patroni, patroni.pause, back)


def plan(servers, switch_over):
    """The administrator's own switch-over between PAUSE and RESUME in the console: nobody gets an error, and writes go on as soon as the
    new primary takes them."""
    primary = prepare(servers)
    others = [name for name in servers.names if name != primary]
    failed = []

    def switch():
        try:
            switch_over()
        except BaseException as error:  # noqa: BLE001: raised where the test can see it
            failed.append(error)

    with waypost_before(servers) as waypost, Openfire(waypost.port) as openfire, Workload(waypost.port) as load:
        for kind in ("write", "read", "transaction"):
            load.wait_for(kind)
        with Watch(servers, others) as watch, waypost.connect(database="pgbouncer", timeout=60) as console:
            paused = time.monotonic()
            console.rows("PAUSE")
            held = time.monotonic()
            thread = threading.Thread(target=switch)
            thread.start()
            try:
                eventually(lambda: watch.promoted or failed, 60, "another is promoted")
                assert not failed, failed
                new, promoted = next(iter(watch.promoted.items()))
                eventually(lambda: json.loads(waypost.get("/api/v1/status")[1])["primary"] == new, 20, "Waypost follows")
            finally:
                console.rows("RESUME")
                resumed = time.monotonic()
                thread.join(120)
        assert not failed and not thread.is_alive(), failed
        for kind in ("write", "read", "transaction"):
            load.wait_for(kind, since=promoted)
        first = min(event.ended for event in load.acknowledged("write", promoted, [servers.ports[new]]))
        print(f"PAUSE {held - paused:.3f} s, promoted {promoted - held:.3f} s later, RESUME {resumed - promoted:.3f} s after that, "
              f"the first write {first - promoted:.3f} s after the promotion; writes paused for {load.pause():.3f} s")  # fmt: skip
        check(load, openfire, servers, new)
        assert not load.outcomes() and not openfire.errors, f"{load.summary()}\n{openfire.summary()}"
        assert first - promoted < GAP_SECONDS, load.summary()


@pytest.mark.long
def test_repmgr_switched_over_as_planned(repmgr):
    plan(repmgr, repmgr.command_switchover)


@pytest.mark.long
def test_patroni_switched_over_as_planned(patroni):
    plan(patroni, patroni.switchover)
    patroni.settle()


def test_patroni_switched_over(patroni):
    hold(patroni, lambda _: patroni.switchover(), lambda _: patroni.settle())


@pytest.mark.long
@pytest.mark.parametrize("fault", ["crash", "stop"])
def test_patroni_node_gone(patroni, fault):
    hold(patroni, getattr(patroni, fault), patroni.start)


@pytest.mark.long
def test_patroni_server_frozen(patroni):
    """Patroni itself lives, and sees its server hang."""

    def back(old):
        patroni.resume(old)
        patroni.settle()

    hold(patroni, patroni.freeze, back)


# A read that ran on a replica which hangs has to wait until that is noticed.
READ_SECONDS = 5.0


@pytest.mark.long
@pytest.mark.parametrize("fault", ["kill", "pause", "stop"])
def test_a_replica_is_gone(patroni, fault):
    """Reads go elsewhere, also those that were running there."""
    primary = prepare(patroni)
    replica = next(name for name in patroni.names if name != primary)
    with waypost_before(patroni) as waypost, Openfire(waypost.port) as openfire, Workload(waypost.port) as load:
        load.wait_for("read", 50)
        try:
            getattr(patroni, fault)(replica)
            load.wait_for("read", 200)
            time.sleep(3)
        finally:
            patroni.resume(replica)
        patroni.start(replica)
        load.wait_for("write")
        check(load, openfire, patroni, primary)
        assert load.longest()["read"] < READ_SECONDS, load.summary()


@pytest.mark.long
def test_two_wayposts(repmgr):
    """They share nothing: what one has acknowledged is seen through the other, also behind a fail-over."""
    primary = prepare(repmgr)
    with waypost_before(repmgr) as one, waypost_before(repmgr) as other:
        with Openfire(one.port) as openfire, Workload(one.port, other.port, movers=4) as load:
            for action in (repmgr.stop, repmgr.kill):
                old, primary = primary, fail_over(repmgr, load, lambda: action(primary), primary)
                repmgr.start(old)
                load.wait_for("read")
            check(load, openfire, repmgr, primary)


@contextlib.contextmanager
def unattended():
    """Two servers whose manager has gone home."""
    with running(RepmgrServers, synchronous=False) as servers:
        for name in servers.names:
            servers.end(f"{name}.repmgrd")
        yield servers


@pytest.mark.long
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_primary_that_comes_back_as_primary(how):
    """Nobody has been promoted: it is the same primary as before, whoever waited goes on."""
    with unattended() as servers, waypost_before(servers) as waypost:
        primary = prepare(servers)
        with Openfire(waypost.port) as openfire, Workload(waypost.port) as load:
            load.wait_for("write")
            servers.kill(primary) if how == "killed" else servers.stop(primary)
            time.sleep(5)
            back = time.monotonic()
            servers.start_as_is(primary)
            for kind in ("write", "read", "transaction"):
                load.wait_for(kind, since=back)
            check(load, openfire, servers, primary)


@pytest.mark.long
def test_an_outage_longer_than_the_hold():
    """Everybody is told so, nobody is sent away, and everybody goes on when there is a primary again."""
    with unattended() as servers, waypost_before(servers, failover_hold="2s") as waypost:
        primary = prepare(servers)
        with Workload(waypost.port, newcomers=0) as load:
            load.wait_for("write")
            servers.stop(primary)
            time.sleep(6)
            back = time.monotonic()
            servers.start_as_is(primary)
            for kind in ("write", "read", "transaction"):
                load.wait_for(kind, since=back + 1.0)
            load.stop()
            load.judge(servers, primary)
            print(load.summary())
            assert not load.wrong, load.summary()
            outcomes = load.outcomes()
            assert outcomes["read"].keys() == {"57P03"} and outcomes["write"].keys() <= {"57P03", "08007"}, load.summary()
            assert outcomes["transaction"].keys() <= {"57P03", "08007", "40001"}, load.summary()
            assert max(load.longest().values()) < 5.0, load.summary()


@pytest.mark.long
def test_a_waypost_that_starts_when_half_is_down():
    """It knows from before who the primary is, so that the one that runs is enough; likewise behind a fail-over."""
    with unattended() as servers, waypost_before(servers) as waypost:
        first = prepare(servers)
        other = servers.other(first)
        servers.stop_server(other)
        waypost.stop()
        waypost.start()
        with Workload(waypost.port) as load:
            load.wait_for("write")
        check(load, None, servers, first)
        servers.start_as_is(other)
        servers.make_synchronous(first)
        with Workload(waypost.port) as load:
            load.wait_for("write")
            servers.kill(first)
            servers.sql("SELECT pg_promote()", other)
            load.wait_for("write")
        waypost.stop()
        servers.sql(SCHEMA, other, "openfire", "openfire")
        waypost.start()
        with Workload(waypost.port) as load:
            load.wait_for("write")
        check(load, None, servers, other)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.5, 4.0])
def test_a_primary_that_hangs_for_a_while(seconds):
    """Too long or not to be noticed: nobody has been promoted, so that nothing that was under way need be given up."""
    with unattended() as servers, waypost_before(servers) as waypost:
        primary = prepare(servers)
        with Openfire(waypost.port) as openfire, Workload(waypost.port) as load:
            load.wait_for("write")
            for _ in range(3):
                servers.pause(primary)
                time.sleep(seconds)
                servers.resume(primary)
                for kind in ("write", "read", "transaction"):
                    load.wait_for(kind)
            check(load, openfire, servers, primary)
            assert not load.outcomes() and not openfire.errors, f"{load.summary()}\n{openfire.summary()}"


class Deposed:
    """A server that does not know that another has been promoted in its absence, and a Waypost that has seen it."""

    def __init__(self, servers, waypost):
        self.servers, self.waypost = servers, waypost
        self.old = prepare(servers)
        self.new = servers.other(self.old)
        servers.kill(self.old)
        servers.wait_for_primary([self.new])
        eventually(lambda: f"to={self.new}" in waypost.log(), 20, "Waypost follows")
        servers.start_as_is(self.old)
        assert servers.wait_for_primary([self.old]) == self.old
        self.rows = self.held()

    def held(self):
        """What the deposed one holds, and how many transactions it has ended there."""
        return self.servers.sql("SELECT (SELECT count(*) FROM written), (SELECT count(*) FROM moved), sum(times),"
                                " (SELECT sum(balance) FROM account) FROM counted", self.old, "openfire")  # fmt: skip

    def restart_waypost(self, meanwhile=lambda: None):
        """By kill -9. It listens then; whether it knows a primary is another matter."""
        if self.waypost.process.poll() is None:
            self.waypost.process.kill()
        self.waypost.process.wait()
        self.servers.sql(SCHEMA, self.new, "openfire", "openfire")
        meanwhile()
        self.waypost.start(wait=False)

        def listens():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.waypost.port), 1):
                return True
            return False

        eventually(listens, 20, "Waypost listens")

    def check_untouched(self, load):
        assert not load.acknowledged(ports=[self.servers.ports[self.old]]), load.summary()
        check(load, None, self.servers, self.new)
        assert self.held() == self.rows, load.summary()


@pytest.fixture(scope="module", params=["remembers", pytest.param("forgets", marks=pytest.mark.long)])
def deposed(request):
    with running(RepmgrServers, synchronous=False) as servers, waypost_before(servers, request.param == "remembers") as waypost:
        yield Deposed(servers, waypost)


def test_a_waypost_that_starts_beside_a_deposed_primary(deposed):
    """Whichever of the two answers first."""
    for _ in range(3):
        deposed.restart_waypost()
        with Workload(deposed.waypost.port) as load:
            load.wait_for("write", 50)
            load.wait_for("read", 50)
        deposed.check_untouched(load)


def test_a_deposed_primary_that_comes_back(repmgr):
    """Waypost runs on all the while, and has seen the other promoted."""
    primary = prepare(repmgr)
    with waypost_before(repmgr) as waypost, Openfire(waypost.port) as openfire, Workload(waypost.port) as load:
        new = fail_over(repmgr, load, lambda: repmgr.kill(primary), primary)
        repmgr.start_as_is(primary)
        back = time.monotonic()
        load.wait_for("write", 200, since=back)
        time.sleep(2)
        assert not load.acknowledged(since=back, ports=[repmgr.ports[primary]])
        repmgr.stop(primary)
        repmgr.start(primary)
        check(load, openfire, repmgr, new)


def test_a_waypost_that_starts_when_only_the_deposed_primary_runs(deposed):
    """Everybody waits until the new one is back."""
    deposed.restart_waypost(lambda: deposed.servers.stop_server(deposed.new))
    with Workload(deposed.waypost.port) as load:
        time.sleep(4)
        assert not load.acknowledged("write") and not load.acknowledged("transaction"), load.summary()
        back = time.monotonic()
        deposed.servers.start_as_is(deposed.new)
        load.wait_for("write", 50, since=back)
        load.wait_for("read", 50, since=back)
    deposed.check_untouched(load)


def known_to(waypost):
    return {server["port"] for server in json.loads(waypost.get("/api/v1/servers")[1])["servers"]}


def follow_the_list(servers, crash, **settings):
    """Waypost is told the primary alone. The others it hears of by the manager, who promotes one of them; and then of the first
    again, which has been away."""
    primary = prepare(servers)
    everybody = set(servers.ports.values())
    with waypost_before(servers, seeds=[primary], discovery_interval="1s", **settings) as waypost:
        eventually(lambda: known_to(waypost) == everybody, 30, "the others are found")
        with Openfire(waypost.port) as openfire, Workload(waypost.port) as load:
            new = fail_over(servers, load, lambda: crash(primary), primary)
            servers.start(primary)
            eventually(lambda: known_to(waypost) == everybody, 60, "the first is known again")
            load.wait_for("read")
            check(load, openfire, servers, new)
        status = json.loads(waypost.get("/api/v1/status")[1])
        assert status["primary"] == new and not status["discovery"]["error"], status


@pytest.mark.long
def test_patroni_lists_the_servers(patroni):
    urls = [f"http://127.0.0.1:{patroni.others['rest-' + name]}" for name in patroni.names]
    follow_the_list(patroni, patroni.crash, discovery="patroni", patroni_urls=urls)


@pytest.mark.long
def test_repmgr_lists_the_servers(repmgr):
    follow_the_list(repmgr, repmgr.stop, discovery="repmgr")
