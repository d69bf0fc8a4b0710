"""TLS to servers: what each mode takes and refuses, that all of Waypost's connections have it, and servers that mean no good."""

import contextlib
import re
import shutil
import socket
import threading
import time

import certificates
import cluster as clusters
import conftest
import pytest
import test_tls
import waypost as waypost_process
import wire
from waypost import eventually

pytestmark = pytest.mark.proxy

MODES = ["prefer", "require", "verify-ca", "verify-full"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def cluster():
    """Of this module's own: nobody else's connections are there, and nobody else is to find TLS."""
    made = clusters.Cluster()
    try:
        made.start()
        conftest.prepare(made)
        yield made
    finally:
        made.destroy()


def give(cluster, name, cert, key):
    """The files as the server wants them: its own, for nobody else."""
    for source, target in ((cert, f"{name}.crt"), (key, f"{name}.key")):
        shutil.copy(source, cluster.dir / target)
        shutil.chown(cluster.dir / target, "postgres")
        (cluster.dir / target).chmod(0o600)


@pytest.fixture(scope="module")
def encrypting(cluster, authority):
    """The cluster, with ssl = on: pg0 and pg1 as 127.0.0.1, pg2 as db2.test."""
    for server in clusters.NAMES:
        give(cluster, server, *authority.issue(server, names=["DNS:db2.test"] if server == "pg2" else ["IP:127.0.0.1"]))
        give(cluster, "ca", authority.cert, authority.key)
        for setting, value in (("ssl_cert_file", f"{server}.crt"), ("ssl_key_file", f"{server}.key"), ("ssl_ca_file", "ca.crt")):
            cluster.sql(f"ALTER SYSTEM SET {setting} = '{cluster.dir}/{value}'", server, "postgres")
        cluster.sql("ALTER SYSTEM SET ssl = on", server, "postgres")
        cluster.sql("SELECT pg_reload_conf()", server, "postgres")
        eventually(lambda server=server: speaks_tls(cluster.ports[server]), what="ssl = on")
    return cluster


def speaks_tls(port):
    with wire.Wire("127.0.0.1", port) as conn:
        conn.send(wire.packet(wire.SSL_REQUEST.to_bytes(4, "big")))
        return conn.read(1) == b"S"


def servers(cluster, authority, mode, **more):
    found = []
    for name, port in cluster.ports.items():
        tls = {"tls": mode}
        if mode.startswith("verify"):
            tls["tls_ca"] = str(authority.cert)
        if mode == "verify-full" and name == "pg2":
            tls["tls_server_name"] = "db2.test"
        found.append({"name": name, "host": "127.0.0.1", "port": port, **tls, **more})
    return found


def connections(cluster, server, columns="s.ssl"):
    """Of Waypost to that server: {application_name: {what pg_stat_ssl says}}."""
    found = {}
    for name, *values in cluster.sql(
        f"SELECT application_name, {columns} FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)"
        f" WHERE application_name LIKE 'waypost%' OR usename = 'openfire'", server, "postgres"):  # fmt: skip
        found.setdefault(name, set()).add(values[0] if len(values) == 1 else tuple(values))
    return found


def test_a_server_without_tls_is_not_spoken_to_in_plain(cluster, no_primary, authority):
    """Before the cluster encrypts."""
    proxy = no_primary(servers(cluster, authority, "require"))
    assert refusal(proxy).sqlstate == "57P03"
    assert "does not support SSL" in proxy.get("/api/v1/servers")[1]


def test_prefer_takes_what_there_is(cluster, make_waypost, authority):
    proxy = make_waypost(servers=servers(cluster, authority, "prefer"), wait_for_split=True)
    with proxy.connect() as conn:
        assert conn.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "f"
        assert len(conn.value("SELECT repeat('x', 3000000)")) == 3000000


@pytest.mark.parametrize("mode", MODES)
def test_all_connections_are_encrypted(encrypting, make_waypost, authority, mode):
    proxy = make_waypost(servers=servers(encrypting, authority, mode), wait_for_split=True)
    with proxy.connect(application_name="waypost client") as conn:
        assert conn.value("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "TLSv1.3"
        assert len(conn.value("SELECT repeat('x', 3000000)")) == 3000000
        conn.rows("BEGIN; CREATE TEMP TABLE kept (i int)")  # it keeps its connection
        for server in clusters.NAMES:
            found = connections(encrypting, server)
            assert {"waypost monitor", "waypost fence"} <= set(found) or server == "pg0", found
            assert {value for values in found.values() for value in values} == {"t"}, (server, found)
        assert "waypost client" in connections(encrypting, "pg0")
        # A cancel request goes the same way: the server would log an unencrypted one no differently, so it is enough that it works.
        conn.send(wire.query("SELECT pg_sleep(20)"))
        time.sleep(0.2)
        assert wire.sqlstates(conn.until_cancelled()) == ["57014"]


def test_disable_asks_for_nothing(encrypting, make_waypost, authority):
    proxy = make_waypost(servers=servers(encrypting, authority, "disable"), wait_for_split=True)
    with proxy.connect() as conn:
        assert conn.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "f"
    assert {value for values in connections(encrypting, "pg1").values() for value in values} == {"f"}


def test_servers_see_our_certificate(encrypting, make_waypost, authority):
    cert, key = authority.issue("waypost-client", names=["DNS:waypost"])
    tables = servers(encrypting, authority, "verify-full", tls_cert=str(cert), tls_key=str(key))
    proxy = make_waypost(servers=tables, wait_for_split=True)
    with proxy.connect(application_name="waypost client") as conn:
        assert conn.value("SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "/CN=waypost-client"
        dns = connections(encrypting, "pg1", "s.client_dn")
        assert {value for values in dns.values() for value in values} == {"/CN=waypost-client"}, dns


def refusal(proxy):
    """What a client hears, who is not let in because no server is."""
    with pytest.raises((wire.ServerError, ConnectionError, TimeoutError)) as refused:
        proxy.connect(timeout=8)
    return refused.value


@pytest.fixture
def no_primary(cluster):
    """no_primary(servers) -> a Waypost that finds none of them to be a primary."""
    all_made = []

    def make(tables):
        made = waypost_process.Waypost(cluster, servers=tables, sections={"cluster": {"failover_hold": "300ms"}})
        all_made.append(made)
        made.start(wait=False)
        eventually(lambda: answers(made), what="the admin port")
        time.sleep(1)  # by now each server was asked
        return made

    yield make
    for made in all_made:
        made.close()


def answers(proxy):
    with contextlib.suppress(OSError):
        return proxy.get("/healthz")[0] == 200
    return False


@pytest.mark.parametrize("case", ["name", "authority"])
def test_a_server_that_is_not_what_was_configured_is_not_spoken_to(encrypting, no_primary, authority, tmp_path, case):
    tables = servers(encrypting, authority, "verify-full")
    for table in tables:
        if case == "name":
            table["tls_server_name"] = "elsewhere.test"
        else:
            table["tls_ca"] = str(certificates.Authority(tmp_path, f"other-{table['name']}").cert)
    proxy = no_primary(tables)
    assert refusal(proxy).sqlstate == "57P03"
    reply = proxy.get("/api/v1/servers")[1]
    assert re.search({"name": "elsewhere.test", "authority": "certificate verify failed"}[case], reply), reply


def test_a_server_whose_certificate_was_revoked_is_not_spoken_to(encrypting, no_primary, make_waypost, authority):
    """By the monitor, which is libpq's, and by ourselves."""
    nobody = str(authority.revocations("nobody"))
    proxy = make_waypost(servers=servers(encrypting, authority, "verify-full", tls_crl=nobody), wait_for_split=True)
    with proxy.connect() as conn:
        assert conn.value("SELECT 1") == "1"
    crl = authority.revocations("all", *(authority.folder / f"{name}.crt" for name in clusters.NAMES))
    proxy = no_primary(servers(encrypting, authority, "verify-full", tls_crl=str(crl)))
    assert refusal(proxy).sqlstate == "57P03"
    assert "certificate verify failed" in proxy.get("/api/v1/servers")[1]


def test_a_list_that_comes_later_ends_new_connections(encrypting, make_waypost, authority, tmp_path):
    """Those that are there stay: the monitor's, too. Nobody has been to this database yet."""
    crl = tmp_path / "in-use.crl"
    shutil.copy(authority.revocations("nobody"), crl)
    proxy = make_waypost(servers=servers(encrypting, authority, "verify-ca", tls_crl=str(crl)), wait_for_split=True)
    shutil.copy(authority.revocations("all", *(authority.folder / f"{name}.crt" for name in clusters.NAMES)), tmp_path / "next")
    (tmp_path / "next").rename(crl)
    proxy.logged("tls_reloaded")

    def refused():
        with contextlib.suppress(wire.ServerError, OSError), proxy.connect(database="bench", timeout=3) as conn:
            conn.value("SELECT 1")
        return "certificate revoked" in proxy.log()

    eventually(refused, 30, "the new connection is refused")


class Hostile:
    """Answers each SSLRequest with `answer`, and listens to what comes then."""

    def __init__(self, answer):
        self.answer = answer
        self.heard = []
        self.listener = socket.create_server(("127.0.0.1", clusters.free_ports(1)[0]))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self.speak, args=(sock,), daemon=True).start()

    def speak(self, sock):
        with contextlib.suppress(OSError), sock:
            sock.settimeout(5)
            assert len(sock.recv(8)) == 8
            sock.sendall(self.answer)
            while heard := sock.recv(65536):
                self.heard.append(heard)

    def close(self):
        self.listener.close()


MALLORY = b"E" + (60).to_bytes(4, "big") + b"SFATAL\0C28000\0Mplease visit mallory.example\0\0"


ANSWERS = [MALLORY, b"SS", b"S" + MALLORY, b"\0", b"", b"X", b"N"]


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-full"])
def test_hostile_answers_to_the_request(no_primary, authority, mode):
    """Nothing that is not encrypted is shown to anybody, and nothing is sent in reply."""
    hostile = [Hostile(answer) for answer in ANSWERS]
    tables = [{"name": f"h{i}", "host": "127.0.0.1", "port": server.port, "tls": mode} for i, server in enumerate(hostile)]
    if mode == "verify-full":
        tables = [{**table, "tls_ca": str(authority.cert)} for table in tables]
    proxy = no_primary(tables)
    assert "mallory" not in str(refusal(proxy))
    time.sleep(0.5)
    assert "mallory" not in proxy.log() + proxy.get("/api/v1/servers")[1] + proxy.get("/metrics")[1]
    for server in hostile:
        if mode != "prefer":
            assert not [heard for heard in server.heard if b"user" in heard], (server.answer, server.heard)
        server.close()


# --- channel binding


def sasl(port, authority, mechanism, first):
    """The answer to SASLInitialResponse over TLS: the mechanisms offered, and the SQLSTATE or None."""
    with wire.Wire("127.0.0.1", port) as conn:
        conn.send(wire.packet(wire.SSL_REQUEST.to_bytes(4, "big")))
        assert conn.read(1) == b"S"
        conn.sock = authority.client_context().wrap_socket(conn.sock, server_hostname="127.0.0.1")
        conn.send(wire.startup_packet({"user": "openfire", "database": "openfire"}))
        offered = conn.recv().body[4:]
        conn.send(wire.message("p", wire.cstr(mechanism) + len(first).to_bytes(4, "big") + first))
        answer = conn.recv()
        return offered, wire.error_fields(answer.body)["C"] if answer.type == "E" else None


@pytest.fixture(scope="module")
def both(encrypting, authority):
    cert, key = authority.issue("waypost")
    table = {"tls": "allow", "tls_cert": str(cert), "tls_key": str(key)}
    with waypost_process.running(encrypting, sections={"listen": table}, servers=servers(encrypting, authority, "verify-full")) as made:
        yield made


FLAGS = [b"n", b"y", b"p=tls-server-end-point", b"p=tls-unique", b"p", b"x"]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
@pytest.mark.parametrize("flag", FLAGS)
def test_what_clients_say_of_the_channel_is_judged_as_postgresql_does(encrypting, both, authority, mechanism, flag):
    first = flag + b",,n=,r=abcdefghijklmnop"
    expected = sasl(encrypting.ports["pg0"], authority, mechanism, first)
    assert sasl(both.port, authority, mechanism, first) == expected


def test_log_ins_to_servers_are_bound(encrypting, no_primary, authority, tmp_path):
    """Nobody verifies a certificate here; who relays between Waypost and the server is refused by the server."""
    stranger = certificates.Authority(tmp_path, "other").issue("stranger")
    with test_tls.Relay(stranger, encrypting.ports["pg0"]) as relay:
        tables = servers(encrypting, authority, "require")
        tables[0]["port"] = relay.port
        proxy = no_primary(tables)
        assert refusal(proxy).sqlstate == "57P03"
        assert "channel binding check failed" in proxy.get("/api/v1/servers")[1]
