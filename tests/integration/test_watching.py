"""The admin port: metrics that Prometheus takes, health, status, and routing explained."""

import json
import subprocess

import pytest
from cluster import REPLICAS
from prometheus import scraping
from test_fence import asynchronous, replay_paused
from waypost import eventually

pytestmark = pytest.mark.proxy


def test_health(waypost):
    assert waypost.get("/healthz")[0] == 200
    assert waypost.get("/readyz")[0] == 200


def test_status_and_servers(cluster, waypost):
    status = json.loads(waypost.get("/api/v1/status")[1])
    assert isinstance(status, dict) and status
    servers = json.loads(waypost.get("/api/v1/servers")[1])
    listed = {s["name"]: s for s in (servers["servers"] if isinstance(servers, dict) else servers)}
    assert set(listed) == set(cluster.ports)
    assert listed["pg0"]["role"] == "primary"
    assert listed["pg1"]["role"] == listed["pg2"]["role"] == "replica"
    assert listed["pg1"]["sync_state"] == "sync"


def test_route_answers(waypost):
    read = waypost.route("SELECT count(*) FROM probe_me")
    assert read["target"] in ("replica", "pg1", "pg2") and read["class"] == "read" and read["reason"] == "read_safe"
    write = waypost.route("INSERT INTO probe_me VALUES (1)")
    assert write["target"] in ("primary", "pg0") and write["class"] == "write" and write["reason"] == "write"
    locking = waypost.route("SELECT * FROM probe_me FOR UPDATE")
    assert locking["target"] in ("primary", "pg0") and locking["reason"] == "lock_clause"


def test_metrics_count_what_was_done(waypost):
    def counted(**labels):
        return waypost.metric("waypost_queries_total", **labels)

    reads, writes = counted(reason="read_safe"), counted(reason="write")
    with waypost.connect() as conn:
        for _ in range(7):
            conn.rows("SELECT count(*) FROM probe_me")
        for _ in range(3):
            conn.rows("DELETE FROM probe_me WHERE false")
        eventually(lambda: counted(reason="read_safe") - reads >= 7, what="reads counted")
        eventually(lambda: counted(reason="write") - writes >= 3, what="writes counted")


@pytest.mark.parametrize(
    "word",
    ["waypost_queries_total{", "waypost_backend_queries_total{", "waypost_query_duration_seconds_bucket{",
     "waypost_server_up{", "waypost_server_role{", "waypost_replication_lag_bytes{", "waypost_replication_lag_seconds{",
     "waypost_server_sync_state{", "waypost_client_connections", "waypost_server_connections{", "waypost_pool_waiting",
     "waypost_parse_cache_hits_total", "waypost_parse_cache_misses_total", "waypost_build_info{", "process_resident_memory_bytes",
     "process_cpu_seconds_total", "process_open_fds"],
)  # fmt: skip
def test_metrics_are_there(waypost, word):
    assert word in waypost.get("/metrics")[1]


def test_promtool_is_content(waypost):
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=waypost.get("/metrics")[1], capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr


def test_a_real_prometheus_scrapes_it(waypost, tmp_path):
    with scraping(waypost, tmp_path) as ask:

        def value(expression):
            found = ask("query", query=expression)
            return float(found["result"][0]["value"][1]) if found and found["result"] else None

        eventually(lambda: value('up{job="waypost"}') == 1, 30, "up")
        eventually(lambda: value("sum(waypost_server_up)") == 3, 30, "three servers up")
        assert value("sum(waypost_queries_total)") > 0
        assert value('sum(scrape_samples_scraped{job="waypost"})') > 50


def test_status_warns_while_commits_wait_for_a_standby_that_is_not_there(cluster, waypost):
    def warned():
        return [w for w in json.loads(waypost.get("/api/v1/status")[1])["warnings"] if w.startswith("commits wait: ")]

    assert not warned()
    cluster.sql("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 3 (pg1, pg2, pg9)'")
    try:
        cluster.sql("SELECT pg_reload_conf()")
        (warning,) = eventually(warned, 10, "the warning")
        assert warning.endswith("asks for 3 standbys, and 2 stream")
    finally:
        cluster.sql("ALTER SYSTEM RESET synchronous_standby_names")
        cluster.sql("SELECT pg_reload_conf()")
    eventually(lambda: not warned(), 10, "the warning gone")


def test_what_keeps_every_read_on_the_primary_is_told(make_waypost):
    made = make_waypost(sections={"server": {"application_name": "nobody"}})
    why = 'pg1: the primary lists no standby called "nobody"; pg2: the primary lists no standby called "nobody"'
    eventually(lambda: why in made.get("/readyz?verbose")[1], 10, "/readyz?verbose says why")
    assert made.get("/readyz") == (200, "ok\n")
    status = json.loads(made.get("/api/v1/status")[1])
    assert why in status["reads_on_primary_why"] and status["reads_on_primary_why"] in status["warnings"]
    assert "waypost_reads_kept_on_primary 1\n" in made.get("/metrics")[1]
    told = eventually(lambda: grep(made, "reads_on_primary"), 10, "a line in the log")
    assert len(told) == 1 and "nobody" in told[0] and " warning " in told[0]


def test_replicas_that_lag_for_long_are_told(cluster, make_waypost):
    with asynchronous(cluster):
        made = make_waypost(sections={"routing": {"read_from": "streaming"}}, wait_for_split=True)
        with replay_paused(cluster, *REPLICAS):
            cluster.sql("CREATE TABLE while_it_is_paused ()")
            eventually(lambda: "pg1: its replay has lagged behind" in made.get("/readyz?verbose")[1], 30, "told")
            eventually(lambda: grep(made, "reads_on_primary"), 10, "a line in the log")
        eventually(lambda: made.get("/readyz?verbose")[1] == "ok\n", 20, "gone")
        cluster.sql("DROP TABLE while_it_is_paused")


def test_nothing_is_told_where_reads_run_on_replicas(make_waypost):
    made = make_waypost(wait_for_split=True)  # the shared one was told of much by others
    assert made.get("/readyz?verbose") == (200, "ok\n")
    assert json.loads(made.get("/api/v1/status")[1])["reads_on_primary_why"] is None
    assert "waypost_reads_kept_on_primary 0\n" in made.get("/metrics")[1]
    assert not grep(made, "reads_on_primary")


def grep(made, word):
    return [line for line in made.log_path.read_text().splitlines() if word in line]
