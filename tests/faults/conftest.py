import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "failover"), str(HERE.parent / "support")]


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; runs with --long only")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="every fault, not only the quick ones")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        gone = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]
