"""What all integration tests share: one cluster, one Waypost with the default configuration, and a factory for others."""

import os
import pathlib
import resource
import sys

import pytest

SUPPORT = pathlib.Path(__file__).resolve().parents[1] / "support"
sys.path.insert(0, str(SUPPORT))

import cluster as clusters  # noqa: E402
import waypost as waypost_process  # noqa: E402

pytest_plugins = ["long_tests"]
TARGET = os.environ.get("WAYPOST_TARGET", "waypost")


def pytest_configure(config):
    for line in (
        "rss: measures memory, meaningless under a sanitizer",
        "seconds: holds processor time to a figure, which a sanitizer multiplies",
        "exhausts: takes every descriptor of Waypost; UBSan's check of types opens a pipe, and without one reports what is not so",
        "threads: worth running under the thread sanitizer",
        "headers: builds C functions against the server, for which only Debian's own has what it needs",
        "majors: may come out otherwise on another major version of PostgreSQL; runs on the oldest and the newest too",
        "browser: drives a browser, which takes long and tells a sanitizer nothing that the tests of the API do not",
        "pypi: asks PyPI for a program, and tells a sanitizer nothing that other tests of the API do not",
        "proxy: needs Waypost, says nothing about the primary itself",
    ):
        config.addinivalue_line("markers", line)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard > 0 else soft, hard))


def pytest_collection_modifyitems(config, items):
    """Deselects (never skips) what this run is not meant to hold."""
    drop = set()
    if TARGET == "primary":
        drop.add("proxy")
    if any(word in str(waypost_process.BINARY) for word in ("sanitize", "tsan")):
        drop.update(("rss", "seconds", "exhausts", "browser", "pypi"))
    if not (clusters.programs() / "pg_config").exists():
        drop.add("headers")
    config.pluginmanager.getplugin("long_tests").deselect(config, items, drop)


@pytest.fixture(scope="session")
def cluster():
    made = clusters.Cluster()
    try:
        try:
            made.start()
            prepare(made)
        except BaseException as error:  # without it each test would fail in its own words
            pytest.exit(f"no cluster: {error}", returncode=3)
        yield made
    finally:
        made.destroy()


def prepare(made):
    # In database openfire every server logs what it runs (runs()); database bench is the same without, for load.
    made.sql("ALTER DATABASE openfire SET log_statement = 'all'", database="postgres")
    made.sql("ALTER DATABASE openfire SET log_min_error_statement = 'panic'", database="postgres")
    made.sql("CREATE ROLE alice LOGIN PASSWORD 'alice'", database="postgres")
    made.sql("CREATE DATABASE bench OWNER openfire", database="postgres")
    made.sql("CREATE DATABASE other OWNER alice", database="postgres")
    for database, user in (("openfire", "openfire"), ("bench", "openfire"), ("other", "alice")):
        made.sql("CREATE TABLE probe_me (id int PRIMARY KEY, t text)", database=database, user=user)
        made.sql("INSERT INTO probe_me SELECT i, 'row ' || i FROM generate_series(1, 100) i", database=database)


@pytest.fixture(scope="session")
def waypost(cluster):
    """Waypost as the README starts it. Shared: a test that changes its configuration makes its own."""
    if TARGET == "primary":
        yield waypost_process.Primary(cluster)
        return
    with waypost_process.running(cluster) as made:
        yield made


@pytest.fixture
def pair():
    """Two servers whose commits wait for nobody, and a Waypost: the test may ruin both. A third follows as soon as it is started."""
    made = clusters.Cluster()
    try:
        made.start()
        prepare(made)
        for server in ("pg0", "pg1"):
            made.sql("ALTER SYSTEM SET synchronous_standby_names = ''", server, "postgres")
            made.sql("ALTER SYSTEM SET synchronous_commit = 'on'", server, "postgres")
            made.sql("SELECT pg_reload_conf()", server, "postgres")
        made.stop_server("pg2")
        made.sql("CREATE TABLE kept (id text, port int DEFAULT inet_server_port())", user="openfire")
        with waypost_process.running(made, sections={"routing": {"read_from": "streaming"}}) as proxy:
            yield made, proxy
    finally:
        made.destroy()


@pytest.fixture
def make_waypost(cluster):
    """make_waypost(sections=..., users=..., wait_for_split=True) -> a Waypost of this test's own."""
    all_made = []

    def make(wait_for_split=False, **config):
        made = waypost_process.Waypost(cluster, **config)
        all_made.append(made)
        made.start()
        if wait_for_split:
            made.wait_for_split()
        return made

    yield make
    for made in all_made:
        made.close()


@pytest.fixture
def marker():
    return clusters.new_marker()
