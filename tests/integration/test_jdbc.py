"""pgjdbc 42.7.12 with DBCP2 2.14.0 (Openfire's own pair), doing what Openfire does. Each scenario is one program run."""

import os
import pathlib
import subprocess

import pytest
from cluster import REPLICAS

PROJECT = pathlib.Path(__file__).resolve().parent / "jdbc"
SCENARIOS = ["startup", "named", "batches", "maxrows", "fetchsize", "transactions", "pool", "sequence", "offline", "primary",
             "readonly", "largeobject", "copy", "timeout", "autosave", "modes", "metadata", "settings"]  # fmt: skip


def build():
    """The classpath. Builds the harness; Maven Central is asked only for what is not yet in the local repository."""
    classes, lib = PROJECT / "target" / "classes", PROJECT / "target" / "lib"
    sources = [PROJECT / "pom.xml", *(PROJECT / "src").rglob("*.java")]
    newest = max(path.stat().st_mtime for path in sources)
    built = classes / "Harness.class"
    if not built.exists() or built.stat().st_mtime < newest:
        done = subprocess.run(
            ["mvn", "-q", "-B", "package"], cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        os.utime(built)
    return f"{classes}:{lib}/*"


@pytest.fixture(scope="session")
def classpath():
    return build()


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
    assert set(cluster.runs("JDBC_READ_ONLY")) <= set(REPLICAS)
