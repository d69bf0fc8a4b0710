"""The replication settings under which the promise must hold, and what disturbs the servers meanwhile."""

import contextlib
import dataclasses
import os
import random
import signal
import threading
import time

from waypost import eventually


@dataclasses.dataclass(frozen=True)
class Setting:
    standby_names: str = ""       # synchronous_standby_names
    commit: str = "on"            # synchronous_commit
    read_from: str = "streaming"  # Waypost's
    writer: str = "openfire"      # role of the writers that go past Waypost; lazy has synchronous_commit = off
    database: str = "openfire"    # likewise: database lazy
    what: str = ""


SETTINGS = {
    "async": Setting(what="asynchronous replicas"),
    "off": Setting(commit="off", what="asynchronous replicas and asynchronous commit everywhere"),
    "role-off": Setting(writer="lazy", what="a role past Waypost with synchronous_commit = off"),
    "database-off": Setting("FIRST 3 (pg1, pg2, pg3)", "remote_apply", "synchronous", database="lazy",
                            what="remote_apply, but the database has synchronous_commit = off"),
    "remote-write": Setting("FIRST 3 (pg1, pg2, pg3)", "remote_write", "synchronous"),
    "on": Setting("FIRST 3 (pg1, pg2, pg3)", "on", "synchronous"),
    "remote-apply": Setting("FIRST 3 (pg1, pg2, pg3)", "remote_apply", "synchronous"),
    "first-1": Setting("FIRST 1 (pg1, pg2, pg3)", "remote_apply", "synchronous", what="pg2, pg3 are potential"),
    "first-1-streaming": Setting("FIRST 1 (pg1, pg2, pg3)", "remote_apply", "streaming", what="potential ones read from too"),
    "first-2": Setting("FIRST 2 (pg1, pg2, pg3)", "remote_apply", "synchronous", what="pg3 is potential"),
    "any-1": Setting("ANY 1 (pg1, pg2, pg3)", "remote_apply", "synchronous"),
    "any-2": Setting("ANY 2 (pg1, pg2, pg3)", "remote_apply", "synchronous"),
    "any-2-on": Setting("ANY 2 (pg1, pg2, pg3)", "on", "streaming"),
}


def apply(servers, setting):
    servers.configure(synchronous_standby_names=setting.standby_names, synchronous_commit=setting.commit)
    servers.wait_until_streaming()

    def as_wanted():
        """The names are in force: someone is synchronous, or nobody is."""
        states = {row[0] for row in servers.sql("SELECT sync_state FROM pg_stat_replication")}
        return bool(states & {"sync", "quorum"}) == bool(setting.standby_names)

    eventually(as_wanted, 20, f"synchronous_standby_names = '{setting.standby_names}' in force")


# -- disturbances: each does its worst, waits, and undoes it. `wait(low, high)` sleeps about so many seconds and is
# cut short when the run ends.

def replay_paused(servers, standby, wait):
    servers.sql("SELECT pg_wal_replay_pause()", standby)
    wait(0.5, 2)
    servers.sql("SELECT pg_wal_replay_resume()", standby)


def stopped(title):
    def stop(servers, standby, wait):
        pids = servers.children(standby, title)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        wait(0.5, 2)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return stop


def apply_delayed(servers, standby, wait):
    servers.configure(standby, recovery_min_apply_delay=random.choice(("2ms", "20ms", "300ms")))
    wait(1, 3)
    servers.configure(standby, recovery_min_apply_delay=None)


def cut_off(servers, standby, wait):
    servers.cut(standby)
    wait(1, 4)
    servers.heal_cuts()


def restarted(servers, standby, wait):
    servers.stop_server(standby, random.choice(("fast", "immediate")))
    wait(0, 0.5)
    servers.start_server(standby)
    wait(1, 2)


def rejoined(servers, standby, wait):
    """Leaves, falls behind, and comes back: `sync` again before it has applied what it missed."""
    servers.configure(standby, primary_conninfo="host=127.0.0.1 port=1")
    wait(1, 2)
    servers.configure(standby, primary_conninfo=None)
    wait(1, 2)


def names_changed(servers, _, wait):
    before = servers.sql("SHOW synchronous_standby_names")[0][0]
    for names in random.sample(("", "FIRST 1 (pg2, pg1)", "ANY 1 (pg1, pg2, pg3)", "FIRST 2 (pg3, pg1)", "pg1", "ANY 3 (*)"), 3):
        servers.configure(synchronous_standby_names=names)
        wait(0.2, 0.7)
    servers.configure(synchronous_standby_names=before)


def commit_changed(servers, _, wait):
    before = servers.sql("SHOW synchronous_commit")[0][0]
    for commit in random.sample(("off", "local", "on", "remote_write", "remote_apply"), 3):
        servers.configure(synchronous_commit=commit)
        wait(0.2, 0.7)
    servers.configure(synchronous_commit=before)


def waits_cancelled(servers, standby, wait):
    """A standby that must confirm does not, and those who wait for it are cancelled: acknowledged all the same."""
    pids = servers.children(standby, "walreceiver")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for _ in range(15):
        servers.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        wait(0.05, 0.1)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def conflicts(servers, standby, wait):
    """Long reads on a standby, while rows and tables that they look at go away."""
    servers.configure(standby, max_standby_streaming_delay="100ms", hot_standby_feedback="off")
    for n in range(4):
        servers.sql(f"CREATE TABLE gone_{n} AS SELECT 1 AS v; VACUUM reg" if n < 0 else f"CREATE TABLE gone_{n} AS SELECT 1 AS v")
        servers.sql("VACUUM reg")
        wait(0.1, 0.3)
        servers.sql(f"DROP TABLE gone_{n}")
        servers.sql("VACUUM reg")
    servers.configure(standby, max_standby_streaming_delay=None, hot_standby_feedback=None)


def idle_block(servers, _, wait):
    """WAL that nobody flushes: an open transaction that has written much and does nothing more."""
    with servers.connect() as conn:
        conn.rows("BEGIN")
        conn.rows(f"CREATE TABLE bulk AS SELECT repeat('x', 500) FROM generate_series(1, {random.randint(10, 4000)})")
        wait(0.5, 2)
        conn.rows("ROLLBACK")


def backend_crashed(servers, standby, wait):
    """The standby throws all of its processes out and starts again from its last restartpoint, behind where it was."""
    with servers.connect(standby) as conn:
        pid = int(conn.value("SELECT pg_backend_pid()"))
        os.kill(pid, signal.SIGKILL)
    wait(1, 2)


def fence_links(servers):
    """(server, process) of each connection on which a Waypost asks for positions."""
    for name in servers.names:
        with contextlib.suppress(AssertionError, OSError, RuntimeError):
            for row in servers.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'waypost fence'", name):
                yield name, int(row[0])


def probes_stopped(servers, _, wait):
    pids = [pid for _, pid in fence_links(servers) if random.random() < 0.5]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    wait(0.05, 1.5)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def probes_terminated(servers, _, wait):
    for name, pid in list(fence_links(servers)):
        if random.random() < 0.5:
            with contextlib.suppress(AssertionError, OSError):
                servers.sql(f"SELECT pg_terminate_backend({pid})", name)
    wait(0.1, 0.5)


def wal_switched(servers, _, wait):
    for _ in range(3):
        servers.sql(random.choice(("SELECT pg_switch_wal()", "CHECKPOINT")))
        wait(0.2, 0.5)


NEMESES = {
    "replay-pause": replay_paused,
    "stop-startup": stopped("startup"),
    "stop-walreceiver": stopped("walreceiver"),
    "apply-delay": apply_delayed,
    "cut": cut_off,
    "restart": restarted,
    "rejoin": rejoined,
    "standby-names": names_changed,
    "commit-level": commit_changed,
    "cancel-waits": waits_cancelled,
    "conflicts": conflicts,
    "idle-block": idle_block,
    "wal-switch": wal_switched,
    "crash": backend_crashed,
    "stop-probes": probes_stopped,
    "end-probes": probes_terminated,
}


class Disturbance(threading.Thread):
    """Runs disturbances one after the other, at random, until it is ended; then all is as it was."""

    def __init__(self, servers, names):
        super().__init__(daemon=True)
        self.servers, self.names = servers, names
        self.over = threading.Event()
        self.counts = {}
        self.error = None

    def wait(self, low, high):
        self.over.wait(random.uniform(low, high))

    def run(self):
        try:
            while not self.over.is_set():
                for name in random.sample(self.names, len(self.names)):
                    if self.over.is_set():
                        return
                    NEMESES[name](self.servers, random.choice(self.servers.standbys), self.wait)
                    self.counts[name] = self.counts.get(name, 0) + 1
                    self.wait(0.2, 0.6)
        except Exception as error:  # said by end(): the run proves nothing without its disturbances
            self.error = error

    def end(self):
        self.over.set()
        self.join(60)
        assert self.error is None and not self.is_alive(), f"the disturbance failed: {self.error!r}"
        return self.counts
