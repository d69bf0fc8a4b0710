"""No read misses what was acknowledged before it began, and none goes back: two Wayposts, three standbys, writers past both."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import balancers  # noqa: E402
import checker  # noqa: E402
import settings  # noqa: E402
from servers import Servers  # noqa: E402

SECONDS = 4
DISTURBED_SECONDS = 25


@pytest.fixture(scope="module")
def servers():
    made = Servers()
    try:
        yield made.start()
    finally:
        made.destroy()


@pytest.fixture(scope="module")
def pairs(servers):
    """pairs(**routing) -> the ports of two Wayposts with these settings."""
    running = {}

    def pair(**routing):
        key = tuple(sorted(routing.items()))
        if key not in running:
            running[key] = [balancers.start_waypost(servers, **routing) for _ in range(2)]
        for waypost in running[key]:
            assert waypost.process.poll() is None, waypost.log()[-3000:]
        return [waypost.port for waypost in running[key]]

    yield pair
    for two in running.values():
        for waypost in two:
            waypost.close()


def checked(servers, ports, setting, **options):
    settings.apply(servers, setting)
    result = checker.check(servers, ports, setting, **options)
    print({key: result[key] for key in ("reads", "writes", "replica_share", "faults", "errors", "disturbed")})
    return result


def test_the_checker_finds_what_eventual_consistency_allows(servers, pairs):
    """A checker that finds nothing proves nothing."""
    result = checked(servers, pairs(consistency="eventual", read_from="streaming"), settings.SETTINGS["async"],
                     seconds=SECONDS)
    assert result["faults"]["stale"] > 10 and result["faults"]["backward"] > 0, result["faults"]
    assert result["replica_share"] > 0.1  # less on a busy machine, where the catalogue takes long to read


@pytest.mark.parametrize("name", settings.SETTINGS)
def test_nothing_is_stale(servers, pairs, name):
    setting = settings.SETTINGS[name]
    result = checked(servers, pairs(read_from=setting.read_from), setting, seconds=SECONDS)
    assert not checker.broken(result), "\n".join(result["samples"])
    assert not result["errors"], result["errors"]
    assert result["reads"] > 1000 and result["writes"] > 100


@pytest.mark.parametrize("name", ["on", "remote-apply", "any-2-on"])
def test_reads_that_fall_back_to_the_primary_do_not_go_back(servers, pairs, name):
    """The primary shows a commit later than the replicas: many reads run here behind what others saw there."""
    setting = settings.SETTINGS[name]
    result = checked(servers, pairs(read_from=setting.read_from, fence_wait="0ms"), setting, seconds=SECONDS)
    assert not checker.broken(result), "\n".join(result["samples"])
    assert result["faults"]["unacked_backward"] == 0, "\n".join(result["samples"])
    assert result["replica_share"] > 0.001


def test_answers_too_large_to_hold_back_are_of_one_run(servers, pairs):
    """What came of a run that was refuted must not be seen, however many reads it comes in."""
    result = checked(servers, pairs(read_from="streaming"), settings.SETTINGS["async"], seconds=SECONDS,
                     read_kinds=["large"], write_kinds=["simple"], write_rate=60)
    assert not checker.broken(result), "\n".join(result["samples"])
    assert not result["errors"], result["errors"]
    assert result["replica_share"] > 0.5


@pytest.mark.parametrize("name", ["async", "first-2"])
def test_nothing_is_stale_whatever_happens_to_the_servers(servers, pairs, name):
    setting = settings.SETTINGS[name]
    result = checked(servers, pairs(read_from=setting.read_from), setting, nemeses=list(settings.NEMESES),
                     seconds=DISTURBED_SECONDS)
    assert not checker.broken(result), "\n".join(result["samples"])
    assert result["reads"] > 1000 and len(result["disturbed"]) > 5, result["disturbed"]


@pytest.mark.parametrize("name, nemeses", [("async", []), ("first-2", []), ("async", list(settings.NEMESES))])
def test_nothing_is_stale_while_each_read_is_checked(servers, name, nemeses):
    """Whichever of the two answers the client is given. (What Waypost counts says nothing here: by the digits of a number
    each server tells who it is, so that no replica ever answers as the primary does.)"""
    setting = settings.SETTINGS[name]
    two = [balancers.start_waypost(servers, read_from=setting.read_from, self_check=1.0) for _ in range(2)]
    try:
        result = checked(servers, [waypost.port for waypost in two], setting, nemeses=nemeses,
                         seconds=DISTURBED_SECONDS if nemeses else SECONDS)
        assert not checker.broken(result), "\n".join(result["samples"])
        for waypost in two:
            waypost.counted(21, "waypost_self_checks_total", at_least=True)
    finally:
        for waypost in two:
            waypost.close()
