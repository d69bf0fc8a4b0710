"""Wayposts and pgpool-II in front of the servers, as the checker's doors."""

import pathlib
import subprocess

import cluster as clusters
import waypost as waypost_process
from waypost import eventually

USERS = [{"name": name, "password": "openfire"} for name in ("openfire", "lazy")]




def start_waypost(servers, database="openfire", **routing):
    """A Waypost whose reads do reach replicas, if any may be read from."""
    made = waypost_process.Waypost(servers, sections={"routing": routing, "server": {"max_connections": 100}}, users=USERS)
    made.start()
    return made


class Pgpool:
    """Debian's pgpool-II: streaming replication mode, load balancing by statement, each server one share."""

    def __init__(self, servers):
        self.servers, self.port = servers, waypost_process.free_port()
        self.dir = pathlib.Path(servers.dir) / f"pgpool-{self.port}"
        self.process = None

    def start(self):
        self.dir.mkdir()
        (self.dir / "pcp.conf").touch()
        (self.dir / "pgpool.conf").write_text(self.config())
        log = open(self.dir / "log", "ab")
        subprocess.run(["chown", "-R", "postgres:", self.dir], check=True)
        self.process = subprocess.Popen(
            ["pgpool", "-n", "-f", self.dir / "pgpool.conf", "-F", self.dir / "pcp.conf"], stdout=log, stderr=log,
            cwd="/", user="postgres", extra_groups=[])
        eventually(lambda: self.answers(), 20, "pgpool answers")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.dir / "log").read_text(errors="replace")[-2000:]
        return subprocess.run(["psql", "-XqAt", "-h", "127.0.0.1", "-p", str(self.port), "-U", "openfire", "-c", "SELECT 1"],
                              capture_output=True, check=False).returncode == 0

    def config(self):
        backends = "".join(f"""
backend_hostname{i} = '127.0.0.1'
backend_port{i} = {port}
backend_weight{i} = 1
backend_flag{i} = 'DISALLOW_TO_FAILOVER'
backend_application_name{i} = '{name}'
""" for i, (name, port) in enumerate(self.servers.ports.items()))
        return f"""
backend_clustering_mode = 'streaming_replication'
listen_addresses = '127.0.0.1'
port = {self.port}
socket_dir = '{self.dir}'
pcp_socket_dir = '{self.dir}'
pcp_port = {clusters.free_ports(1)[0]}
pid_file_name = '{self.dir}/pgpool.pid'
logdir = '{self.dir}'
enable_pool_hba = off
num_init_children = 40
max_pool = 2
load_balance_mode = on
statement_level_load_balance = on
sr_check_period = 1
sr_check_user = 'postgres'
sr_check_database = 'postgres'
delay_threshold = 0
health_check_period = 0
log_min_messages = warning
{backends}"""

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
