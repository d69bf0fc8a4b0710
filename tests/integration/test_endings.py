"""Whichever way a connection ends, the client hears why, as from PostgreSQL."""

import socket
import struct

import pytest
import waypost as waypost_process
import wire

SSL_REQUEST = struct.pack("!ii", 8, wire.SSL_REQUEST)


def first_error(messages):
    """(severity, SQLSTATE, message) of the first ErrorResponse."""
    fields = next(wire.error_fields(m.body) for m in messages if m.type == "E")
    return fields["S"], fields["C"], fields["M"]


# --- before the end of the login


@pytest.mark.parametrize("before", [b"", SSL_REQUEST], ids=["first", "behind SSLRequest"])
def test_terminate_instead_of_a_start_up_ends_without_a_word(waypost, before):
    with socket.create_connection(("127.0.0.1", waypost.port), timeout=10) as sock:
        if before:
            sock.sendall(before)
            assert sock.recv(1) == b"N"
        sock.sendall(wire.terminate())
        assert sock.recv(100) == b""


def test_terminate_instead_of_a_password(waypost):
    with wire.Wire("127.0.0.1", waypost.port) as conn:
        conn.send(wire.startup_packet({"user": "openfire", "database": "openfire"}))
        assert conn.recv().type == "R"
        conn.send(wire.terminate())
        assert first_error(conn.drain()) == ("FATAL", "08P01", "expected SASL response, got message type 88")


@pytest.mark.proxy
def test_who_never_logs_in_is_closed_as_by_postgresql(make_waypost):
    waypost = make_waypost(sections={"limits": {"login_timeout": "500ms"}})
    for said in ([], [wire.startup_packet({"user": "openfire", "database": "openfire"})]):
        with wire.Wire("127.0.0.1", waypost.port) as conn:
            conn.send(*said)
            assert [m.type for m in conn.drain()] == ["R"] * len(said)


def refused_login(waypost, **params):
    with pytest.raises(wire.ServerError) as refused:
        waypost.connect(**params)
    return refused.value.fields["S"], refused.value.sqlstate


@pytest.mark.proxy
def test_a_login_that_no_primary_can_be_asked_about_is_told_so(cluster):
    nowhere = [{"name": "pg0", "host": "127.0.0.1", "port": waypost_process.free_port()}]
    waypost = waypost_process.Waypost(cluster, servers=nowhere, sections={"pool": {"query_wait_timeout": "1s"}})
    try:
        waypost.start(wait=False)
        waypost_process.eventually(lambda: listens(waypost.port), what="listening")
        assert refused_login(waypost) == ("FATAL", "57P03")
        assert waypost.metric("waypost_client_connections_total", outcome="timeout") == 1
    finally:
        waypost.close()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.proxy
def test_a_login_for_which_the_primary_has_no_place_is_told_so(make_waypost):
    waypost = make_waypost(sections={"pool": {"query_wait_timeout": "1s"}, "server": {"max_connections": 1}})
    with waypost.connect() as conn:
        conn.rows("BEGIN")
        conn.rows("SELECT txid_current()")  # holds the only place
        assert refused_login(waypost, application_name="another") == ("FATAL", "53300")
