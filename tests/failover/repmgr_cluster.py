#!/usr/bin/env python3
"""Two PostgreSQL servers, node0 and node1, that repmgrd keeps: it promotes; the verb `start` brings a server back as standby.

  repmgr_cluster.py up DIR [--async]     creates both in DIR, a new folder, on free ports; repmgrd beside each
  repmgr_cluster.py status DIR
  repmgr_cluster.py stop DIR node0       in order                kill DIR node0     kill -9 of its postmaster
  repmgr_cluster.py start DIR node0      back as standby of the other (pg_rewind, else a new copy)
  repmgr_cluster.py revive DIR node0     just as it stands: a primary that does not know that it was deposed
  repmgr_cluster.py pause DIR node0      SIGSTOP to all of it    resume DIR node0
  repmgr_cluster.py switchover DIR       planned, by repmgr's own steps      command-switchover DIR  by its own command
  repmgr_cluster.py down DIR             ends all and removes DIR

Needs `deploy/install.sh failover`. As root the servers run as user postgres, else as you. Superuser postgres/secret; role
openfire/openfire owns database openfire. repmgrd promotes two to four seconds after a server has died.
"""

import shutil
import signal

import managed
from waypost import eventually

CONF = """
node_id={id}
node_name='{name}'
conninfo='{conninfo}'
data_directory='{dir}/{name}'
pg_bindir='{bin}'
failover=automatic
monitor_interval_secs=1
reconnect_attempts=2
reconnect_interval=1
degraded_monitoring_timeout=-1
primary_notification_timeout=5
promote_command='{dir}/{name}.promote'
follow_command='repmgr -f {dir}/{name}.conf standby follow --upstream-node-id=%n'
service_start_command='{bin}/pg_ctl -D {dir}/{name} -w -l {dir}/{name}.log -o "-p {port}" start'
service_stop_command='{bin}/pg_ctl -D {dir}/{name} -m fast -w stop'
"""
# Two servers cannot give both no loss and service by one alone: the other is synchronous only while it streams.
PROMOTE = """#!/bin/sh
PGPASSWORD=secret {bin}/psql -XqAt 'host=127.0.0.1 port={port} user=postgres dbname=postgres' \
  -c "ALTER SYSTEM SET synchronous_standby_names = ''" -c 'SELECT pg_reload_conf()' >/dev/null
exec repmgr -f {dir}/{name}.conf standby promote
"""
# Options, a host, and what to run there.
SSH = """#!/bin/sh
while :; do
  case $1 in
    -o) shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
shift
exec sh -c "$*"
"""


class RepmgrServers(managed.ManagedServers):
    names = ("node0", "node1")

    def other(self, server):
        return self.names[1 - self.names.index(server)]

    def conninfo(self, server):
        return f"host=127.0.0.1 port={self.ports[server]} user=repmgr dbname=repmgr connect_timeout=2"

    def repmgr(self, server, *args, **options):
        return self.run("repmgr", "-f", self.dir / f"{server}.conf", *args, log=f"{server}.repmgr", **options)

    def up(self):
        self.prepare()
        for number, name in enumerate(self.names, 1):
            self.configure(number, name)
        first, second = self.names
        (self.dir / "password").write_text("secret\n")
        self.run(self.bin / "initdb", "-D", self.dir / first, "-U", "postgres", f"--pwfile={self.dir}/password", "-A",
                 "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        settings = managed.SETTINGS | {
            "listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.dir), "shared_preload_libraries": "repmgr"}
        with open(self.dir / first / "postgresql.conf", "a", encoding="utf-8") as file:
            file.writelines(f"{key} = '{value}'\n" for key, value in settings.items())
        hba = self.dir / first / "pg_hba.conf"
        hba.write_text("host repmgr,replication repmgr 127.0.0.1/32 trust\n" + hba.read_text())
        self.start_as_is(first)
        self.sql("CREATE ROLE repmgr SUPERUSER REPLICATION LOGIN", first)
        self.sql("CREATE DATABASE repmgr OWNER repmgr", first)
        self.create_database(first)
        self.repmgr(first, "primary", "register")
        self.clone(second)
        self.make_synchronous(first)
        for name in self.names:
            self.guard(name)

    def configure(self, number, name):
        words = {"id": number, "name": name, "dir": self.dir, "bin": self.bin, "port": self.ports[name],
                 "conninfo": self.conninfo(name)}  # fmt: skip
        (self.dir / f"{name}.conf").write_text(CONF.format(**words))
        script = self.dir / f"{name}.promote"
        script.write_text(PROMOTE.format(**words))
        script.chmod(0o755)

    def guard(self, server):
        """Its repmgrd, unless that runs; it knows whom to watch then."""
        name = f"{server}.repmgrd"
        if not self.process(name):
            self.spawn(name, "repmgrd", "-f", self.dir / f"{server}.conf", "--daemonize=false", "--no-pid-file")
            eventually(lambda: "monitoring c" in self.log(name).rpartition("starting up")[2], 20, f"{name} watches")

    def clone(self, server):
        shutil.rmtree(self.dir / server, ignore_errors=True)
        self.repmgr(server, "-h", "127.0.0.1", "-p", self.ports[self.other(server)], "-U", "repmgr", "-d", "repmgr", "standby",
                    "clone", "--fast-checkpoint")  # fmt: skip
        self.start_as_is(server)
        self.repmgr(server, "standby", "register", "--force")

    def make_synchronous(self, primary):
        """Waits until the other streams, and then makes commits wait for it."""
        other = self.other(primary)
        follows = f"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '{other}'"
        eventually(lambda: self.answer(follows, primary) == "1", 30, f"{other} streams")
        if self.synchronous:
            self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{other}'", primary)
            self.sql("SELECT pg_reload_conf()", primary)
            eventually(lambda: self.streaming(primary) == 1, 15, f"{other} is synchronous")

    def wait_until_known(self, primary):
        """Until repmgr's own table, and the control file that pg_rewind reads, know of the promotion."""
        number = self.names.index(primary) + 1
        known = f"SELECT 1 FROM repmgr.nodes WHERE node_id = {number} AND type = 'primary' AND active"
        eventually(lambda: self.sql(known, primary, "repmgr"), 20, "repmgr knows the primary")
        self.sql("CHECKPOINT", primary)

    def start(self, server):
        """Back as standby of the other, which must be the primary."""
        primary = self.other(server)
        assert not self.postmaster(server), f"{server} runs"
        self.wait_for_primary([primary])
        self.wait_until_known(primary)
        self.bury(server)
        state = self.run(self.bin / "pg_controldata", self.dir / server)
        if "shut down\n" not in state.replace("shut down in recovery", ""):
            # repmgr and pg_rewind want an orderly end: replay what a kill -9 left, without letting anyone in.
            (self.dir / server / "standby.signal").unlink(missing_ok=True)
            self.run(self.bin / "postgres", "--single", "-D", self.dir / server, "-c", "synchronous_standby_names=", "template1",
                     check=False)  # fmt: skip
        done = self.repmgr(server, "node", "rejoin", "-d", self.conninfo(primary), "--force-rewind", check=False)
        if "NODE REJOIN successful" not in done:
            self.stop_server(server, "immediate")
            self.clone(server)
        self.end(f"{server}.repmgrd")
        self.guard(server)
        self.make_synchronous(primary)

    def stop(self, server):
        self.stop_server(server)

    def switchover(self):
        """Stops the primary in order, promotes the other, brings the first back; repmgrd must not join in."""
        primary = self.primaries()[0]
        for name in self.names:
            self.end(f"{name}.repmgrd")
        self.stop_server(primary)
        self.run(self.dir / f"{self.other(primary)}.promote", log="promote")
        self.start(primary)
        self.guard(self.other(primary))

    def command_switchover(self):
        """`repmgr standby switchover` as an administrator gives it. The way to the other node, ssh, stays on this machine."""
        primary = self.primaries()[0]
        standby = self.other(primary)
        self.sql("ALTER SYSTEM SET synchronous_standby_names = ''", standby)  # else its commits wait for the one that is stopped
        self.sql("SELECT pg_reload_conf()", standby)
        (self.dir / "local").mkdir(exist_ok=True)
        (self.dir / "local").chmod(0o755)
        ssh = self.dir / "local" / "ssh"
        ssh.write_text(SSH)
        ssh.chmod(0o755)
        self.run("env", f"PATH={ssh.parent}:{self.as_owner()['env']['PATH']}", "repmgr", "-f", self.dir / f"{standby}.conf", "standby",
                 "switchover", log=f"{standby}.repmgr")  # fmt: skip
        self.make_synchronous(standby)

    def down(self):
        for name in self.names:
            self.end(f"{name}.repmgrd", signal.SIGKILL)
        self.destroy()


VERBS = {verb: verb for verb in ("up", "status", "stop", "kill", "start", "pause", "resume", "switchover", "down")}

if __name__ == "__main__":
    managed.command_line(RepmgrServers, __doc__, VERBS | {"revive": "start_as_is", "command-switchover": "command_switchover"})
