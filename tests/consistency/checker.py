"""Runs consistency_checker against balancers, with or without disturbance."""

import contextlib
import json
import os
import pathlib
import subprocess

from settings import Disturbance

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("CONSISTENCY_CHECKER", ROOT / "build/release/tests/consistency/consistency_checker"))
ZERO = ("stale", "backward", "replica_backward", "order", "phantom", "unrepeatable", "torn", "missing")


def check(servers, ports, setting, nemeses=(), reads=0, seconds=30, **options):
    """What the checker printed, with the disturbances that took place under "disturbed"."""
    command = [BINARY, "--through", ",".join(map(str, ports)), "--primary", servers.ports["pg0"], "--reads", reads,
               "--seconds", seconds, "--writer", setting.writer, "--database", setting.database]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), ",".join(value) if isinstance(value, (list, tuple)) else value]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    disturbance = None
    with contextlib.ExitStack() as undo:
        undo.callback(process.kill)
        assert process.stderr.readline() == "ready\n", process.communicate()[1]
        if nemeses:
            disturbance = Disturbance(servers, nemeses)
            disturbance.start()
            undo.callback(disturbance.over.set)
        out, error = process.communicate(timeout=seconds + 90)
        assert process.returncode == 0, f"{error}\n{out}"
        result = json.loads(out)
        result["disturbed"] = disturbance.end() if disturbance else {}
    return result


def broken(result):
    """{fault: count} of those that must never be."""
    return {name: result["faults"][name] for name in ZERO if result["faults"][name]}
