"""A pytest plugin: `--long`, and the mark of what only that runs. A conftest.py takes it by pytest_plugins."""


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes or gigabytes; runs with --long only")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run what takes minutes or gigabytes, and more rounds of the rest")


def deselect(config, items, marks):
    """Leaves out, as if they were not there (never skipped), the tests that have one of `marks`."""
    gone = [item for item in items if marks.intersection(mark.name for mark in item.iter_markers())]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        deselect(config, items, {"long"})
