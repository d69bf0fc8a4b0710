"""Start-up and authentication, compared with the primary where it has an answer."""

import struct

import pytest
import wire
from transcript import show, sorted_parameters

pytestmark = pytest.mark.majors

PASSWORD = "openfire"


def outcome(port, packets, password=PASSWORD, answer=True):
    """Sends raw start-up packets; everything up to ReadyForQuery, an error with its end, or the end, as lines."""
    with wire.Wire("127.0.0.1", port) as conn:
        seen = []
        conn.send(*packets)
        if answer:
            try:
                seen += conn.finish_login("openfire", password)
                return sorted_parameters([show(m) for m in seen])
            except wire.ServerError as error:
                fields = {k: v for k, v in error.fields.items() if k not in "FLR"}
                return [f"refused {fields}", *map(show, conn.drain())]
            except ConnectionError as error:
                return [str(error)]
        return [show(m) for m in conn.drain()]


def packet(version=wire.PROTOCOL_3_0, **params):
    return wire.startup_packet({"user": "openfire", "database": "openfire", **params}, version)


def raw(version, body):
    return wire.packet(struct.pack("!i", version) + body)


SAME = {
    "plain": [packet()],
    "database defaults to the user": [wire.startup_packet({"user": "openfire"})],
    "protocol 3.2": [packet(wire.PROTOCOL_3_2)],
    "protocol 3.99": [packet(196608 + 99)],
    "unknown _pq_ options": [packet(**{"_pq_.one": "1", "_pq_.two": "x"})],
    "protocol 3.2 with a _pq_ option": [packet(wire.PROTOCOL_3_2, **{"_pq_.one": "1"})],
    "protocol 4.0": [packet(262144)],
    "unknown user": [wire.startup_packet({"user": "stranger", "database": "openfire"})],
    "unknown database": [wire.startup_packet({"user": "openfire", "database": "nowhere"})],
    "no user": [wire.startup_packet({"database": "openfire"})],
    "empty user": [wire.startup_packet({"user": "", "database": "openfire"})],
    "unknown parameter": [packet(nonsense="1")],
    "wrong value": [packet(client_encoding="NOT_AN_ENCODING")],
    "wrong option": [packet(options="-c work_mem=lots")],
    "backslash in options": [packet(options="-c application_name=a\\ b")],
    "a custom setting": [packet(options="-c my.setting=5")],
    "replication = false": [packet(replication="false")],
    "a value repeated": [raw(196608, b"user\0openfire\0database\0openfire\0DateStyle\0ISO\0DateStyle\0German\0\0")],
    "no terminator": [raw(196608, b"user\0openfire\0")],
    "a name without value": [raw(196608, b"user\0openfire\0database\0")],
}


@pytest.mark.parametrize("case", SAME)
def test_answered_as_the_primary_does(cluster, waypost, case):
    expected = outcome(cluster.ports["pg0"], SAME[case])
    expected = [line.replace("server supports 2.0", "server supports 3.0") for line in expected]  # 13 speaks 2.0 as well
    assert outcome(waypost.port, SAME[case]) == expected


@pytest.mark.proxy
@pytest.mark.parametrize(
    "start", [packet(131072), packet(options="--"), packet(options="-Q x")], ids=["protocol 2.0", "--", "-Q x"]
)
def test_refused_in_its_own_words(waypost, start):
    """PostgreSQL answers protocol 2 in protocol 2, and knows more command line switches."""
    answer = outcome(waypost.port, [start])
    assert answer[0].startswith("refused {'S': 'FATAL'") and len(answer) == 1


@pytest.mark.parametrize("database", ["openfire", "nowhere"])
def test_wrong_password(cluster, waypost, database):
    start = [wire.startup_packet({"user": "openfire", "database": database})]
    expected = outcome(cluster.ports["pg0"], start, password="wrong")
    assert "28P01" in expected[0]
    assert outcome(waypost.port, start, password="wrong") == expected


@pytest.mark.proxy
@pytest.mark.parametrize("value", ["true", "database", "on", "1"])
def test_replication_is_refused(waypost, value):
    answer = outcome(waypost.port, [packet(replication=value)])
    assert "'C': '0A000'" in answer[0] and "'S': 'FATAL'" in answer[0]


@pytest.mark.proxy
@pytest.mark.parametrize(
    "requests",
    [[wire.SSL_REQUEST], [wire.GSSENC_REQUEST], [wire.SSL_REQUEST, wire.GSSENC_REQUEST],
     [wire.GSSENC_REQUEST, wire.SSL_REQUEST]],
)  # fmt: skip
def test_encryption_requests_are_declined_and_start_up_goes_on(waypost, requests):
    with wire.Wire("127.0.0.1", waypost.port) as conn:
        for request in requests:
            conn.send(wire.packet(struct.pack("!i", request)))
            assert conn.read(1) == b"N"
        conn.login("openfire", PASSWORD)
        assert conn.value("SELECT 'in'") == "in"


def test_encryption_request_byte_by_byte(waypost):
    with wire.Wire("127.0.0.1", waypost.port) as conn:
        for byte in wire.packet(struct.pack("!i", wire.SSL_REQUEST)):
            conn.send(bytes([byte]))
        assert conn.read(1) == b"N"
        for byte in packet():
            conn.send(bytes([byte]))
        conn.finish_login("openfire", PASSWORD)
        assert conn.value("SELECT 1") == "1"


def test_each_client_has_its_own_cancel_key(waypost):
    keys = set()
    conns = [waypost.connect() for _ in range(10)]
    for conn in conns:
        keys.add((conn.pid, conn.key))
        conn.shut()
    assert len(keys) == 10


@pytest.mark.proxy
def test_scram_verifier_alone_is_enough(cluster, make_waypost):
    """The key that logs in to the servers is learnt from the client's proof."""
    [[verifier]] = cluster.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'openfire'", database="postgres")
    proxy = make_waypost(users=[{"name": "openfire", "scram": verifier}], wait_for_split=True)
    with proxy.connect() as conn:
        assert conn.value("SELECT count(*) FROM probe_me") == "100"
    with pytest.raises(wire.ServerError) as refused:
        proxy.connect(password="wrong")
    assert refused.value.sqlstate == "28P01"


@pytest.mark.proxy
def test_password_from_environment_and_file(make_waypost, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("alice\n")
    proxy = make_waypost(
        users=[
            {"name": "openfire", "password_env": "OPENFIRE_PASSWORD"},
            {"name": "alice", "password_file": str(secret)},
        ],
        env={"OPENFIRE_PASSWORD": "openfire"},
    )
    with proxy.connect() as conn:
        assert conn.value("SELECT current_user") == "openfire"
    with proxy.connect("alice", database="other") as conn:
        assert conn.value("SELECT current_user") == "alice"


@pytest.mark.proxy
def test_login_timeout(make_waypost):
    proxy = make_waypost(sections={"limits": {"login_timeout": "300ms"}})
    for start in (b"", packet()[:10], packet()):
        with wire.Wire("127.0.0.1", proxy.port) as conn:
            conn.send(start)
            conn.drain()  # ends, or the socket's own timeout fails the test
    with proxy.connect() as conn:
        assert conn.value("SELECT 1") == "1"
