"""A primary and two standbys that nobody manages: who is promoted, and who follows whom, is the fault's to say.

Waypost reaches each under an address of its own, so that the firewall can cut that way alone.
"""

import contextlib
import shutil
import subprocess
import threading

import managed
from waypost import eventually

SYNCHRONOUS = "FIRST 2 (pg0, pg1, pg2)"  # of its two standbys both: no name of its own ever streams from it
ANY = "ANY 1 (pg0, pg1, pg2)"
SETTINGS = managed.SETTINGS | {
    "listen_addresses": "127.0.0.1, 127.0.0.10, 127.0.0.11, 127.0.0.12",
    "hot_standby_feedback": "on",
    "recovery_target_timeline": "latest",
    "wal_receiver_timeout": "10s",
    # Of a reset the other end may hear nothing: what it holds locked would stay so.
    "tcp_keepalives_idle": "1",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
}


class ThreeServers(managed.ManagedServers):
    names = ("pg0", "pg1", "pg2")

    def __init__(self, names=SYNCHRONOUS):
        super().__init__()
        self.synchronous_names = names

    def address(self, server):
        return f"127.0.0.{10 + self.names.index(server)}"

    def up(self):
        self.prepare()
        first, *standbys = self.names
        self.run("sh", "-c", f"umask 077; echo secret >'{self.dir}/password'")
        self.initialise(first)
        for name in standbys:  # cold copies: they stream from the first record on
            self.run("cp", "-a", self.dir / first, self.dir / name)
            self.make_standby(name, first)
        self.own_settings(first, synchronous_standby_names="")
        starts = [threading.Thread(target=self.start_as_is, args=(name,)) for name in self.names]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        self.create_database(first)
        self.configure(first, synchronous_standby_names=self.synchronous_names)
        eventually(lambda: self.streaming(first) == 2, 30, "both standbys are synchronous")
        return self

    def initialise(self, server):
        self.run(self.bin / "initdb", "-D", self.dir / server, "-U", "postgres", f"--pwfile={self.dir}/password", "-A",
                 "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        settings = SETTINGS | {"unix_socket_directories": str(self.dir)}
        with open(self.dir / server / "postgresql.conf", "a", encoding="utf-8") as file:
            file.writelines(f"{key} = '{value}'\n" for key, value in settings.items())
        with open(self.dir / server / "pg_hba.conf", "a", encoding="utf-8") as file:
            file.write("host all all 127.0.0.0/8 scram-sha-256\n")

    def conninfo(self, name, primary):
        return f"host=127.0.0.1 port={self.ports[primary]} user=postgres password=secret application_name={name}"

    def own_settings(self, server, **settings):
        """What is set for a server that does not run."""
        path = self.dir / server / "postgresql.auto.conf"
        path.write_text("".join(f"{key} = '{value}'\n" for key, value in settings.items()))
        shutil.chown(path, managed.OWNER)

    def make_standby(self, server, primary):
        self.own_settings(server, primary_conninfo=self.conninfo(server, primary), synchronous_standby_names=self.synchronous_names)
        self.run("touch", self.dir / server / "standby.signal")

    def configure(self, server, **settings):
        for key, value in settings.items():
            self.sql(f"ALTER SYSTEM SET {key} = '{value}'", server)
        self.sql("SELECT pg_reload_conf()", server)

    def received(self, standby):
        """Bytes of WAL that it has, those that it has not applied yet too."""
        return int(self.sql("SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn", standby)[0][0])

    def furthest(self, old):
        """Whom a manager would promote: of the standbys the one that has most."""
        return max((name for name in self.names if name != old and self.postmaster(name)), key=self.received)

    def follow(self, server, primary):
        self.configure(server, primary_conninfo=self.conninfo(server, primary))

    def promote(self, old, new=None):
        """Its name: the furthest takes over, and the other follows it, before that already, so that it cannot get ahead by what a
        primary that lives still writes."""
        new = new or self.furthest(old)
        self.configure(new, synchronous_standby_names=ANY)
        for name in self.names:
            if name not in (old, new) and self.postmaster(name):
                self.follow(name, new)
        with self.connect(new, timeout=60) as conn:
            assert conn.value("SELECT pg_promote()") == "t"
        return new

    def rejoin(self, old, primary):
        """Back as a standby of that one, by pg_rewind."""
        self.stop_server(old)
        self.bury(old)
        self.sql("CHECKPOINT", primary)  # pg_rewind reads the timeline from the control file
        source = f"{self.conninfo(old, primary)} dbname=postgres"
        self.run(self.bin / "pg_rewind", "-D", self.dir / old, f"--source-server={source}")
        self.make_standby(old, primary)
        self.start_as_is(old)
        follows = f"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '{old}'"
        eventually(lambda: self.answer(follows, primary) == "1", 30, f"{old} streams from {primary}")

    def copy(self, server, primary):
        """A new standby of that one in its place."""
        self.stop_server(server, "immediate")
        self.bury(server)
        self.run("rm", "-rf", self.dir / server)
        self.run(self.bin / "pg_basebackup", "-D", self.dir / server, "-d", self.conninfo(server, primary), "-c", "fast", "--no-sync")
        self.make_standby(server, primary)
        self.start_as_is(server)

    @contextlib.contextmanager
    def stranger(self, server):
        """Another cluster answers in its place, with the same users and an empty database of the same name."""
        self.stop_server(server)
        place, own = self.dir / server, self.dir / f"{server}.own"
        place.rename(own)
        try:
            self.initialise(server)
            self.start_as_is(server)
            self.create_database(server)
            yield
        finally:
            self.stop_server(server, "immediate")
            place.rename(self.dir / f"{server}.stranger")
            own.rename(place)
            self.start_as_is(server)

    # -- the way between Waypost and one server

    @property
    def table(self):
        return f"waypost_{self.ports['pg0']}"  # of the firewall

    def cut(self, server, ways=("to", "from")):
        """Packets between Waypost and it vanish, that way or both; the other servers reach it."""
        address, port = self.address(server), self.ports[server]
        nft(f"add table inet {self.table}")
        nft(f"add chain inet {self.table} out {{ type filter hook output priority 0 ; }}")
        if "to" in ways:
            nft(f"add rule inet {self.table} out ip daddr {address} tcp dport {port} drop")
        if "from" in ways:
            nft(f"add rule inet {self.table} out ip saddr {address} tcp sport {port} drop")

    def disturb(self, server, percent, verdict):
        """So many of the packets between Waypost and it, both ways, meet that verdict."""
        address, port = self.address(server), self.ports[server]
        nft(f"add table inet {self.table}")
        nft(f"add chain inet {self.table} out {{ type filter hook output priority 0 ; }}")
        for end in (f"ip daddr {address} tcp dport {port}", f"ip saddr {address} tcp sport {port}"):
            nft(f"add rule inet {self.table} out {end} numgen random mod 100 < {percent} {verdict}")

    def heal(self):
        nft(f"delete table inet {self.table}", check=False)

    def down(self):
        self.heal()
        self.destroy()


def nft(rule, check=True):
    done = subprocess.run(["nft", *rule.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"nft {rule}: {done.stderr}"
