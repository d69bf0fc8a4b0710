"""[[database]] server_name and user: databases that clients know by another name, and users who become another."""

import subprocess

import pytest
import waypost as waypost_process
import wire
from test_console import console, rows
from waypost import eventually

pytestmark = pytest.mark.proxy

USERS = [{"name": name, "password": name} for name in ("openfire", "alice", "chief")]
DATABASES = [
    {"name": "app", "server_name": "openfire", "max_clients": 2},
    {"name": "shared", "server_name": "postgres", "user": "openfire"},
    {"name": "bench", "user": "openfire"},
]


@pytest.fixture
def proxy(make_waypost):
    return make_waypost(users=USERS, databases=DATABASES, sections={"admin": {"console_admins": ["chief"]}}, wait_for_split=True)


def whoever(conn):
    return conn.rows("SELECT current_database(), session_user, current_user")[0]


def test_a_database_has_another_name_for_clients(proxy):
    with proxy.connect("alice", "alice", "app") as conn, proxy.connect("openfire", "openfire", "openfire") as plain:
        assert whoever(conn) == ["openfire", "alice", "alice"]
        # What is written here is seen there, at once: both are the same database for all that Waypost keeps of one.
        for turn in range(20):
            plain.rows(f"DROP TABLE IF EXISTS other_name; CREATE TABLE other_name AS SELECT {turn} AS turn; GRANT SELECT ON other_name TO alice")
            assert conn.value("SELECT turn FROM other_name") == str(turn)
        plain.rows("DROP TABLE other_name")
        sessions = proxy.report("/api/v1/sessions")["sessions"]
        assert sorted((row["user"], row["database"]) for row in sessions) == [("alice", "openfire"), ("openfire", "openfire")]


def test_a_user_becomes_another(proxy):
    for database, on_servers in (("shared", "postgres"), ("bench", "bench")):
        with proxy.connect("alice", "alice", database) as conn:
            assert whoever(conn) == [on_servers, "openfire", "openfire"]
        proxy.logged("user_replaced", "user=alice", "by=openfire", f"database={on_servers}")
        # Who he is he must prove all the same.
        with pytest.raises(wire.ServerError) as refused:
            proxy.connect("alice", "openfire", database)
        assert refused.value.sqlstate == "28P01"


def test_a_reload_while_somebody_logs_in_makes_him_nobody_else(make_waypost):
    """What a log-in becomes is what the configuration said that let it in."""
    made = make_waypost(users=USERS)

    def reload():
        made.databases = [{"name": "bench", "user": "openfire"}]
        made.write_config()
        made.hangup()
        made.logged("reloaded")

    with wire.Wire("127.0.0.1", made.port) as conn:
        final = conn._scram_final
        conn._scram_final = lambda *arguments: reload() or final(*arguments)
        conn.login("alice", "alice", "bench")
        assert whoever(conn) == ["bench", "alice", "alice"]

    def becomes_another():
        with made.connect("alice", "alice", "bench") as conn:
            return whoever(conn) == ["bench", "openfire", "openfire"]

    eventually(becomes_another, what="the new configuration")


def test_where_a_statement_goes_is_told_by_either_name(proxy):
    by_alias, by_name = (proxy.route("SELECT * FROM probe_me", database=name) for name in ("app", "openfire"))
    assert by_alias["reason"] == by_name["reason"] == "read_safe"


def test_limits_and_lines_of_hba_know_the_clients_name(make_waypost, tmp_path):
    hba = tmp_path / "hba.conf"
    hba.write_text("host app all all scram-sha-256\nhost shared alice all scram-sha-256\n")
    made = make_waypost(users=USERS, databases=DATABASES, sections={"auth": {"hba_file": str(hba)}})
    with pytest.raises(wire.ServerError) as refused:
        made.connect()
    assert refused.value.sqlstate == "28000" and 'database "openfire"' in refused.value.fields["M"]
    with made.connect(database="app") as one, made.connect(database="app") as two:
        assert whoever(one) == whoever(two) == ["openfire", "openfire", "openfire"]
        with pytest.raises(wire.ServerError) as refused:
            made.connect(database="app")
        assert (refused.value.sqlstate, refused.value.fields["M"]) == ("53300", 'too many connections for database "app"')
    with made.connect("alice", "alice", "shared") as conn:
        assert whoever(conn) == ["postgres", "openfire", "openfire"]


def test_the_console_knows_both_names(proxy):
    with console(proxy) as chief:
        shown = {row["name"]: (row["database"], row["force_user"]) for row in rows(chief, "SHOW DATABASES")}
        assert shown["app"] == ("openfire", None) and shown["shared"] == ("postgres", "openfire") and shown["bench"] == ("bench", "openfire")
        for verb in ("PAUSE", "KILL", "RECONNECT"):
            with pytest.raises(Exception, match="another name of openfire"):
                chief.execute(f"{verb} app")
        chief.execute("DISABLE app")
        with pytest.raises(wire.ServerError) as refused:
            proxy.connect(database="app")
        assert refused.value.sqlstate == "55000" and 'database "app"' in refused.value.fields["M"]
        with proxy.connect() as conn:
            assert conn.value("SELECT 1") == "1"
        chief.execute("ENABLE app")
        chief.execute("DISABLE openfire")
        for name in ("app", "openfire"):
            with pytest.raises(wire.ServerError) as refused:
                proxy.connect(database=name)
            assert refused.value.sqlstate == "55000"
        chief.execute("ENABLE openfire")


def test_a_database_is_dropped_under_its_own_name(cluster, make_waypost):
    """Statements that need a database for themselves end our idle connections to it, whatever its clients call it."""
    cluster.sql("CREATE DATABASE renamed_old", database="postgres")
    made = make_waypost(users=[*USERS[:1], {"name": "postgres", "password": "secret"}],
                        databases=[{"name": "new", "server_name": "renamed_old"}])  # fmt: skip
    with made.connect("postgres", "secret", "new") as conn:
        assert conn.value("SELECT current_database()") == "renamed_old"
    with made.connect("postgres", "secret", "postgres") as conn:
        eventually(lambda: not made.report("/api/v1/sessions")["sessions"][1:], what="its client has left")
        conn.rows("DROP DATABASE renamed_old")
    assert cluster.sql("SELECT 1 FROM pg_database WHERE datname = 'renamed_old'", database="postgres") == []


def test_check_names_what_cannot_be(cluster):
    made = waypost_process.Waypost(cluster, users=USERS)
    wrong = {
        "for both": ([{"name": "app", "server_name": "openfire", "max_size": 3}], "database.max_size: found beside server_name"),
        "another name": ([{"name": "a", "server_name": "b"}, {"name": "b", "server_name": "c"}], "which is another name itself"),
        "nobody": ([{"name": "a", "user": "mallory"}], 'database.user: found "mallory", expected the name of a [[user]] with a password'),
    }
    for case, (databases, expected) in wrong.items():
        made.databases = databases
        made.write_config()
        done = subprocess.run([waypost_process.BINARY, "check", "-c", made.config], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 78 and expected in done.stderr, (case, done)
    made.close()
