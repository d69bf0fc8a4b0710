"""psql and pgbench as people use them."""

import os
import re
import subprocess

import pytest

SCRIPTS = {
    "pipeline": r"""
\set aid random(1, 100000)
\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
SELECT bbalance FROM pgbench_branches WHERE bid = 1;
SELECT 1;
\endpipeline
""",
    "pipeline with writes": r"""
\set aid random(1, 100000)
\set delta random(-5000, 5000)
\startpipeline
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = 1;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = 1;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :aid, :delta, CURRENT_TIMESTAMP);
END;
\endpipeline
""",
    "read only transactions": r"""
\set aid random(1, 100000)
BEGIN READ ONLY;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
SELECT count(*) FROM pgbench_branches;
COMMIT;
""",
}


def environment(port):
    return {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "openfire", "PGPASSWORD": "openfire",
            "PGDATABASE": "openfire", "PGCONNECT_TIMEOUT": "15"}  # fmt: skip


def psql(port, *args, stdin=None, database="openfire"):
    done = subprocess.run(
        ["psql", "-X", "-d", database, *args], env=environment(port), input=stdin, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, re.sub(r"port \d+", "port N", done.stderr)


PSQL = {
    "select": ["-c", "SELECT 1 AS a, 'x' AS b"],
    "two commands": ["-c", "SELECT 1", "-c", "SELECT 2"],
    "multi-statement": ["-c", "SELECT 1; SELECT 2"],
    "error": ["-c", "SELECT 1/0"],
    "error with position": ["-c", "SELECT * FROM\n  nowhere"],
    "stop on error": ["-v", "ON_ERROR_STOP=1", "-c", "SELEKT", "-c", "SELECT 1"],
    "single transaction": ["-1", "-c", "CREATE TEMP TABLE p (i int)", "-c", "SELECT count(*) FROM p"],
    "describe table": ["-c", "\\d probe_me"],
    "list tables": ["-c", "\\dt"],
    "list functions": ["-c", "\\df pg_sleep"],
    "list databases": ["-At", "-c", "\\l"],
    "copy out": ["-c", "\\copy (SELECT * FROM probe_me ORDER BY id LIMIT 3) TO STDOUT CSV"],
    "variables": ["-c", "SHOW server_version", "-c", "\\conninfo"],
    "unaligned": ["-At", "-F", ",", "-c", "SELECT * FROM probe_me ORDER BY id LIMIT 5"],
}


@pytest.mark.parametrize("case", PSQL)
def test_psql_says_what_it_says_on_the_primary(cluster, waypost, case):
    expected = psql(cluster.ports["pg0"], *PSQL[case])
    actual = psql(waypost.port, *PSQL[case])
    hide = lambda text: re.sub(r'at port "\d+"', "at port N", text)  # noqa: E731
    assert (actual[0], hide(actual[1]), actual[2]) == (expected[0], hide(expected[1]), expected[2])


def test_psql_script(cluster, waypost):
    script = r"""
\set ON_ERROR_STOP 0
CREATE TEMP TABLE script (id int PRIMARY KEY, t text);
\copy script FROM STDIN
1	one
2	two
\.
SELECT * FROM script;
BEGIN;
INSERT INTO script VALUES (3, 'three');
SAVEPOINT s;
INSERT INTO script VALUES (3, 'again');
ROLLBACK TO s;
COMMIT;
\set FETCH_COUNT 2
SELECT * FROM script ORDER BY id;
\set FETCH_COUNT 0
\echo :ROW_COUNT :SQLSTATE
SELECT id FROM script \gset first_
PREPARE p AS SELECT t FROM script WHERE id = $1;
EXECUTE p(2);
SELECT $1::int + $2::int \bind 1 2 \g
SELECT 'SELECT ' || i FROM generate_series(1, 3) i \gexec
\timing off
DO $$ BEGIN RAISE NOTICE 'noticed'; END $$;
\c
SELECT count(*) FROM probe_me;
"""
    expected = psql(cluster.ports["pg0"], "-a", stdin=script)
    assert psql(waypost.port, "-a", stdin=script) == expected


def pgbench(port, *args, database="bench"):
    done = subprocess.run(
        ["pgbench", *args, database], env=environment(port), capture_output=True, text=True, timeout=110, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def pgbench_tables(cluster, waypost):
    """Made through Waypost: DDL, COPY, VACUUM, primary keys."""
    pgbench(waypost.port, "-i", "-q", "-s", "1")
    assert cluster.sql("SELECT count(*) FROM pgbench_accounts", database="bench") == [["100000"]]


def all_ran(output, count):
    assert f"number of transactions actually processed: {count}/{count}" in output, output
    assert "number of failed transactions: 0 (0.000%)" in output, output


def balances(cluster):
    sums = [
        cluster.sql(f"SELECT coalesce(sum({column}), 0) FROM {table}", database="bench")[0][0]
        for column, table in (("abalance", "pgbench_accounts"), ("tbalance", "pgbench_tellers"),
                              ("bbalance", "pgbench_branches"), ("delta", "pgbench_history"))
    ]  # fmt: skip
    return sums


@pytest.mark.threads
@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_select_only(cluster, waypost, pgbench_tables, mode):
    all_ran(pgbench(waypost.port, "-S", "-M", mode, "-c", "8", "-j", "2", "-t", "250", "-n"), 2000)


@pytest.mark.threads
@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_tpc_b(cluster, waypost, pgbench_tables, mode):
    all_ran(pgbench(waypost.port, "-M", mode, "-c", "8", "-j", "2", "-t", "50", "-n"), 400)
    assert len(set(balances(cluster))) == 1, balances(cluster)


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_a_connection_per_transaction(waypost, pgbench_tables, mode):
    all_ran(pgbench(waypost.port, "-S", "-C", "-M", mode, "-c", "4", "-t", "50", "-n"), 200)


@pytest.mark.threads
@pytest.mark.parametrize("mode", ["extended", "prepared"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts(cluster, waypost, pgbench_tables, tmp_path, script, mode):
    path = tmp_path / "script.sql"
    path.write_text(SCRIPTS[script])
    all_ran(pgbench(waypost.port, "-f", str(path), "-M", mode, "-c", "8", "-j", "2", "-t", "50", "-n"), 400)
    assert len(set(balances(cluster))) == 1, balances(cluster)


@pytest.mark.proxy
def test_reads_are_taken_off_the_primary(cluster, waypost, pgbench_tables):
    """By pg_stat_statements of each server."""
    for name in cluster.ports:
        cluster.sql("SELECT pg_stat_statements_reset()", server=name)
    all_ran(pgbench(waypost.port, "-S", "-M", "prepared", "-c", "8", "-j", "2", "-t", "250", "-n"), 2000)
    sql = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE 'SELECT abalance%'"
    calls = {name: int(cluster.sql(sql, server=name)[0][0]) for name in cluster.ports}
    assert sum(calls.values()) == 2000 and calls["pg0"] < 100 and min(calls["pg1"], calls["pg2"]) > 300, calls


@pytest.mark.long
@pytest.mark.threads
@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_tpc_b_for_a_minute(cluster, waypost, pgbench_tables, mode):
    output = pgbench(waypost.port, "-M", mode, "-c", "32", "-j", "2", "-T", "60", "-n")
    assert "number of failed transactions: 0 (0.000%)" in output
    assert len(set(balances(cluster))) == 1, balances(cluster)
