"""How many may come, by database and by address; how fast; and what a wrong password costs."""

import contextlib
import struct
import time

import certificates
import pytest
import wire
from waypost import eventually

pytestmark = pytest.mark.proxy


def refusal(proxy, **how):
    with pytest.raises(wire.ServerError) as refused:
        proxy.connect(**how)
    return refused.value


def comes_in(proxy, **how):
    try:
        with proxy.connect(**how) as conn:
            return conn.value("SELECT 1") == "1"
    except wire.ServerError:
        return False


def test_clients_of_a_database(make_waypost):
    proxy = make_waypost(databases=[{"name": "other", "max_clients": 2}], sections={"top": {"workers": 2}})
    with proxy.connect(database="other") as one:
        with proxy.connect(database="other"), proxy.connect() as elsewhere:
            refused = refusal(proxy, database="other")
            assert (refused.sqlstate, refused.fields["M"]) == ("53300", 'too many connections for database "other"')
            assert one.value("SELECT 1") == elsewhere.value("SELECT 1") == "1"
        eventually(lambda: comes_in(proxy, database="other"), what="the place of one that left")


def test_clients_of_an_address(make_waypost):
    limits = {"max_clients_per_address": 2, "unlimited_addresses": ["127.0.0.2", "10.0.0.0/8"]}
    proxy = make_waypost(sections={"limits": limits, "listen": {"address": "0.0.0.0"}})
    with contextlib.ExitStack() as held:
        # Its readiness was asked for by others; those have left.
        eventually(lambda: comes_in(proxy), what="a place")
        for _ in range(2):
            eventually(lambda: held.enter_context(proxy.connect()), what="a place")
        refused = refusal(proxy)
        assert (refused.sqlstate, refused.fields["M"]) == ("53300", "too many connections from address 127.0.0.1")
        assert "max_clients_per_address" in refused.fields["D"]
        for source in ("127.0.0.2", "127.0.0.3"):
            with wire.connect(proxy.port, source=source) as other, wire.connect(proxy.port, source=source):
                assert other.value("SELECT 1") == "1"
        with wire.connect(proxy.port, source="127.0.0.2"), wire.connect(proxy.port, source="127.0.0.2"):
            with wire.connect(proxy.port, source="127.0.0.2") as third:
                assert third.value("SELECT 1") == "1"


def test_log_ins_of_an_address(make_waypost):
    proxy = make_waypost(sections={"limits": {"logins_per_address": 5}, "listen": {"address": "0.0.0.0"}})
    refused = None
    began, came = time.monotonic(), 0
    for _ in range(200):
        try:
            proxy.connect().shut()
            came += 1
        except wire.ServerError as error:
            refused = error
            break
    assert came <= 5 + 5 * (time.monotonic() - began) + 1
    assert (refused.sqlstate, refused.fields["M"]) == ("53300", "too many log-ins from address 127.0.0.1")
    assert "5 a second" in refused.fields["D"]
    with wire.connect(proxy.port, source="127.0.0.3") as other:
        assert other.value("SELECT 1") == "1"
    eventually(lambda: comes_in(proxy), what="a log-in of the next second")


@pytest.mark.parametrize("begins", ["by SSLRequest", "at once"])
def test_log_ins_of_an_address_that_never_get_beyond_tls(make_waypost, tmp_path, begins):
    cert, key = certificates.Authority(tmp_path).issue("server")
    proxy = make_waypost(sections={"limits": {"logins_per_address": 1},
                                   "listen": {"tls": "allow", "tls_cert": str(cert), "tls_key": str(key)}})  # fmt: skip
    by_request = begins == "by SSLRequest"

    def answer():
        conn = wire.Wire("127.0.0.1", proxy.port)
        with conn:
            # A handshake message that there is not: it gets an alert, if it gets as far as TLS.
            conn.send(wire.packet(struct.pack("!i", wire.SSL_REQUEST)) if by_request else b"\x16\x03\x01\x00\x04\x63\x00\x00\x00")
            return conn.read(1)

    assert b"E" in [answer() for _ in range(5)]
    eventually(lambda: "too many log-ins from address 127.0.0.1" in proxy.log(), what="a line in the log")


@pytest.mark.parametrize("user", ["openfire", "nobody"])
def test_a_wrong_password_takes_its_time(make_waypost, user):
    proxy = make_waypost(sections={"limits": {"failed_login_delay": "400ms"}})
    began = time.monotonic()
    refused = refusal(proxy, user=user, password="wrong")
    assert (refused.sqlstate, refused.fields["M"]) == ("28P01", f'password authentication failed for user "{user}"')
    assert time.monotonic() - began > 0.4
    assert comes_in(proxy)
