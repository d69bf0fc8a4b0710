"""A night's maintenance under pgjdbc and DBCP2 that go on as Openfire does: each replica is drained and restarted, then another server
becomes the primary as planned. Nobody notices: no error, nothing lost, no stale read."""

import contextlib
import json
import subprocess
import time

import psycopg
import pytest
from cluster import REPLICAS, Cluster
from openfire import Openfire
from waypost import BINARY, Waypost, eventually

pytestmark = pytest.mark.proxy

USERS = [{"name": name, "password": name} for name in ("openfire", "chief")]
SECTIONS = {"admin": {"socket": "admin.sock", "console_admins": ["chief"]}, "routing": {"read_from": "streaming"}}


@pytest.fixture
def pair():
    """A cluster that waits for one of its standbys only, so that one may be away."""
    made = Cluster()
    try:
        made.start()
        made.sql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (pg1, pg2)'", database="postgres")
        made.sql("SELECT pg_reload_conf()", database="postgres")
        with contextlib.closing(Waypost(made, sections=SECTIONS, users=USERS)) as proxy:
            proxy.start()
            for name in REPLICAS:
                eventually(lambda name=name: server(proxy, name)["eligible"], seconds=30, what=f"{name} is read from")
            yield made, proxy
    finally:
        made.destroy()


def command(proxy, *words):
    done = subprocess.run([BINARY, *words, "--config", proxy.config], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout


def server(proxy, name):
    return next(one for one in json.loads(proxy.get("/api/v1/servers")[1])["servers"] if one["name"] == name)


def restart_drained(cluster, proxy, name):
    command(proxy, "drain", name, "--wait")
    cluster.stop_server(name)
    cluster.start_server(name)
    command(proxy, "activate", name)
    eventually(lambda: server(proxy, name)["eligible"], seconds=30, what=f"{name} is read from again")


def switch_over(cluster, proxy):
    """pg1 becomes the primary. How long nothing began, and how long of that after the promotion."""
    ports, conninfo = cluster.ports, f"host=127.0.0.1 port={cluster.ports['pg1']} user=postgres password=secret application_name=pg2"
    with psycopg.connect(f"host=127.0.0.1 port={proxy.port} user=chief password=chief dbname=pgbouncer", autocommit=True) as chief:
        began = time.monotonic()
        assert chief.execute("PAUSE").statusmessage == "PAUSE"  # nothing runs, and no connection is left
        cluster.stop_server("pg0")  # its standbys have all it wrote
        cluster.sql("ALTER SYSTEM SET synchronous_standby_names = ''", server="pg1", database="postgres")
        cluster.sql("SELECT pg_reload_conf()", server="pg1", database="postgres")
        cluster.sql("SELECT pg_promote(true, 60)", server="pg1", database="postgres")
        promoted = time.monotonic()
        cluster.sql(f"ALTER SYSTEM SET primary_conninfo = '{conninfo}'", server="pg2", database="postgres")
        cluster.sql("SELECT pg_reload_conf()", server="pg2", database="postgres")
        eventually(lambda: json.loads(proxy.get("/api/v1/status")[1])["primary"] == "pg1", seconds=30, what=f"pg1 on port {ports['pg1']} is the primary")
        assert chief.execute("RESUME").statusmessage == "RESUME"
    return time.monotonic() - began, time.monotonic() - promoted



@pytest.mark.timeout(180)
def test_nobody_notices_a_night_of_maintenance(pair):
    cluster, proxy = pair
    with Openfire(proxy.port) as load:
        for name in REPLICAS:
            restart_drained(cluster, proxy, name)
        whole, after_promotion = switch_over(cluster, proxy)
        time.sleep(1)  # it goes on with the new one
        load.judge(cluster.ports["pg1"])
    print(f"nothing began for {whole:.2f} s, of that {after_promotion:.2f} s after the promotion; {load.summary()}")
    assert not load.errors and not load.wrong and not load.done["dropped"] and not load.done["refused"], load.summary()
    assert after_promotion < 5, load.summary()
