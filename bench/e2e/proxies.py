"""The systems under comparison: how each is configured, started and stopped."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from cluster import ACCOUNT, DATABASE, MONITOR_PASSWORD, PASSWORD, USER, as_account, free_port, parse_version

ROOM = 32  # clients that a proxy is started with room for, unless more are to come


class Proxy:
    """A proxy process; subclasses write its configuration and give its command line."""

    name = "?"
    program = "?"
    version_args = ["--version"]

    def __init__(self, root: pathlib.Path, cluster):
        self.root = root / self.name
        self.cluster = cluster
        self.port = free_port()
        self.process = None

    def available(self):
        return shutil.which(self.program) is not None

    def version(self):
        out = subprocess.run([self.program, *self.version_args], capture_output=True, text=True, check=False)
        return parse_version(out.stdout + out.stderr)

    def database(self, workload):
        """The database name that clients ask for in this workload."""
        return DATABASE

    def start(self, clients=ROOM):
        """Starts it with room for that many clients, and waits until it accepts connections."""
        self.root.mkdir(exist_ok=True)
        command = self.configure(clients)
        for path in [self.root, *self.root.rglob("*")]:
            if os.geteuid() == 0:
                shutil.chown(path, ACCOUNT)
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True, **as_account())
        deadline = time.monotonic() + 20
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = (self.root / "log").read_text(errors="replace")[-1500:]
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{tail}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)

    stop_signal = signal.SIGTERM

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None

    def configure(self, clients):
        raise NotImplementedError

    def write(self, name, text):
        path = self.root / name
        path.write_text(text)
        return path


class Direct(Proxy):
    """No proxy: the primary itself."""

    name = "direct"

    def __init__(self, root, cluster):
        super().__init__(root, cluster)
        self.port = cluster.ports[0]

    def available(self):
        return True

    def version(self):
        return parse_version(self.cluster.psql("postgres", "SHOW server_version"))

    def start(self, clients=ROOM):
        pass


class Waypost(Proxy):
    name = "waypost"
    consistency = "strict"

    def __init__(self, root, cluster, binary):
        super().__init__(root, cluster)
        self.source = pathlib.Path(binary)
        self.program = str(self.source)
        self.admin_port = free_port()

    def available(self):
        return self.source.is_file()

    def configure(self, clients):
        binary = self.root / "waypost"  # a copy: the account may not be able to read the build directory
        shutil.copy(self.source, binary)
        servers = "".join(f"""
[[server]]
name = "{name}"
host = "127.0.0.1"
port = {port}
""" for name, port in zip(self.cluster.names, self.cluster.ports))
        config = self.write("waypost.toml", f"""
workers = 1
[listen]
port = {self.port}
[admin]
port = {self.admin_port}
[monitor]
user = "postgres"
password = "{MONITOR_PASSWORD}"
[routing]
consistency = "{self.consistency}"
[[user]]
name = "{USER}"
scram = "{self.cluster.verifier()}"
{servers}""")
        return [str(binary), "--config", str(config)]

    def start(self, clients=ROOM):
        super().start(clients)
        time.sleep(1.5)  # probes must have seen the servers, and the catalogue must be loaded


class WaypostEventual(Waypost):
    name = "waypost-eventual"
    consistency = "eventual"


class PgBouncer(Proxy):
    name = "pgbouncer"
    program = "pgbouncer"

    # Debian's 1.18 has no prepared statements in transaction mode: session mode for that workload.
    def database(self, workload):
        return "bench_session" if workload == "prepared" else DATABASE

    def configure(self, clients):
        target = f"host=127.0.0.1 port={self.cluster.ports[0]} dbname={DATABASE}"
        users = self.write("users.txt", f'"{USER}" "{self.cluster.verifier()}"\n')
        return ["pgbouncer", str(self.write("pgbouncer.ini", f"""
[databases]
{DATABASE} = {target} pool_mode=transaction
bench_session = {target} pool_mode=session
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
max_client_conn = {max(1000, clients + 100)}
default_pool_size = 20
log_connections = 0
log_disconnections = 0
stats_period = 600
server_reset_query = DISCARD ALL
"""))]

    stop_signal = signal.SIGINT


class Pgpool(Proxy):
    name = "pgpool"
    program = "pgpool"

    def configure(self, clients):
        backends = "".join(f"""
backend_hostname{i} = '127.0.0.1'
backend_port{i} = {port}
backend_weight{i} = 1
backend_flag{i} = 'DISALLOW_TO_FAILOVER'
backend_application_name{i} = '{name}'
""" for i, (name, port) in enumerate(zip(self.cluster.names, self.cluster.ports)))
        self.write("pool_passwd", f"{USER}:TEXT{PASSWORD}\npostgres:TEXT{MONITOR_PASSWORD}\n")
        hba = self.write("pool_hba.conf", "host all all 127.0.0.1/32 scram-sha-256\n")
        key = self.write("pool_key", "unused")
        key.chmod(0o600)
        pcp = self.write("pcp.conf", "")
        conf = self.write("pgpool.conf", f"""
backend_clustering_mode = 'streaming_replication'
listen_addresses = '127.0.0.1'
port = {self.port}
socket_dir = '{self.root}'
pcp_socket_dir = '{self.root}'
pcp_port = {free_port()}
pid_file_name = '{self.root}/pgpool.pid'
logdir = '{self.root}'
enable_pool_hba = on
pool_passwd = 'pool_passwd'
num_init_children = {clients}
max_pool = 1
child_life_time = 0
connection_cache = on
load_balance_mode = on
sr_check_period = 10
sr_check_user = 'postgres'
sr_check_password = '{MONITOR_PASSWORD}'
sr_check_database = 'postgres'
health_check_period = 0
log_min_messages = warning
{backends}""")
        return ["pgpool", "-n", "-f", str(conf), "-a", str(hba), "-F", str(pcp), "-k", str(key)]

    stop_signal = signal.SIGINT


class HAProxy(Proxy):
    name = "haproxy"
    program = "haproxy"
    version_args = ["-v"]

    def configure(self, clients):
        return ["haproxy", "-db", "-f", str(self.write("haproxy.cfg", f"""
global
    nbthread 1
    maxconn {max(1000, clients + 100)}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen primary
    bind 127.0.0.1:{self.port}
    server pg0 127.0.0.1:{self.cluster.ports[0]}
"""))]

    stop_signal = signal.SIGUSR1

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()  # it would wait for its clients; there is nothing to save
        super().stop()
