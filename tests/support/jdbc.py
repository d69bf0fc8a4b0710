"""Builds the Java programs below tests/integration/jdbc: pgjdbc 42.7.12 with DBCP2 2.14.0, Openfire's own pair."""

import os
import subprocess

import cluster as clusters

PROJECT = clusters.ROOT / "tests/integration/jdbc"


def classpath():
    """Builds what has changed; Maven Central is asked only for what is not yet in the local repository."""
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


def command(program, *args):
    """A command line for one of them."""
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath(), program, *map(str, args)]
