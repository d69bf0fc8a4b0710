"""Generated sessions of several clients that share two server connections: what each of them sees through Waypost is what
it sees with PostgreSQL itself. A difference is cut down to the fewest steps that show it."""

import os
import random
import re
import time

import cluster as clusters
import pytest
import sessions
import waypost as waypost_process

pytestmark = pytest.mark.proxy

CONNECTIONS = 2  # that clients may hold at a time, as far as the generator can tell what ties a session
SPARE = 0
STEPS = 60  # of a script
SHRINK_SECONDS = 60
SECONDS = {"release": 50, "slow": 25, "long": 900}
# 0A000 after DDL is healed: the client is spared an error that PostgreSQL gives.
SEED, SCRIPTS = 99, 60  # of a short run
# What a replica cannot do of a READ ONLY block.
REFUSED = re.compile(
    "READ ONLY transaction that runs on a replica|cannot execute (PREPARE TRANSACTION|LOCK TABLE|NOTIFY) during recovery"
    "|cannot set transaction read-write mode during recovery"
)
HEALED = "cached plan must not change result type"


@pytest.fixture(scope="module")
def proxy(cluster):
    with cluster.connect(database=sessions.DATABASE) as conn:
        conn.rows(sessions.SCHEMA)
        conn.rows("RESET SESSION AUTHORIZATION")
    cluster.sql(f"ALTER DATABASE {sessions.DATABASE} SET deadlock_timeout = '10s'", database="postgres")
    sections = {"server": {"max_connections": CONNECTIONS}, "top": {"workers": 1}, "pool": {"query_wait_timeout": "4s"}}
    with waypost_process.running(cluster, sections=sections) as made:
        yield made


class Bench:
    """The two sides, and the state that both start from."""

    def __init__(self, cluster, proxy):
        self.cluster, self.direct, self.through = cluster, cluster.ports["pg0"], proxy.port

    def reset(self, fresh=False):
        """`fresh`: Waypost's server connections are new ones."""
        if fresh:
            for server in clusters.NAMES:
                self.cluster.terminate(f"datname = '{sessions.DATABASE}' AND usename = '{sessions.USER}'", server)
        for (gid,) in self.cluster.sql("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()", database=sessions.DATABASE):
            self.cluster.sql(f"ROLLBACK PREPARED '{gid}'", database=sessions.DATABASE)
        self.cluster.sql(sessions.RESET, database=sessions.DATABASE, user=sessions.USER)

    def difference(self, script, expected=None):
        """The first difference, as text; None if there is none (or the script is none that may be compared)."""
        fresh = expected is None
        if fresh:
            self.reset()
            expected = sessions.replay(script, self.direct, CONNECTIONS)
            if expected is None or any(a[-1:] == ["(silence)"] for a in expected[0]):
                return None
        self.reset(fresh)
        return compare(script, expected, sessions.replay(script, self.through))


def normal(lines):
    """Without what is known to differ."""
    # In a READ ONLY block on a replica: "during recovery" for "in a read-only transaction".
    lines = [re.sub(r"C='25006' M='cannot execute .*", "C='25006'", line) for line in lines]
    # PL/pgSQL names a function as quote_all_identifiers was when its server connection first ran it.
    lines = [re.sub(r"[\"'\\\\]", "", line) if "PL/pgSQL function" in line else line for line in lines]
    answers, answer = [], []
    for line in lines:
        answer.append(line)
        if line.startswith("Z "):
            # Of several changed parameters PostgreSQL reports first whichever.
            answer.sort(key=lambda line: line if line.startswith("S ") else "T")
            answers += in_failed_block(answer) if answer[-1] == "Z b'E'" else answer
            answer = []
    return answers + answer


def in_failed_block(answer):
    """Nothing can be prepared there: what is wrong with a Bind; and of a BEGIN that no server has heard of yet there is no
    portal."""
    answer = [re.sub(r"C='(08P01|25P02|26000|34000|42P05|55000)'.*", "C='25P02'", line) for line in answer]
    # Nor can be described there what returns no rows, takes parameters, and was parsed on another server connection.
    if len(answer) == 3 and re.fullmatch(r"t b'.+", answer[0]) and answer[1] == "n b''":
        answer[:2] = ["E S='ERROR' V='ERROR' C='25P02'"]
    return answer


def compare(script, expected, actual):
    if expected[1] != actual[1]:
        return f"logins: PostgreSQL {expected[1]}\nWaypost {actual[1]}"
    for step, wanted, got in zip(script.steps, expected[0], actual[0]):
        if any(REFUSED.search(line) for line in got):
            return None  # what would tie a session to a replica: a known limit, and the block goes another way from here
        if normal(wanted) != normal(got) and not any(HEALED in line for line in wanted):
            return f"{step}\n  PostgreSQL: {wanted}\n  Waypost:    {got}"
        if any(HEALED in line for line in wanted):
            return None
    if len(expected[0]) == len(actual[0]) and expected[2] != actual[2]:
        return f"notifications: PostgreSQL {expected[2]}\nWaypost {actual[2]}"
    return None


def shrink(script, fails):
    """Fewer steps that still fail: ever smaller pieces are left out (delta debugging)."""
    steps = script.steps
    deadline = time.monotonic() + SHRINK_SECONDS
    for who in range(sessions.CLIENTS):
        candidate = sessions.Script(script.seed, script.startups, [s for s in steps if s.who != who])
        if candidate.steps and fails(candidate):
            steps = candidate.steps
    piece = max(1, len(steps) // 2)
    while piece and time.monotonic() < deadline:
        at, smaller = 0, False
        while at < len(steps) and time.monotonic() < deadline:
            candidate = sessions.Script(script.seed, script.startups, steps[:at] + steps[at + piece :])
            if candidate.steps and fails(candidate):
                steps, smaller = candidate.steps, True
            else:
                at += piece
        piece = piece if smaller and piece > 1 else piece // 2
    return sessions.Script(script.seed, script.startups, steps)


def budget(config):
    if config.getoption("--long"):
        return SECONDS["long"]
    return SECONDS["slow" if any(w in str(waypost_process.BINARY) for w in ("sanitize", "tsan")) else "release"]


@pytest.mark.timeout(1200)
def test_sessions_see_what_one_server_would_show_them(cluster, proxy, request):
    bench = Bench(cluster, proxy)
    # The same scripts in every short run, so that a change is judged by itself; new ones in the long run.
    long = request.config.getoption("--long")
    first = int(os.environ.get("WAYPOST_SEED", random.SystemRandom().randrange(10**6) if long else SEED))
    deadline = time.monotonic() + budget(request.config)
    seed, steps = first, 0
    while time.monotonic() < deadline and (long or seed < first + SCRIPTS):
        bench.reset()
        script, *expected = sessions.write(seed, STEPS, bench.direct, CONNECTIONS)
        difference = bench.difference(script, expected)
        if difference:
            script.steps = script.steps[: 1 + next((i for i, s in enumerate(script.steps) if difference.startswith(f"{s}\n")), len(script.steps))]
            # It may need what an earlier script left on the server connections: then it is shown whole.
            small = shrink(script, bench.difference) if bench.difference(script) else script
            tied = {k: v for k, v in proxy.metrics().items() if "pins" in k and v}
            pytest.fail(f"WAYPOST_SEED={seed}\n{tied}\n{small}\n\n{bench.difference(small) or difference}", pytrace=False)
        steps += len(script.steps)
        seed += 1
    print(f"seeds {first} to {seed - 1}: {steps} steps the same")
    assert steps > 100
