"""ALTER ROLE and ALTER DATABASE ... SET: who begins after it begins with it, also on connections that a pool keeps."""

import pytest
import waypost as waypost_process
from cluster import NAMES

pytestmark = pytest.mark.proxy

ROLE = "defaulted"


@pytest.fixture
def proxy(cluster, make_waypost):
    cluster.sql(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ROLE}")
    for name in NAMES:
        waypost_process.eventually(lambda: cluster.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}'", server=name), 10, name)
    yield make_waypost(users=[{"name": user, "password": user} for user in (ROLE, "openfire")], wait_for_split=True)
    cluster.sql(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def values(proxy):
    """What sessions that begin now find: in reads, and on the primary."""
    found = set()
    for _ in range(6):
        with proxy.connect(ROLE, ROLE) as conn:
            found.add(conn.value("SELECT current_setting('work_mem')"))
            conn.rows("BEGIN")
            found.add(conn.value("SHOW work_mem"))
            conn.rows("COMMIT")
    return found


def test_through_waypost(proxy):
    assert values(proxy) == {"4MB"}
    with proxy.connect(ROLE, ROLE) as old, proxy.connect(ROLE, ROLE) as one:
        assert old.value("SHOW work_mem") == "4MB"
        one.rows(f"ALTER ROLE {ROLE} SET work_mem = '5MB'")
        assert values(proxy) == {"5MB"}
        one.rows(f"BEGIN; ALTER ROLE {ROLE} SET work_mem = '6MB'; ROLLBACK")
        assert values(proxy) == {"5MB"}
        one.rows("BEGIN")
        one.rows(f"ALTER ROLE {ROLE} SET work_mem = '7MB'")
        one.rows("COMMIT")
        assert values(proxy) == {"7MB"}
        one.rows(f"ALTER ROLE {ROLE} RESET ALL")
        assert values(proxy) == {"4MB"}


def test_what_a_client_is_told_at_its_start(proxy):
    with proxy.connect(ROLE, ROLE) as conn:
        assert conn.parameters["DateStyle"] == "ISO, MDY"
        conn.rows(f"ALTER ROLE {ROLE} SET datestyle = 'German'")
    with proxy.connect(ROLE, ROLE) as conn:
        assert conn.parameters["DateStyle"] == "German, DMY"
        assert conn.value("SELECT date '2026-11-23'") == "23.11.2026"


def test_past_waypost_it_is_found_when_the_catalogue_is_read_again(cluster, proxy):
    with proxy.connect(ROLE, ROLE) as conn:
        assert conn.value("SELECT current_setting('work_mem')") == "4MB"
    cluster.sql(f"ALTER ROLE {ROLE} SET work_mem = '9MB'")
    with proxy.connect("openfire", "openfire") as conn:
        conn.rows("CREATE VIEW read_it_again AS SELECT 1")  # so that it is read now
        conn.rows("DROP VIEW read_it_again")

    def found():
        with proxy.connect(ROLE, ROLE) as conn:
            return conn.value("SELECT current_setting('work_mem')") == "9MB"

    waypost_process.eventually(found, 10, "a new session with the new default")
