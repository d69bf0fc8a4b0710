"""The faults: each happens to a scene under load, and what can be healed is healed when it returns."""

import contextlib
import dataclasses
import os
import signal
import time
from typing import Callable

import three
import wire
from money import Money
from waypost import eventually

SETTLE_SECONDS = 0.7  # between two events, so that each meets Waypost at rest
# A read is sent to a replica that hangs before that is noticed, which takes a second, and sessions look twice a second; the rest is
# for a machine that does other things as well.
READ_SECONDS = 4.0
# What clients may be told: nothing of a read but its answer; of a write under way that nobody knows what became of it; of a
# transaction that it has to be done again too.
TOLD = {"write": {"08007"}, "transaction": {"40001", "08007"}}
GONE = {"closed", "refused"}  # of their connection, when Waypost itself is killed


@dataclasses.dataclass
class Fault:
    name: str
    what: str
    act: Callable
    synchronous: str = three.SYNCHRONOUS
    gone: bool = False        # clients may lose their connections
    remembers: bool = True    # Waypost has a state file
    small_disk: bool = False  # the state file has a disk of 64 kB to itself
    quick: bool = False       # some seconds: runs without --long


class Scene:
    """What a fault plays with. `primary` is the server that holds what was acknowledged."""

    def __init__(self, servers, waypost, load):
        self.servers, self.waypost, self.load = servers, waypost, load
        self.primary, self.promoted = "pg0", None
        self.deposed = {}  # server -> when another had taken its place
        self.held = {}     # deposed server -> what it held when it came back as a primary

    def goes_on(self, *kinds, since=None):
        """Until clients are answered again."""
        for kind in kinds or ("write", "read", "transaction"):
            self.load.wait_for(kind, since=since)

    def promote(self, new=None):
        old, self.primary = self.primary, self.servers.promote(self.primary, new)
        self.promoted = time.monotonic()
        self.deposed.pop(self.primary, None)
        self.deposed[old] = self.promoted
        return old

    def return_as_primary(self, server):
        """It starts as it stands and does not know that it was deposed."""
        self.servers.start_as_is(server)
        assert self.servers.answer("SELECT pg_is_in_recovery()", server) == "f"
        self.held[server] = self.rows(server)

    def rows(self, server):
        return self.servers.sql("SELECT (SELECT count(*) FROM written), (SELECT count(*) FROM moved), sum(times) FROM counted", server,
                                "openfire")  # fmt: skip

    def kill_waypost(self):
        """And its supervisor starts it again."""
        self.waypost.process.kill()
        self.waypost.process.wait()
        self.waypost.spawn()


def after(scene, act, seconds=SETTLE_SECONDS):
    """The primary suffers that; its successor is promoted a moment later."""
    act(scene.primary)
    time.sleep(seconds)
    old = scene.promote()
    scene.goes_on()
    return old


# -- the primary


def killed(scene):
    after(scene, scene.servers.kill)


def stopped(scene):
    after(scene, scene.servers.stop_server)


def frozen(scene):
    """It wakes up beside its successor, with what it had been sent still to be run."""
    old = scene.primary
    try:
        after(scene, scene.servers.pause, 1.5)
    finally:
        scene.servers.resume(old)
    time.sleep(2)


def frozen_for_a_while(scene):
    for seconds in (0.4, 3):
        scene.servers.pause(scene.primary)
        time.sleep(seconds)
        scene.servers.resume(scene.primary)
        scene.goes_on()


def promoted_beside(scene):
    scene.promote()
    scene.goes_on()
    time.sleep(1)


def returns(scene):
    old = after(scene, scene.servers.kill)
    scene.return_as_primary(old)
    scene.goes_on()
    time.sleep(1.5)


def returns_while_waypost_restarts(scene):
    old = after(scene, scene.servers.kill)
    scene.return_as_primary(old)
    for _ in range(3):
        scene.kill_waypost()
        scene.goes_on()


def returns_alone(scene):
    """Its successor, and who follows that, are down when Waypost starts: only the deposed one answers."""
    old = after(scene, scene.servers.kill)
    for name in scene.servers.names:
        scene.servers.stop_server(name)
    scene.return_as_primary(old)
    scene.kill_waypost()
    time.sleep(2)
    for name in scene.servers.names:
        if name != old:
            scene.servers.start_as_is(name)
    scene.goes_on()


def process_crashed(scene):
    """kill -9 of one process: PostgreSQL throws all clients out and recovers."""
    row = scene.servers.sql("SELECT min(pid) FROM pg_stat_activity WHERE usename = 'openfire' AND backend_type = 'client backend'",
                            scene.primary)  # fmt: skip
    os.kill(int(row[0][0]), signal.SIGKILL)
    scene.goes_on()


def restarted(scene):
    """In order, and nobody is promoted."""
    scene.servers.stop_server(scene.primary)
    time.sleep(1)
    scene.servers.start_as_is(scene.primary)
    scene.goes_on()


def in_a_row(scene):
    """Money is moved all the while; each primary is killed and comes back as a standby."""
    for _ in range(4):
        old = after(scene, scene.servers.kill)
        scene.servers.rejoin(old, scene.primary)
        scene.goes_on()


def all_are_known(scene, seconds=0.5):
    """For so long no statement came whose tables Waypost did not know."""
    def unknown():
        return scene.waypost.metric("waypost_queries_total", reason="no_catalog")

    before = unknown()
    time.sleep(seconds)
    return unknown() == before


def money(scene):
    """The same, under pgbench as well."""
    with Money(scene.servers, scene.waypost.port) as bank:
        # pgbench made tables. Until Waypost has read the catalogue again, what is cut off on the primary is told 08007 as if it had
        # been a write.
        eventually(lambda: all_are_known(scene), 20, "the catalogue is read again")
        in_a_row(scene)
    assert bank.acknowledged > 100, "pgbench did not run"
    wrong = bank.wrong(scene.primary)
    if wrong:
        scene.load.wrong["unbalanced"].append(wrong)


def two_promoted(scene):
    """Both standbys, to the same timeline. Whoever of them was written to first stays; the other is made anew."""
    old, names = scene.primary, ("pg1", "pg2")
    for name in names:
        scene.servers.configure(name, synchronous_standby_names="")
    scene.servers.kill(old)
    began = time.monotonic()
    for name in names:
        scene.servers.sql("SELECT pg_promote(false)", name)
    eventually(lambda: scene.servers.primaries(names) == list(names), 20, "both are primaries")
    time.sleep(2)
    written = [name for name in names if scene.load.acknowledged("write", began, [scene.servers.ports[name]])]
    scene.primary = written[0] if written else names[0]
    scene.deposed[next(name for name in names if name != scene.primary)] = began - 10
    scene.servers.copy(next(name for name in names if name != scene.primary), scene.primary)
    scene.goes_on()


def stranger(name):
    def act(scene):
        """Nothing is sent there, and nobody waits longer than it lasts."""
        since = time.monotonic()
        with scene.servers.stranger(name):
            time.sleep(2)
            assert scene.servers.sql("SELECT count(*) FROM pg_class WHERE relname = 'written'", name, "openfire") == [["0"]]
            if name != scene.primary:
                scene.goes_on()
                scene.deposed[name] = since
        scene.goes_on()

    return act


def rolling_restart(scene):
    for name in ("pg1", "pg2", "pg0"):
        scene.servers.stop_server(name)
        scene.servers.start_as_is(name)
        eventually(lambda: scene.servers.streaming(scene.primary) == 2, 30, "both standbys are back")
        scene.goes_on()


# -- the way to the primary


def cut(*ways):
    def act(scene):
        """Long enough to be noticed; nobody is promoted."""
        scene.servers.cut(scene.primary, ways)
        time.sleep(3)
        scene.servers.heal()
        scene.goes_on()

    return act


def cut_and_promoted(scene):
    after(scene, scene.servers.cut, 1.5)
    time.sleep(1)
    scene.servers.heal()
    time.sleep(2)
    scene.goes_on()


def packets(percent, verdict):
    def act(scene):
        """Between Waypost and every server. A connection that is reset may be told; no server may be taken for dead for long."""
        for name in scene.servers.names:
            scene.servers.disturb(name, percent, verdict)
        time.sleep(5)
        scene.servers.heal()
        scene.goes_on()

    return act


def partition(scene):
    """Waypost is left alone with the old primary, which waits for standbys that have gone with the new one."""
    old = scene.primary
    for name in scene.servers.names:
        if name != old:
            scene.servers.cut(name)
    time.sleep(SETTLE_SECONDS)
    scene.promote()
    scene.deposed.pop(old)  # unknown to Waypost until it is healed; a write that it lost would be seen
    time.sleep(2)
    scene.servers.heal()
    scene.deposed[old] = time.monotonic()
    scene.goes_on()


# -- replicas


def replica(disturb):
    def act(scene):
        names = scene.servers.streaming
        for name in ("pg1", "pg2"):
            disturb(scene, name)
            eventually(lambda: names(scene.primary) == 2, 40, "both standbys are back")
            scene.goes_on()

    return act


def replica_killed(scene, name):
    scene.servers.kill(name)
    scene.goes_on()
    time.sleep(1)
    scene.servers.start_as_is(name)


def replica_frozen(scene, name):
    """Longer than any read waits for it."""
    scene.servers.pause(name)
    try:
        scene.goes_on()
        time.sleep(READ_SECONDS + 1)
    finally:
        scene.servers.resume(name)
    scene.goes_on()
    assert scene.load.longest()["read"] < READ_SECONDS, "a read waited until the replica woke up"


def replica_restarted(scene, name):
    scene.servers.stop_server(name)
    scene.goes_on()
    scene.servers.start_as_is(name)


def replica_cut(scene, name):
    scene.servers.cut(name)
    scene.goes_on()
    time.sleep(2)
    scene.servers.heal()


def replica_server_frozen(scene, name):
    """One process of it that runs a client's statement, and no other."""
    with scene.servers.connect(name) as conn:
        pids = [int(row[0]) for row in conn.rows("SELECT pid FROM pg_stat_activity WHERE usename = 'openfire'")]
    for pid in pids[:1]:
        os.kill(pid, signal.SIGSTOP)
    scene.goes_on()
    time.sleep(1)
    for pid in pids[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def connections_terminated(scene):
    """As an administrator does."""
    for _ in range(3):
        for server in scene.servers.names:
            scene.servers.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'openfire'", server)
        scene.goes_on()


def replicas_conflict(scene):
    """A table is rewritten while a long read of it runs on a replica, which ends the read."""
    for name in ("pg1", "pg2"):
        scene.servers.configure(name, max_standby_streaming_delay="0")
    for _ in range(3):
        with wire.connect(scene.waypost.port, timeout=60) as conn:
            conn.send(wire.query("SELECT count(*) FROM account, generate_series(1, 300000)"))
            time.sleep(0.3)
            scene.servers.sql("VACUUM FULL account", scene.primary, "openfire")
            assert wire.rows(conn.until()) == [[str(20 * 300000)]]
        scene.goes_on()
    assert scene.waypost.metric("waypost_read_retries_total", cause="recovery_conflict"), "no read was ended"


def replica_behind(scene, name):
    scene.servers.sql("SELECT pg_wal_replay_pause()", name)
    try:
        scene.goes_on()
        time.sleep(1)
    finally:
        scene.servers.sql("SELECT pg_wal_replay_resume()", name)


def replicas_full(scene):
    """Others hold every connection that PostgreSQL allows, and Waypost's own to them are terminated."""
    names = ("pg1", "pg2")
    with contextlib.ExitStack() as held:

        def take_all(name):
            with contextlib.suppress(wire.ServerError):
                while True:
                    held.enter_context(scene.servers.connect(name, "openfire", "openfire", "openfire", application_name="other"))

        for name in names:
            take_all(name)
            scene.servers.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                              " WHERE usename = 'openfire' AND application_name <> 'other'", name)  # fmt: skip
            take_all(name)
        scene.goes_on()
        time.sleep(2)
        scene.goes_on()
        assert "sqlstate=53300" in scene.waypost.log(), "Waypost was not refused"
    scene.goes_on()


# -- Waypost


def waypost_reloads(scene):
    for _ in range(100):
        scene.waypost.hangup()
        time.sleep(0.01)
    scene.goes_on()


def waypost_stopped(scene):
    """And started again as soon as it has ended."""
    for _ in range(2):
        scene.waypost.stop()
        scene.waypost.spawn()
        scene.goes_on()


def waypost_killed(scene):
    for _ in range(3):
        scene.kill_waypost()
        scene.goes_on()


def waypost_killed_with_the_primary(scene):
    """Whoever comes back must find out by itself who the primary is."""
    scene.servers.kill(scene.primary)
    scene.kill_waypost()
    time.sleep(SETTLE_SECONDS)
    scene.promote()
    scene.goes_on()


def waypost_frozen(scene):
    """As by a machine that has no time for it."""
    for seconds in (0.5, 3):
        scene.waypost.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        scene.waypost.process.send_signal(signal.SIGCONT)
        scene.goes_on()


def waypost_frozen_beside(alone):
    def act(scene):
        """Another is promoted meanwhile. `alone`: the old one acknowledges without anybody."""
        old = scene.primary
        scene.waypost.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(0.2)  # for the answers to what was under way
            scene.promote()
            if alone:
                scene.servers.configure(old, synchronous_standby_names="")
            time.sleep(1.5)
        finally:
            scene.waypost.process.send_signal(signal.SIGCONT)
        scene.deposed[old] = time.monotonic()
        scene.goes_on()

    return act


def disk_full(scene):
    """Not a byte is left where the state file is, which has had its space since it was made: who was deposed is known all the same."""
    with contextlib.suppress(OSError), open(scene.waypost.state.parent / "filler", "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    returns_alone(scene)


CATALOGUE = [
    Fault("primary-killed", "kill -9 of the primary, a standby is promoted", killed, quick=True),
    Fault("primary-stopped", "the primary is stopped in order, a standby is promoted", stopped),
    Fault("primary-frozen", "SIGSTOP of the primary, a standby is promoted, SIGCONT", frozen, quick=True),
    Fault("primary-frozen-a-while", "SIGSTOP of the primary for 0.4 and 3 s, nobody is promoted", frozen_for_a_while),
    Fault("primary-beside", "a standby is promoted while the primary runs", promoted_beside),
    Fault("primary-returns", "the killed primary comes back as a primary", returns),
    Fault("primary-returns-restart", "the same, and Waypost is killed three times", returns_while_waypost_restarts, gone=True, quick=True),
    Fault("primary-returns-no-memory", "the same without a state file", returns_while_waypost_restarts, gone=True, remembers=False),
    Fault("primary-returns-alone", "Waypost starts while only the deposed primary runs", returns_alone, gone=True),
    Fault("primary-crash", "kill -9 of one server process of the primary", process_crashed),
    Fault("primary-restart", "the primary restarts, nobody is promoted", restarted),
    Fault("primary-in-a-row", "four primaries killed one after the other, each comes back as a standby", in_a_row),
    Fault("money", "the same under pgbench: every acknowledged transaction is there, and the sums are right", money),
    Fault("two-promoted", "the primary is killed, both standbys are promoted to the same timeline", two_promoted),
    Fault("stranger-primary", "another cluster at the address of the primary", stranger("pg0"), three.ANY),
    Fault("stranger-replica", "another cluster at the address of a replica", stranger("pg2"), three.ANY),
    Fault("rolling-restart", "all servers restart, one after the other", rolling_restart, three.ANY),
    Fault("cable-cut", "packets between Waypost and the primary vanish for 3 s", cut("to", "from")),
    Fault("cable-cut-to", "those to the primary alone", cut("to")),
    Fault("cable-cut-from", "those from the primary alone", cut("from")),
    Fault("cable-cut-promoted", "packets both ways vanish, a standby is promoted, the cable is mended", cut_and_promoted),
    Fault("packets-lost", "5 of 100 packets between Waypost and the servers vanish for 5 s", packets(5, "drop")),
    Fault("packets-reset", "1 of 100 is answered by a reset", packets(1, "reject with tcp reset")),
    Fault("partition", "Waypost reaches the old primary alone, a standby is promoted behind the cut", partition),
    Fault("replica-killed", "kill -9 of each replica", replica(replica_killed), three.ANY, quick=True),
    Fault("replica-frozen", "SIGSTOP of each replica", replica(replica_frozen), three.ANY),
    Fault("replica-process-frozen", "SIGSTOP of one process of each replica", replica(replica_server_frozen), three.ANY),
    Fault("replica-restart", "each replica restarts", replica(replica_restarted), three.ANY),
    Fault("replica-cut", "packets between Waypost and each replica vanish", replica(replica_cut), three.ANY),
    Fault("replica-behind", "replay is paused on each replica", replica(replica_behind), three.ANY),
    Fault("replicas-conflict", "a table is rewritten, and the replica ends the long read of it", replicas_conflict),
    Fault("replicas-full", "others take every connection of both replicas", replicas_full),
    Fault("connections-terminated", "pg_terminate_backend() of every connection for clients, three times", connections_terminated),
    Fault("waypost-reloads", "SIGHUP to Waypost, a hundred times", waypost_reloads),
    Fault("waypost-stopped", "SIGTERM to Waypost, and a new one, twice", waypost_stopped, gone=True),
    Fault("waypost-killed", "kill -9 of Waypost, three times", waypost_killed, gone=True),
    Fault("waypost-and-primary", "kill -9 of both, a standby is promoted", waypost_killed_with_the_primary, gone=True),
    Fault("waypost-frozen", "SIGSTOP of Waypost for 0.5 and 3 s", waypost_frozen),
    Fault("waypost-frozen-beside", "a standby is promoted beside the primary while Waypost is frozen", waypost_frozen_beside(False)),
    Fault("waypost-frozen-alone", "the same, and the old primary waits for no standby", waypost_frozen_beside(True)),
    Fault("disk-full", "primary-returns-alone with a full disk under the state file", disk_full, gone=True, small_disk=True),
]
