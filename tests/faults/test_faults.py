"""Every fault of the catalogue is survived (run.py says what that means)."""

import time

import pytest
import run
from catalogue import CATALOGUE, Fault, Scene
from three import ThreeServers
from workload import SCHEMA, Workload


CASES = [pytest.param(fault, id=fault.name, marks=[] if fault.quick else [pytest.mark.long]) for fault in CATALOGUE]


@pytest.mark.parametrize("fault", CASES)
def test_survived(fault):
    row, told = run.run(fault)
    print(run.line(fault.name, row))
    assert run.survived(row), f"{row}\n{told}"


@pytest.mark.long
def test_the_score_sees_who_writes_on_a_deposed_primary():
    """Clients that know one address and nothing else."""
    servers = ThreeServers()
    try:
        servers.up()
        servers.sql(SCHEMA, "pg0", "openfire", "openfire")
        with Workload(servers.ports["pg0"]) as load:
            scene = Scene(servers, None, load)
            scene.goes_on()
            servers.kill("pg0")
            scene.promote()
            servers.own_settings("pg0", synchronous_standby_names="")
            scene.return_as_primary("pg0")
            scene.goes_on()
            time.sleep(1)
            load.stop()
            load.judge(servers, scene.primary)
            row = run.score(Fault("straight", "", None), scene)
        assert row["lost"] and row["deposed"] and row["read"], row
        assert not run.survived(row)
    finally:
        servers.down()
