"""Users that stand in no file: the servers are asked for their verifiers, and the key that a client shows logs in to them."""

import contextlib
import re
import threading
import time

import psycopg
import pytest
import test_upgrade
import wire
from waypost import eventually

pytestmark = pytest.mark.proxy

# As docs/security.md has it.
FUNCTION = """
CREATE ROLE waypost_auth LOGIN PASSWORD 'asks' CONNECTION LIMIT 5;
CREATE SCHEMA waypost;
CREATE FUNCTION waypost.verifier_of(user_name text, OUT name name, OUT verifier text) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT rolname, rolpassword FROM pg_authid
  WHERE rolname = user_name AND rolcanlogin AND NOT rolsuper AND (rolvaliduntil IS NULL OR rolvaliduntil > now())
$$;
REVOKE ALL ON FUNCTION waypost.verifier_of FROM PUBLIC;
GRANT USAGE ON SCHEMA waypost TO waypost_auth;
GRANT EXECUTE ON FUNCTION waypost.verifier_of TO waypost_auth;
"""
AUTH = {"query_user": "waypost_auth", "query_password": "asks", "auth_query": "SELECT name, verifier FROM waypost.verifier_of($1)"}


@pytest.fixture(scope="module")
def asked(cluster):
    cluster.sql(FUNCTION, database="postgres")
    yield
    cluster.sql("DROP SCHEMA waypost CASCADE; DROP ROLE waypost_auth", database="postgres")


@pytest.fixture
def proxy(asked, make_waypost):
    """Nobody stands in its file."""
    return make_waypost(users=[], sections={"auth": AUTH})


@pytest.fixture
def role(cluster):
    """Makes roles that are gone after the test."""
    made = []

    def create(name, options=""):
        cluster.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{name}' {options}", database="postgres")
        made.append(name)
        return name

    yield create
    for name in made:
        cluster.terminate(f"usename = '{name}'")
        cluster.sql(f"DROP ROLE IF EXISTS {name}", database="postgres")


def refusal(proxy, user, password=None):
    """The SQLSTATE of a log-in; None: it went well."""
    try:
        with proxy.connect(user, password or user) as conn:
            assert conn.value("SELECT current_user") == user
        return None
    except wire.ServerError as error:
        return error.sqlstate


def within_a_second(proxy, user, expected, password=None):
    eventually(lambda: refusal(proxy, user, password) == expected, 1.0, f"{user}: {expected}")


def test_no_password_stands_in_any_file(cluster, proxy, role):
    user = role("pass_through")
    with proxy.connect(user) as conn:
        assert conn.value("SELECT current_user") == user
        # On a server that has not seen it before, too.
        conn.rows("BEGIN READ ONLY")
        assert conn.value("SELECT current_user") == user
        conn.rows("COMMIT")
    assert user not in proxy.config.read_text()
    assert refusal(proxy, user, "wrong") == "28P01"
    info = f"host=127.0.0.1 port={proxy.port} user={user} password={user} dbname=openfire"
    with psycopg.connect(info) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (user,)


def test_what_changes_in_postgresql_counts_within_a_second(cluster, proxy, role):
    assert refusal(proxy, "came_later") == "28P01"
    user = role("came_later")
    within_a_second(proxy, user, None)
    cluster.sql(f"ALTER ROLE {user} PASSWORD 'another'", database="postgres")
    within_a_second(proxy, user, None, "another")
    assert refusal(proxy, user) == "28P01"
    for change, back in (("NOLOGIN", "LOGIN"), ("VALID UNTIL '2001-01-01'", "VALID UNTIL 'infinity'"), ("PASSWORD NULL", "")):
        cluster.sql(f"ALTER ROLE {user} {change}", database="postgres")
        within_a_second(proxy, user, "28P01", "another")
        cluster.sql(f"ALTER ROLE {user} {back} PASSWORD 'another'", database="postgres")
        within_a_second(proxy, user, None, "another")
    cluster.sql(f"DROP ROLE {user}", database="postgres")
    within_a_second(proxy, user, "28P01", "another")


def test_a_connection_of_a_role_that_is_gone_is_nobody_elses(cluster, proxy, role):
    user = role("twice")
    with proxy.connect(user) as conn:
        before = conn.value("SELECT set_config('a.b', current_user::regrole::oid::text, true)")
    cluster.sql(f"DROP ROLE {user}", database="postgres")
    role(user)
    time.sleep(0.6)
    for _ in range(3):
        with proxy.connect(user) as conn:
            after = conn.value("SELECT set_config('a.b', current_user::regrole::oid::text, true)")
        assert after != before


def test_nobody_learns_who_there_is(cluster, proxy, role):
    """The first answer has the same form for all, the salt of a name is always the same, and the time does not tell."""
    role("there")

    def salt(user):
        with wire.Wire("127.0.0.1", proxy.port) as conn:
            conn.send(wire.startup_packet({"user": user, "database": "openfire"}))
            assert conn.recv().type == "R"
            first = b"n,,n=,r=abc"
            conn.send(wire.message("p", wire.cstr("SCRAM-SHA-256") + len(first).to_bytes(4, "big") + first))
            return re.fullmatch(rb"r=abc[^,]+,s=([^,]{24}),i=4096", conn.recv().body[4:])[1]

    assert salt("there") == salt("there") and salt("nobody") == salt("nobody")
    assert salt("nobody") != salt("nobody_else") and salt("nobody") != salt("there")

    def seconds(name):
        start = time.perf_counter()
        salt(name)
        return time.perf_counter() - start

    # Each is asked for: the last question about it is too old. By turns, so that what else the machine does falls on both.
    for i in range(30):
        role(f"timed_{i}")
    times = [(seconds(f"timed_{i}"), seconds(f"not_{i}")) for i in range(30)]
    there, not_there = (sorted(column)[15] for column in zip(*times))
    assert 0.25 < there / not_there < 4, (there, not_there)


def test_nothing_of_a_client_reaches_the_question(cluster, proxy, role):
    """CVE-2025-12819: a search_path from the start-up packet under which auth_query finds another function."""
    user = role("sly", "CREATEDB")
    cluster.sql(f"CREATE SCHEMA evil AUTHORIZATION {user}", database="postgres")
    evil = ("CREATE FUNCTION evil.equals(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true'; "
            "CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.equals);")  # fmt: skip
    cluster.sql(evil, database="postgres")
    try:
        for params in ({"search_path": "evil,pg_catalog"}, {"options": "-c search_path=evil,pg_catalog -c role=postgres"}):
            with pytest.raises(wire.ServerError) as refused, proxy.connect("no_such_user", "sly", "postgres", **params):
                pass
            assert refused.value.sqlstate == "28P01"
        for name in ("sly' OR 'a'='a", 'sly"; DROP ROLE sly; --', "\\", "%", "x" * 300, "\u00e4", "sly\n"):
            assert refusal(proxy, name, "sly") == "28P01", name
        with wire.Wire("127.0.0.1", proxy.port) as conn:  # no UTF-8
            conn.send(wire.startup_packet({"user": b"\xff\xfe", "database": "openfire"}))
            assert conn.recv().type == "R"
        assert refusal(proxy, user) is None
    finally:
        cluster.sql("DROP SCHEMA evil CASCADE", database="postgres")


def test_the_role_that_asks_and_superusers_come_in_by_their_own_passwords_only(proxy):
    assert refusal(proxy, "postgres", "secret") == "28P01"  # the function leaves superusers out
    assert refusal(proxy, "waypost_auth", "asks") is None
    assert refusal(proxy, "waypost_auth", "") == "28P01"


def test_without_a_server_to_ask_a_log_in_waits(cluster, asked, make_waypost, role):
    user = role("patient")
    proxy = make_waypost(users=[], sections={"auth": AUTH, "limits": {"login_timeout": "20s"}})
    cluster.sql("ALTER ROLE waypost_auth NOLOGIN", database="postgres")
    cluster.terminate("usename = 'waypost_auth'")
    came = []
    waits = threading.Thread(target=lambda: came.append(refusal(proxy, user)))
    try:
        waits.start()
        eventually(lambda: "auth_query_failed" in proxy.log(), 5, "said")
        time.sleep(0.5)
        assert not came
    finally:
        cluster.sql("ALTER ROLE waypost_auth LOGIN", database="postgres")
    waits.join(10)
    assert came == [None]
    assert "asks" not in proxy.log()


def test_keys_go_along_when_a_process_takes_the_place_of_another(proxy, role):
    user = role("moved")
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(proxy.connect(user)) for _ in range(3)]
        assert conns[0].value("SELECT current_user") == user
        test_upgrade.upgrade(proxy)
        for conn in conns:
            assert conn.value("SELECT current_user") == user


def test_the_question_is_in_force_after_a_reload(cluster, asked, make_waypost, role):
    user = role("reloaded")
    proxy = make_waypost()
    assert refusal(proxy, user) == "28P01"
    proxy.sections = {"auth": AUTH}
    proxy.write_config()
    proxy.hangup()
    eventually(lambda: refusal(proxy, user) is None, 5, "the question is in force")
    assert refusal(proxy, "openfire") is None  # of the file
    proxy.sections = {}
    proxy.write_config()
    proxy.hangup()
    eventually(lambda: refusal(proxy, user) == "28P01", 5, "it is not any more")
