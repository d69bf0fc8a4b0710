"""docs/postgresql.md, made of what a run on several majors found: matrix.py VERSION=JUNIT.xml[,JUNIT.xml] ... prints it."""

import sys
import xml.etree.ElementTree as tree

HEAD = """# Which PostgreSQL

Waypost works with PostgreSQL 13 to 18, whatever libpq and grammar it was built with. It treats a server of a later major like
the newest of these. A run of the tests makes this table (`tests/run.sh --long` makes it again, from all tests): how many passed
of those that ran on that version.

"""
TAIL = """
What some majors have and others lack:

- Waypost speaks protocol 3.2, with cancel keys of 32 bytes, to clients if the primary speaks it (18).
- A form of SQL that is newer than the grammar that Waypost was built with (`waypost_build_info`) runs on the primary, as
  `unknown_syntax`; `waypost_newer_syntax_total` counts these statements.
- Waypost does not ask 13 for what it does not have (`idle_session_timeout`, function bodies in the form of the SQL standard).

`deploy/demo.sh --postgres MAJOR` runs the demo on servers of that major; `WAYPOST_POSTGRES=MAJOR` does the same for the tests.
"""
WORDS = {
    "test_majors": "stored trees; forms of SQL, functions and COPY options of each major",
    "test_closure": "what views, functions, operators, domains and policies reach; DDL",
    "test_oracle": "the corpus of SQL, on the primary and on a hot standby",
    "test_refused_logins": "a replica that refuses a log-in",
    "test_fence": "the fence: no read misses what was acknowledged",
    "test_startup": "start-up, authentication, protocol versions",
    "test_cancel": "cancel requests",
    "test_routing": "which server runs what",
    "test_consistency": "the stale-read checker",
}


def counts(paths):
    """{test file: [passed, ran]}"""
    found = {}
    for path in paths.split(","):
        for case in tree.parse(path).getroot().iter("testcase"):
            name = case.get("classname").rpartition(".")[2]
            bad = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
            entry = found.setdefault(name, [0, 0])
            entry[0] += not bad
            entry[1] += 1
    return found


def main(arguments):
    columns = [(version, counts(paths)) for version, _, paths in (one.partition("=") for one in arguments)]
    rows = [name for name in WORDS if any(name in found for _, found in columns)]
    rest = sorted({name for _, found in columns for name in found} - set(WORDS))
    lines = ["| checked | " + " | ".join(version for version, _ in columns) + " |",
             "| --- |" + " --- |" * len(columns)]  # fmt: skip
    for name in [*rows, *rest]:
        cells = ["{} of {}".format(*found[name]) if name in found else "–" for _, found in columns]
        lines.append(f"| {WORDS.get(name, name.removeprefix('test_').replace('_', ' '))} | " + " | ".join(cells) + " |")
    print(HEAD + "\n".join(lines) + "\n" + TAIL, end="")


main(sys.argv[1:])
