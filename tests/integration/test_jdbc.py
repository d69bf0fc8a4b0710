"""pgjdbc 42.7.12 with DBCP2 2.14.0 (Openfire's own pair), doing what Openfire does. Each scenario is one program run."""

import subprocess

import jdbc
import pytest
from cluster import REPLICAS

SCENARIOS = ["startup", "named", "batches", "maxrows", "fetchsize", "transactions", "pool", "sequence", "offline", "primary",
             "readonly", "largeobject", "copy", "timeout", "autosave", "modes", "metadata", "settings"]  # fmt: skip


@pytest.fixture(scope="session")
def classpath():
    return jdbc.classpath()


@pytest.mark.timeout(720)
@pytest.mark.threads
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(waypost, classpath, scenario):
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath, "Harness", str(waypost.port), scenario],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    wrong = [line for line in lines if not line.startswith("ok - ")]
    assert done.returncode == 0 and lines and not wrong, "\n".join(wrong) + done.stderr[-3000:]


@pytest.mark.proxy
def test_read_only_transactions_ran_on_replicas(cluster, waypost, classpath):
    test_scenario(waypost, classpath, "readonly")
    ran = cluster.runs("JDBC_READ_ONLY")
    # On a machine that is busy a block may begin while no replica is known to be up to date.
    assert sum(ran.get(name, 0) for name in REPLICAS) > 4 * ran.get("pg0", 0), ran
