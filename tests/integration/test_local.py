"""[listen] socket: clients that come by a Unix socket."""

import getpass
import os
import socket
import stat
import struct
import subprocess

import certificates
import pytest
import wire
from test_upgrade import start_upgrade
from waypost import BINARY, Waypost, eventually

pytestmark = pytest.mark.proxy


def made_with(make_waypost, directory, hba=None, ident=None, users=None, **sections):
    auth = {}
    for name, text in (("hba_file", hba), ("ident_file", ident)):
        if text is not None:
            (directory / name).write_text(text)
            auth[name] = str(directory / name)
    listen = {"socket": str(directory), **sections.pop("listen", {})}
    return make_waypost(users=users, sections={"listen": listen, "auth": auth, **sections})


def local(made, directory, *who, **params):
    return wire.connect(made.port, *who, host=str(directory), **params)


def refusal(made, directory, *who):
    with pytest.raises(wire.ServerError) as refused:
        local(made, directory, *who).shut()
    return refused.value.sqlstate, refused.value.fields["M"]


def psql(made, directory, password, sql):
    env = {**os.environ, "PGPASSWORD": password, "PGSSLMODE": "prefer"}
    return subprocess.run(["psql", "-X", "-h", directory, "-p", str(made.port), "-U", "openfire", "-Atc", sql, "openfire"],
                          env=env, capture_output=True, text=True, timeout=60, check=False)  # fmt: skip


def test_psql_comes_by_the_socket_with_its_password(make_waypost, tmp_path):
    made = made_with(make_waypost, tmp_path)
    file = tmp_path / f".s.PGSQL.{made.port}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o777
    assert psql(made, tmp_path, "openfire", "SELECT current_user").stdout == "openfire\n"
    assert "password authentication failed" in psql(made, tmp_path, "wrong", "SELECT 1").stderr
    with local(made, tmp_path) as conn:
        assert [row["client"] for row in made.report("/api/v1/sessions")["sessions"]] == ["[local]"]
        conn.send(wire.query("SELECT pg_sleep(60)"))
        errors = [wire.error_fields(msg.body)["C"] for msg in conn.until_cancelled() if msg.type == "E"]
        assert errors == ["57014"]
    assert made.stop() == 0
    assert not file.exists()


def test_tls_is_for_the_network_alone(make_waypost, tmp_path):
    cert, key = certificates.Authority(tmp_path).issue("server")
    tls = {"tls": "require", "tls_cert": str(cert), "tls_key": str(key), "socket_mode": "0770"}
    made = made_with(make_waypost, tmp_path, listen=tls)
    assert stat.S_IMODE((tmp_path / f".s.PGSQL.{made.port}").stat().st_mode) == 0o770
    assert psql(made, tmp_path, "openfire", "SELECT 1").stdout == "1\n"
    with wire.Wire(str(tmp_path), made.port) as conn:
        conn.send(wire.packet(struct.pack("!i", wire.SSL_REQUEST)))
        assert conn.read(1) == b"N"
        conn.login("openfire", "openfire")
        assert conn.value("SELECT 1") == "1"


def test_a_file_is_replaced_only_if_nobody_listens_there(cluster, make_waypost, tmp_path):
    made = made_with(make_waypost, tmp_path)
    file = tmp_path / f".s.PGSQL.{made.port}"
    second = Waypost(cluster, sections={"listen": {"address": "127.0.0.2", "port": made.port, "socket": str(tmp_path)}})
    second.write_config()
    refused = subprocess.run([BINARY, "--config", second.config], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0 and f"cannot listen on {file}: somebody listens there" in refused.stdout + refused.stderr
    second.close()
    with local(made, tmp_path) as conn:
        assert conn.value("SELECT 1") == "1"
    assert made.stop() == 0
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(file))
    made.start()
    with local(made, tmp_path) as conn:
        assert conn.value("SELECT 1") == "1"
    assert made.stop() == 0
    file.write_text("mine")
    refused = subprocess.run([BINARY, "--config", made.config], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0 and "the file that stands there is not a socket" in refused.stdout + refused.stderr
    assert file.read_text() == "mine"


def test_an_upgrade_hands_the_socket_over(make_waypost, tmp_path):
    made = made_with(make_waypost, tmp_path)
    file = tmp_path / f".s.PGSQL.{made.port}"
    with local(made, tmp_path) as conn:
        assert conn.value("SELECT 1") == "1"
        old, _ = start_upgrade(made)
        assert old.wait(60) == 0
        assert conn.value("SELECT 2") == "2"
        with local(made, tmp_path) as newcomer:
            assert newcomer.value("SELECT 3") == "3"
    made.stop()
    assert not file.exists()


def test_those_who_come_by_the_socket_count_as_one_address(make_waypost, tmp_path):
    made = made_with(make_waypost, tmp_path, limits={"max_clients_per_address": 1})
    with local(made, tmp_path):
        assert refusal(made, tmp_path) == ("53300", "too many connections from address [local]")
        with made.connect() as conn:
            assert conn.value("SELECT 1") == "1"
        made.sections["limits"]["unlimited_addresses"] = ["local"]
        made.write_config()
        made.hangup()
        made.logged("reloaded")
        with local(made, tmp_path) as conn:
            assert conn.value("SELECT 1") == "1"


def test_who_is_let_in_without_a_password_needs_one_for_the_servers(cluster, make_waypost, tmp_path):
    [[verifier]] = cluster.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'openfire'", database="postgres")
    made = made_with(make_waypost, tmp_path, hba="local all all peer map=m\nhost all all all scram-sha-256\n",
                     ident=f"m {getpass.getuser()} openfire\nm {getpass.getuser()} stranger\n",
                     users=[{"name": "openfire", "scram": verifier}])  # fmt: skip
    assert refusal(made, tmp_path, "stranger") == ("28000", 'role "stranger" does not exist')
    sqlstate, message = refusal(made, tmp_path)
    assert sqlstate == "28000" and message.startswith("Waypost has no password or key yet to log in to server"), message
    with made.connect() as conn:  # its proof is the key
        assert conn.value("SELECT 1") == "1"
    eventually(lambda: comes_in(made, tmp_path), what="it comes in without a password")


def comes_in(made, directory):
    try:
        with local(made, directory, "openfire", "no password") as conn:
            return conn.value("SELECT current_user") == "openfire"
    except wire.ServerError:
        return False
