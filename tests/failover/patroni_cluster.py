#!/usr/bin/env python3
"""Three PostgreSQL servers, p0, p1 and p2, under Patroni, with one etcd.

  patroni_cluster.py up DIR [--async]     creates them in DIR, a new folder, on free ports
  patroni_cluster.py status DIR           list DIR           as patronictl shows it
  patroni_cluster.py kill DIR p0          kill -9 of the postmaster: Patroni lets another be promoted
  patroni_cluster.py crash DIR p0         kill -9 of Patroni too: the node is gone, another is promoted after the TTL (5 s)
  patroni_cluster.py pause DIR p0         SIGSTOP to Patroni and all of the server           resume DIR p0
  patroni_cluster.py freeze DIR p0        SIGSTOP to the server alone: Patroni sees it hang  resume DIR p0
  patroni_cluster.py stop DIR p0          in order           start DIR p0         Patroni again, which re-joins its server
  patroni_cluster.py switchover DIR [p1]  planned, by patronictl
  patroni_cluster.py settle DIR           waits until all follow the leader and may be promoted
  patroni_cluster.py down DIR             ends all and removes DIR

Needs `deploy/install.sh failover`. As root the servers run as user postgres, else as you. Superuser postgres/secret; role
openfire/openfire owns database openfire.
"""

import contextlib
import json
import pathlib
import signal
import urllib.error
import urllib.request

import managed
from waypost import eventually

SCOPE = "failover"
TTL_SECONDS = 5


class PatroniServers(managed.ManagedServers):
    names = ("p0", "p1", "p2")

    def up(self):
        self.prepare(*(f"rest-{name}" for name in self.names), "etcd", "etcd-peer")
        self.start_etcd()
        first = self.names[0]
        for name in self.names:
            # JSON is YAML.
            (self.dir / f"{name}.yml").write_text(json.dumps(self.configuration(name), indent=1))
            self.spawn(name, "patroni", self.dir / f"{name}.yml")
            if name == first:
                eventually(lambda: self.leads(first), 60, f"{first} leads: {self.log(first)[-2000:]}")
        eventually(lambda: len(self.following()) == len(self.names) - 1, 60, "all follow")
        self.create_database(first)
        self.settle()

    def start_etcd(self):
        client, peer = (f"http://127.0.0.1:{self.others[name]}" for name in ("etcd", "etcd-peer"))
        self.spawn("etcd", "etcd", "--data-dir", self.dir / "etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
                   "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
                   "--enable-v2", "--unsafe-no-fsync")  # fmt: skip

        def healthy():
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{client}/health", timeout=2) as reply:
                return json.load(reply)["health"] == "true"
            return False

        eventually(healthy, 30, "etcd answers")

    def configuration(self, name):
        rest, port = f"127.0.0.1:{self.others['rest-' + name]}", f"127.0.0.1:{self.ports[name]}"
        parameters = {key: value for key, value in managed.SETTINGS.items() if key not in ("wal_keep_size", "max_wal_senders")}
        return {
            "scope": SCOPE,
            "name": name,
            "restapi": {"listen": rest, "connect_address": rest},
            # Not etcd3: with it Patroni 3.0.2, once resumed, takes the lock back from its successor.
            "etcd": {"host": f"127.0.0.1:{self.others['etcd']}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_SECONDS, "loop_wait": 1, "retry_timeout": 2, "primary_start_timeout": 0, "maximum_lag_on_failover": 1 << 20,
                    "synchronous_mode": self.synchronous, "synchronous_node_count": len(self.names) - 1,
                    "postgresql": {"use_pg_rewind": True, "use_slots": True,
                                   "parameters": {**parameters, "wal_keep_size": "512MB", "max_wal_senders": 10}},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, {"auth": "scram-sha-256"}],
            },
            "postgresql": {
                "listen": port, "connect_address": port, "data_dir": f"{self.dir}/{name}", "bin_dir": str(self.bin),
                "pgpass": f"{self.dir}/{name}.pgpass",
                "remove_data_directory_on_rewind_failure": True, "remove_data_directory_on_diverged_timelines": True,
                "parameters": {"unix_socket_directories": str(self.dir)},
                "pg_hba": ["host replication replicator 127.0.0.1/32 trust", "local all all trust",
                           "host all all 127.0.0.1/32 scram-sha-256"],
                "authentication": {"superuser": {"username": "postgres", "password": "secret"},
                                   "replication": {"username": "replicator", "password": "secret"}},
            },
        }  # fmt: skip

    # -- what Patroni says

    def rest(self, name, path):
        """(status, body) of its REST API, (0, "") if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.others['rest-' + name]}{path}", timeout=2) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def leads(self, name):
        return self.rest(name, "/primary")[0] == 200

    def leader(self):
        return next((name for name in self.names if self.process(name) and self.leads(name)), None)

    def following(self):
        """Who follows the leader as is wanted: synchronously or at all."""
        leader = self.leader()
        members = json.loads(self.rest(leader, "/cluster")[1])["members"] if leader else []
        role = "sync_standby" if self.synchronous else "replica"
        return [m["name"] for m in members if m["role"] == role and m["state"] in ("running", "streaming")]

    def settle(self):
        """Until all that run follow the leader: before that Patroni promotes nobody, for fear of loss."""

        def settled():
            return len(self.following()) == sum(bool(self.process(name)) for name in self.names) - 1

        eventually(settled, 90, "all follow the leader")

    def list(self):
        return self.run("patronictl", "-c", self.dir / f"{self.names[0]}.yml", "list")

    # -- what one does to it

    def crash(self, server):
        """The whole node: Patroni and its server."""
        self.end(server, signal.SIGKILL)
        super().kill(server)

    def freeze(self, server):
        managed.signal_all(self.family(server), signal.SIGSTOP)

    def pause(self, server):
        managed.signal_all([self.process(server), *self.family(server)], signal.SIGSTOP)

    def resume(self, server):
        managed.signal_all([pid for pid in [self.process(server), *self.family(server)] if pid], signal.SIGCONT)

    def stop(self, server):
        self.end(server, seconds=60)

    def start(self, server):
        if not self.process(server):
            self.spawn(server, "patroni", self.dir / f"{server}.yml")
        eventually(lambda: server in self.following(), 90, f"{server} follows")
        self.settle()

    def switchover(self, candidate=None):
        leader = self.leader()
        to = ["--candidate", candidate] if candidate else []
        self.run("patronictl", "-c", self.dir / f"{leader}.yml", "switchover", SCOPE, "--leader", leader, *to, "--force")

    def down(self):
        for name in self.names:
            self.resume(name)
            self.end(name, signal.SIGKILL)
        # A server that Patroni was just starting has no pid file yet.
        eventually(self.no_server_runs, 20, "the servers end")
        self.end("etcd", signal.SIGKILL)
        self.destroy()

    def no_server_runs(self):
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().decode(errors="replace").split("\0")
                if f"{self.dir}/" in " ".join(words) and words[0].endswith(("postgres", "pg_basebackup", "pg_rewind")):
                    found.append(int(path.parent.name))
        managed.signal_all(found, signal.SIGQUIT)
        return not found


VERBS = {verb: verb for verb in ("up", "status", "list", "kill", "crash", "pause", "freeze", "resume", "stop", "start", "switchover",
                                 "settle", "down")}  # fmt: skip

if __name__ == "__main__":
    managed.command_line(PatroniServers, __doc__, VERBS)
