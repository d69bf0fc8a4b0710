"""[cluster] discovery: the list of servers comes from Patroni or repmgr, and is followed as far as it can be right."""

import http.server
import json
import ssl
import threading

import certificates
import pytest
from waypost import eventually

pytestmark = pytest.mark.proxy

EVERY = "100ms"


class Patroni:
    """Answers GET /cluster as Patroni does, with what `members`, or `body`, is at that moment."""

    def __init__(self, cluster):
        self.ports = cluster.ports
        self.body = b""
        self.status = 200
        self.asked = 0
        patroni = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                patroni.asked += 1
                self.send_response(patroni.status if self.path == "/cluster" else 404)
                self.send_header("Content-Length", str(len(patroni.body)))
                self.end_headers()
                self.wfile.write(patroni.body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def encrypt(self, authority):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("patroni"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def lists(self, *names, leader="pg0"):
        members = [
            {"name": f"member {n}", "role": "leader" if n == leader else "replica", "state": "running", "host": "127.0.0.1",
             "port": self.ports[n], "api_url": f"{self.url}/patroni", "timeline": 1}
            for n in names
        ]  # fmt: skip
        self.body = json.dumps({"members": members, "scope": "test"}).encode()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def patroni(cluster):
    made = Patroni(cluster)
    try:
        yield made
    finally:
        made.close()


def seeds(cluster, *names):
    return [{"name": n, "host": "127.0.0.1", "port": cluster.ports[n]} for n in names]


def servers(proxy):
    """By port: names are Waypost's own."""
    return {server["port"]: server for server in json.loads(proxy.get("/api/v1/servers")[1])["servers"]}


def discovery(proxy):
    return json.loads(proxy.get("/api/v1/status")[1])["discovery"]


def has(proxy, cluster, *names):
    return lambda: set(servers(proxy)) == {cluster.ports[n] for n in names}


def looked_again(patroni, times=3):
    before = patroni.asked
    eventually(lambda: patroni.asked >= before + times, what="the list is read again")


def test_patroni(cluster, patroni, make_waypost):
    patroni.lists("pg0", "pg1", "pg2")
    settings = {"discovery": "patroni", "discovery_interval": EVERY, "patroni_urls": ["http://127.0.0.1:1", patroni.url]}
    proxy = make_waypost(sections={"cluster": settings}, servers=seeds(cluster, "pg0"))
    eventually(has(proxy, cluster, "pg0", "pg1", "pg2"), what="both replicas are found")
    found = servers(proxy)[cluster.ports["pg1"]]
    assert found["name"] == "member_pg1" and found["found_by"] == "patroni"
    assert servers(proxy)[cluster.ports["pg0"]]["found_by"] == "configuration"
    proxy.wait_for_split()
    assert discovery(proxy)["from"] == patroni.url and discovery(proxy)["error"] is None

    with proxy.connect() as conn:
        patroni.lists("pg0", "pg1")
        eventually(has(proxy, cluster, "pg0", "pg1"), what="pg2 goes")
        proxy.logged("what=drained", "what=removed")
        assert conn.rows("SELECT 1")

    # What cannot be right changes nothing.
    patroni.lists("pg1", "pg2")
    eventually(lambda: "lacks the accepted primary" in (discovery(proxy)["error"] or ""), what="it is told")
    for body in (b"", b"{", b'{"members": []}', b"x" * 300_000):
        patroni.body = body
        looked_again(patroni)
        eventually(lambda: discovery(proxy)["error"], what="it is told")
    assert has(proxy, cluster, "pg0", "pg1")()
    proxy.counted(0, "waypost_discovery_ok", source="patroni")

    # Whom Patroni calls the leader is told where it is another than ours, and not followed.
    patroni.lists("pg0", "pg1", "pg2", leader="pg1")
    eventually(lambda: discovery(proxy)["contradiction"], what="the contradiction is told")
    proxy.counted(0, "waypost_discovery_agrees", source="patroni")
    assert json.loads(proxy.get("/api/v1/status")[1])["primary"] == "pg0"
    eventually(has(proxy, cluster, "pg0", "pg1", "pg2"), what="pg2 is back")
    assert servers(proxy)[cluster.ports["pg2"]]["name"] == "member_pg2"
    patroni.lists("pg0", "pg1", "pg2")
    eventually(lambda: not discovery(proxy)["contradiction"] and not discovery(proxy)["error"], what="all is well")

    # A reload of the file keeps what was found; without discovery the file alone counts.
    proxy.hangup()
    eventually(lambda: proxy.log().count("reloaded") == 1, what="reloaded")
    assert has(proxy, cluster, "pg0", "pg1", "pg2")()
    for key in ("discovery", "discovery_interval", "patroni_urls"):
        del settings[key]
    proxy.write_config()
    proxy.hangup()
    eventually(has(proxy, cluster, "pg0"), what="the file alone")
    assert discovery(proxy) is None


def test_patroni_is_who_its_certificate_says(cluster, patroni, make_waypost, tmp_path):
    authority = certificates.Authority(tmp_path)
    patroni.encrypt(authority)
    patroni.lists("pg0", "pg1")
    settings = {"discovery": "patroni", "discovery_interval": EVERY, "patroni_urls": [patroni.url.replace("http:", "https:")]}
    proxy = make_waypost(sections={"cluster": settings}, servers=seeds(cluster, "pg0"))
    eventually(lambda: "certificate" in (discovery(proxy)["error"] or ""), what="a stranger is refused")
    assert has(proxy, cluster, "pg0")()
    settings["patroni_ca"] = str(authority.cert)
    proxy.write_config()
    proxy.hangup()
    eventually(has(proxy, cluster, "pg0", "pg1"), what="the list of one that is known is followed")


REPMGR = """
CREATE SCHEMA repmgr;
CREATE TABLE repmgr.nodes (node_id int PRIMARY KEY, upstream_node_id int, active boolean NOT NULL, node_name text NOT NULL,
  type text NOT NULL, location text, priority int, conninfo text NOT NULL, repluser text, slot_name text, config_file text)
"""


@pytest.fixture
def nodes(cluster):
    """A table as repmgr has it, with pg0 as primary; the name of its database."""
    cluster.sql("CREATE DATABASE nodes_of_repmgr")
    cluster.sql(REPMGR, database="nodes_of_repmgr")
    rows = [(0, "pg0", "primary", cluster.ports["pg0"]), (1, "pg1", "standby", cluster.ports["pg1"]), (9, "w", "witness", 1)]
    for number, name, kind, port in rows:
        cluster.sql("INSERT INTO repmgr.nodes (node_id, active, node_name, type, conninfo)"
                    f" VALUES ({number}, true, '{name}', '{kind}', 'host=127.0.0.1 port={port} user=repmgr')",
                    database="nodes_of_repmgr")  # fmt: skip
    try:
        yield "nodes_of_repmgr"
    finally:
        cluster.sql("DROP DATABASE nodes_of_repmgr WITH (FORCE)")


def test_repmgr(cluster, nodes, make_waypost):
    settings = {"discovery": "repmgr", "discovery_interval": EVERY, "repmgr_database": nodes}
    proxy = make_waypost(sections={"cluster": settings}, servers=seeds(cluster, "pg0"))
    eventually(has(proxy, cluster, "pg0", "pg1"), what="the standby is found, the witness is not")
    found = servers(proxy)[cluster.ports["pg1"]]
    assert found["name"] == "pg1" and found["found_by"] == "repmgr"
    assert discovery(proxy)["from"] == "pg0"
    proxy.wait_for_split()

    def change(text):
        cluster.sql(text, database=nodes)

    change("UPDATE repmgr.nodes SET conninfo = 'host=/run password=hidden' WHERE node_id = 1")
    eventually(lambda: "expected an IP address" in (discovery(proxy)["error"] or ""), what="it is told")
    change("UPDATE repmgr.nodes SET conninfo = 'host=x hidden' WHERE node_id = 1")
    eventually(lambda: "is no connection string" in (discovery(proxy)["error"] or ""), what="it is told")
    assert "hidden" not in proxy.log()
    change("ALTER TABLE repmgr.nodes RENAME TO none")
    eventually(lambda: "does not exist" in (discovery(proxy)["error"] or ""), what="it is told")
    assert has(proxy, cluster, "pg0", "pg1")()
    change("ALTER TABLE repmgr.none RENAME TO nodes")
    change("DELETE FROM repmgr.nodes WHERE node_id = 1")
    eventually(has(proxy, cluster, "pg0"), what="the standby goes")
    eventually(lambda: discovery(proxy)["error"] is None, what="all is well")
