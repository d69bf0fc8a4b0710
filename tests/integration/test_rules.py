"""[[rule]], comment hints, and policies by listener and application: seen on the servers and in what clients are told."""

import time

import pytest
import wire
from cluster import REPLICAS, new_marker
from waypost import eventually, free_port, toml_table

pytestmark = pytest.mark.proxy

FINGERPRINT = "e721f35a52a503ba"  # of SELECT * FROM secret WHERE id = ?, as libpg_query has it
DENIED = {"C": "42501", "M": "no secrets here"}


def rules(*tables):
    return "\n" + "\n".join(toml_table("[[rule]]", table) for table in tables)


RULES = rules(
    {"name": "exempt", "application_name": "auditor*"},
    {"name": "secrets", "table": ["secret", "hidden.*"], "route": "deny", "message": "no secrets here"},
    {"name": "no-sleep", "function": "pg_sleep", "user": "openfire", "timeout": "300ms"},
    {"name": "fresh", "table": "fresh", "route": "primary"},
    {"name": "spread", "hint": "spread", "consistency": "eventual"},
)


@pytest.fixture(scope="module")
def tables(cluster):
    cluster.sql("CREATE TABLE secret (id int); INSERT INTO secret VALUES (1); CREATE TABLE fresh (id int)", user="openfire")
    yield
    cluster.sql("DROP TABLE secret, fresh", user="openfire")


@pytest.fixture
def proxy(make_waypost, tables):
    return make_waypost(wait_for_split=True, raw=RULES, sections={"routing": {"comment_hints": True}})


def error(messages):
    """The fields of the one error among `messages`."""
    errors = [wire.error_fields(m.body) for m in messages if m.type == "E"]
    assert len(errors) == 1, messages
    return errors[0]


def denied(messages):
    fields = error(messages)
    return {key: fields[key] for key in DENIED} == DENIED and "secrets" in fields["D"]


def status(messages):
    return messages[-1].body.decode() if messages[-1].type == "Z" else None


def test_the_type_of_a_tables_rows_is_its_name(proxy):
    with proxy.connect() as conn:
        for sql in ("SELECT NULL::secret", "SELECT NULL::public.secret[]", "CREATE FUNCTION f() RETURNS secret LANGUAGE sql AS ''"):
            assert denied(conn.simple(sql)), sql
            assert conn.value("EXPLAIN ROUTE " + sql) is not None
        conn.send(wire.parse("", "SELECT $1::secret"), wire.sync())
        assert denied(conn.until())
        assert conn.rows("SELECT 'secret'::text, NULL::probe_me") == [["secret", None]]


def test_denied_by_simple_query(proxy, cluster):
    with proxy.connect() as conn:
        for sql in ("SELECT * FROM secret", "DELETE FROM public.secret", "SELECT 1; SELECT * FROM hidden.x",
                    "INSERT INTO probe_me VALUES (5001, 'x'); TABLE secret", "PREPARE p AS TABLE secret",
                    "TRUNCATE secret", "DROP TABLE fresh, secret", "ALTER TABLE secret ADD x int",
                    "CREATE VIEW v AS TABLE secret", "COMMENT ON TABLE secret IS ''"):  # fmt: skip
            messages = conn.simple(sql)
            assert denied(messages) and status(messages) == "I", sql
        assert conn.rows("SELECT 1") == [["1"]]
    assert cluster.sql("SELECT count(*) FROM probe_me WHERE id = 5001") == [["0"]]
    proxy.counted(10, "waypost_rule_matches_total", rule="secrets")
    proxy.counted(10, "waypost_queries_total", target="refused", reason="refused")


def test_denied_in_a_block(proxy, cluster):
    with proxy.connect() as conn:
        for begin in ("BEGIN", "BEGIN; INSERT INTO probe_me VALUES (5002, 'x')", "BEGIN READ ONLY; TABLE fresh"):
            conn.simple(begin)
            messages = conn.simple("SELECT * FROM secret")
            assert denied(messages) and status(messages) == "E"
            again = conn.simple("SELECT * FROM secret")
            assert error(again)["C"] == "25P02" and status(again) == "E"
            assert status(conn.simple("COMMIT")) == "I"
        conn.simple("BEGIN")
        conn.simple("INSERT INTO probe_me VALUES (5003, 'kept')")
        conn.simple("SAVEPOINT s")
        assert denied(conn.simple("TABLE secret"))
        conn.simple("ROLLBACK TO s")
        assert status(conn.simple("COMMIT")) == "I"
    assert cluster.sql("DELETE FROM probe_me WHERE id IN (5002, 5003) RETURNING id") == [["5003"]]


def test_denied_in_the_extended_protocol(proxy, cluster):
    with proxy.connect() as conn:
        conn.send(wire.parse("", "SELECT * FROM secret"), wire.bind("", ""), wire.describe("P", ""), wire.execute(), wire.sync())
        messages = conn.until("Z")
        assert denied(messages) and [m.type for m in messages] == ["E", "Z"]
        # What stands before it in the batch is answered, and undone; what stands behind is skipped.
        conn.send(
            wire.parse("", "INSERT INTO probe_me VALUES (5004, 'x')"), wire.bind("", ""), wire.execute(),
            wire.parse("p", "DELETE FROM secret"), wire.bind("", "p"), wire.execute(),
            wire.parse("", "INSERT INTO probe_me VALUES (5005, 'x')"), wire.bind("", ""), wire.execute(), wire.sync(),
        )  # fmt: skip
        messages = conn.until("Z")
        assert denied(messages) and [m.type for m in messages] == ["1", "2", "C", "E", "Z"]
        assert status(messages) == "I"
        conn.send(wire.bind("", "p"), wire.sync())
        assert error(conn.until("Z"))["C"] == "26000"
        # A batch whose end is not in sight.
        conn.send(wire.parse("", "SELECT 7"), wire.bind("", ""), wire.execute(), wire.flush())
        conn.until("C")
        conn.send(wire.parse("", "TABLE secret"), wire.flush())
        messages = conn.until("E")
        assert denied(messages)
        conn.send(wire.sync())
        assert [m.type for m in conn.until("Z")] == ["Z"]
        assert conn.rows("SELECT 1") == [["1"]]
    assert cluster.sql("SELECT count(*) FROM probe_me WHERE id IN (5004, 5005)") == [["0"]]


def test_denied_once_it_was_prepared(proxy):
    """Whoever may, prepares it; then application_name changes, and with it what may run."""
    with proxy.connect(application_name="auditor 7") as conn:
        assert conn.rows("SELECT * FROM secret") == [["1"]]
        conn.send(wire.parse("p", "SELECT * FROM secret"), wire.sync())
        assert [m.type for m in conn.until("Z")] == ["1", "Z"]
        conn.rows("SET application_name = 'app'")
        conn.send(wire.bind("", "p"), wire.execute(), wire.sync())
        messages = conn.until("Z")
        assert denied(messages) and [m.type for m in messages] == ["E", "Z"]
        assert denied(conn.simple("SELECT * FROM secret"))
        conn.rows("SET application_name = 'auditor'")
        conn.send(wire.bind("", "p"), wire.execute(), wire.sync())
        assert wire.rows(conn.until("Z")) == [["1"]]


def test_timeout(proxy):
    with proxy.connect() as conn:
        begun = time.monotonic()
        messages = conn.simple("SELECT pg_sleep(20)")
        assert error(messages)["C"] == "57014" and "statement timeout" in error(messages)["M"]
        assert 0.25 < time.monotonic() - begun < 5
        # The next statement is not hit by what was on its way.
        for _ in range(20):
            assert conn.rows("SELECT 1") == [["1"]]
        assert conn.rows("SELECT 1 FROM pg_sleep(0.01)") == [["1"]]
        conn.simple("BEGIN")
        assert status(conn.simple("SELECT pg_sleep(20)")) == "E"
        assert status(conn.simple("ROLLBACK")) == "I"
        conn.simple("BEGIN")
        conn.simple("INSERT INTO probe_me VALUES (5006, 'x')")
        conn.simple("SAVEPOINT s")
        for _ in range(3):
            assert error(conn.simple("SELECT pg_sleep(20)"))["C"] == "57014"
            assert status(conn.simple("ROLLBACK TO s")) == "T"
        conn.send(wire.parse("", "SELECT pg_sleep(20)"), wire.bind("", ""), wire.execute(), wire.sync())
        assert error(conn.until("Z"))["C"] == "57014"
        conn.simple("ROLLBACK")


def test_primary_and_hints(proxy, cluster):
    with proxy.connect() as conn:

        def where(sql):
            marker = new_marker()
            conn.rows(sql.replace("@", marker))
            return cluster.where(marker)

        assert where("SELECT '@' FROM probe_me LIMIT 1") in REPLICAS
        assert where("SELECT '@' FROM fresh") == "pg0"
        assert where("SELECT '@' FROM probe_me p, fresh") == "pg0"
        assert where("SELECT 1; SELECT '@' FROM fresh") == "pg0"
        assert where("/*NO LOAD BALANCE*/ SELECT '@' FROM probe_me") == "pg0"
        assert where("/* pgdog_role: primary */ SELECT '@' FROM probe_me") == "pg0"
        assert where("SELECT '@' FROM probe_me /* waypost: primary */") == "pg0"
        assert where("SELECT '@ /* waypost: primary */' FROM probe_me") in REPLICAS
        assert where("/* waypost: replica */ SELECT '@' FROM probe_me") in REPLICAS
        # Never a write.
        assert where("/* waypost: replica */ UPDATE probe_me SET t = t WHERE t = '@'") == "pg0"
        assert where("/* waypost: eventual */ SELECT '@' FROM probe_me FOR UPDATE") == "pg0"
    proxy.counted(3, "waypost_queries_total", target="primary", reason="rule")
    proxy.counted(3, "waypost_queries_total", target="primary", reason="hint")
    assert proxy.route("SELECT * FROM fresh")["reason"] == "rule"
    assert "rule fresh: primary" in proxy.route("SELECT * FROM fresh")["path"]
    answer = proxy.route("SELECT * FROM secret")
    assert (answer["target"], answer["reason"]) == ("refused", "refused") and "rule secrets: deny" in answer["path"]
    with proxy.connect() as conn:
        (row,) = conn.rows("EXPLAIN ROUTE SELECT * FROM fresh")
        assert row[3] == "primary" and row[5] == "rule" and "rule fresh: primary" in row[6]
        (row,) = conn.rows("EXPLAIN ROUTE TABLE secret")
        assert row[3] == "refused" and "rule secrets: deny" in row[6]


def test_hints_do_not_count_by_default(waypost, cluster):
    marker = new_marker()
    with waypost.connect() as conn:
        conn.rows(f"/*NO LOAD BALANCE*/ SELECT '{marker}' FROM probe_me LIMIT 1")
    assert cluster.where(marker) in REPLICAS


def test_policy_by_listener_application_and_rule(make_waypost, cluster, tables):
    """The general policy keeps all on the primary; who is given another reads from replicas."""
    reports = free_port()
    made = make_waypost(
        raw='\n[[application]]\nname = "nightly"\nconsistency = "eventual"\n'
        + rules({"name": "by-rule", "user": "alice", "route": "replica"}, {"name": "by-listener", "listener": "reports", "table": "fresh", "route": "primary"}),
        sections={"listen": [{}, {"name": "reports", "port": reports, "consistency": "strict"}], "routing": {"consistency": "primary"}},
        users=[{"name": "openfire", "password": "openfire"}, {"name": "alice", "password": "alice"}],
    )

    def target(port, sql="SELECT '@' FROM probe_me LIMIT 1", user="openfire", database="openfire", **params):
        marker = new_marker()
        with wire.connect(port, user, user, database, **params) as conn:
            conn.rows(sql.replace("@", marker))
        return cluster.where(marker)

    eventually(lambda: target(reports) in REPLICAS, what="a read on a replica by the listener's policy")
    assert target(made.port) == "pg0"
    assert target(made.port, application_name="nightly") in REPLICAS
    assert target(reports, "SELECT '@' FROM fresh") == "pg0"
    with made.connect() as conn:
        marker, after = new_marker(), new_marker()
        conn.rows("SET application_name = 'nightly'")
        conn.rows(f"SELECT '{marker}' FROM probe_me LIMIT 1")
        conn.rows("RESET application_name")
        conn.rows(f"SELECT '{after}' FROM probe_me LIMIT 1")
        assert cluster.where(marker) in REPLICAS and cluster.where(after) == "pg0"
    with made.connect("alice", database="other") as conn:
        eventually(lambda: conn.rows("EXPLAIN ROUTE SELECT * FROM probe_me")[0][3] == "replica", what="the rule's replica")


def test_fingerprint_and_reload(make_waypost, tables):
    made = make_waypost(wait_for_split=True)
    with made.connect() as conn:
        assert conn.rows("SELECT * FROM secret WHERE id = 1") == [["1"]]
        conn.send(wire.parse("p", "SELECT * FROM secret WHERE id = $1"), wire.sync())
        conn.until("Z")
        made.config.write_text(
            made.config.read_text() + rules({"name": "one", "fingerprint": FINGERPRINT, "route": "deny", "message": DENIED["M"]})
        )
        made.hangup()
        eventually(lambda: [m for m in conn.simple("SELECT * FROM secret WHERE id = 3") if m.type == "E"], what="the new rule")
        assert error(conn.simple("select * from SECRET where id=8"))["C"] == "42501"
        assert error(conn.simple("SELECT 1; SELECT * FROM secret WHERE id = 1"))["C"] == "42501"
        conn.send(wire.bind("", "p", ["1"]), wire.execute(), wire.sync())
        assert error(conn.until("Z"))["C"] == "42501"
        assert conn.rows("SELECT id FROM secret WHERE id = 1") == [["1"]]
        made.config.write_text(made.config.read_text().replace("deny", "dny"))
        made.hangup()
        eventually(lambda: "reload_failed" in made.log(), what="the refusal of a wrong file")
        made.logged(f"{made.config}:", "rule.route")
        assert error(conn.simple("select * from SECRET where id=8"))["C"] == "42501"
        made.write_config()
        made.hangup()
        eventually(lambda: wire.rows(conn.simple("SELECT * FROM secret WHERE id = 1")) == [["1"]], what="no rule")


