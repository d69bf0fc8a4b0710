"""A replica that does not let a user in: his reads run elsewhere, and why is for the administrator to see."""

import contextlib
import json

import pytest
from cluster import REPLICAS, new_marker
from waypost import eventually

pytestmark = [pytest.mark.proxy, pytest.mark.majors]


@contextlib.contextmanager
def refused(cluster, user, *names):
    """By the pg_hba.conf of these servers."""
    before = {}
    for name in names:
        hba = cluster.dir / name / "pg_hba.conf"
        before[hba] = hba.read_text()
        hba.write_text(f"host all {user} all reject\n{before[hba]}")
        cluster.sql("SELECT pg_reload_conf()", server=name)
    try:
        yield
    finally:
        for hba, text in before.items():
            hba.write_text(text)
            cluster.sql("SELECT pg_reload_conf()", server=hba.parent.name)


def listed(proxy):
    return {server["name"]: server for server in json.loads(proxy.get("/api/v1/servers")[1])["servers"]}


def test_reads_run_elsewhere_and_the_reason_is_shown(cluster, make_waypost):
    with refused(cluster, "alice", *REPLICAS):
        users = [{"name": name, "password": name} for name in ("alice", "openfire")]
        proxy = make_waypost(users=users, wait_for_split=True)
        with proxy.connect("alice", database="openfire") as conn:
            for _ in range(8):
                assert conn.value("SELECT count(*) > 0 FROM pg_class") == "t"
        for name in REPLICAS:
            (refusal,) = listed(proxy)[name]["refuses"]
            assert (refusal["database"], refusal["user"]) == ("openfire", "alice") and "pg_hba.conf" in refusal["error"]
        assert "alice" in eventually(lambda: "pg_hba.conf" in (said := proxy.get("/readyz?verbose")[1]) and said, 10, "told")
        lines = [line for line in proxy.log_path.read_text().splitlines() if "server_login_failed" in line]
        assert lines and all("pg_hba.conf" in line for line in lines)
        assert len(lines) < 8 * len(REPLICAS)  # it is not tried for each read
        marker = new_marker()
        with proxy.connect() as other:  # nobody else is concerned
            other.rows(f"SELECT count(*) FROM probe_me /* {marker} */")
        assert cluster.where(marker) in REPLICAS


def test_one_that_refuses_leaves_the_reads_to_the_other(cluster, make_waypost):
    with refused(cluster, "alice", "pg1"):
        users = [{"name": name, "password": name} for name in ("alice", "openfire")]
        proxy = make_waypost(users=users, wait_for_split=True)
        marker = new_marker()
        with proxy.connect("alice", database="openfire") as conn:
            for _ in range(8):
                conn.rows("SELECT count(*) FROM pg_class")
            for _ in range(8):
                conn.rows(f"SELECT count(*) FROM pg_class /* {marker} */")
        assert set(cluster.runs(marker)) == {"pg2"}


def test_the_primarys_refusal_is_the_clients_to_hear(cluster, make_waypost):
    with refused(cluster, "alice", "pg0"):
        proxy = make_waypost(users=[{"name": "alice", "password": "alice"}])
        with pytest.raises(Exception, match="pg_hba.conf"):
            proxy.connect("alice", database="openfire")
