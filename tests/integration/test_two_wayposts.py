"""Two Wayposts before the same servers, which share nothing: one may end, and both say the same of the primary."""

import contextlib
import time

import pytest
import waypost as waypost_process
import wire
from openfire import Openfire

pytestmark = pytest.mark.proxy

THREADS = 6


@contextlib.contextmanager
def two(cluster, **sections):
    with waypost_process.running(cluster, sections=sections) as one:
        with contextlib.ExitStack() as stack:
            other = waypost_process.Waypost(cluster, sections=sections)
            stack.callback(other.stop)
            yield one, other.start()


def serves(proxy, count=40):
    """Until clients of that one have been answered so often from now on."""
    done = proxy.metric("waypost_queries_total")
    waypost_process.eventually(lambda: proxy.metric("waypost_queries_total") > done + count, what="clients are served")


@pytest.mark.timeout(300)
def test_the_kill_of_one_costs_what_was_in_flight_on_it(cluster):
    """pgjdbc knows both by its URL. Nobody needs to try again what was not under way, and every acknowledged write is there."""
    with two(cluster) as (one, other), Openfire(f"{one.port},{other.port}", THREADS, validated=True) as openfire:
        serves(one)
        serves(other)
        for killed, stays in ((other, one), (one, other)):
            killed.process.kill()
            killed.process.wait()
            serves(stays)
            killed.spawn()
            waypost_process.eventually(killed.ready, 20, "the killed one is back")
        openfire.judge(cluster.ports["pg0"])
        assert not openfire.wrong, openfire.summary()
        print(openfire.summary())
        # At each kill a thread has one thing under way: a statement, or a connection that it is being given. For any other connection
        # pgjdbc itself goes to the other Waypost.
        lost = sum(count for kind in ("read", "write", "transaction") for count in openfire.errors[kind].values())
        assert lost + openfire.done["refused"] <= 2 * THREADS, openfire.summary()
        assert {state for kinds in openfire.errors.values() for state in kinds} <= {"08006", "08003"}, openfire.summary()


def said_of_the_primary(proxy):
    """The one server, timeline and system identifier by which it knows the primary, and the timeline it accepted."""
    known = [name for name, value in proxy.metrics().items() if name.startswith("waypost_primary_info{") and value == 1]
    return known, proxy.metric("waypost_accepted_timeline")


def test_both_follow_the_same_primary(pair):
    cluster, one = pair
    other = waypost_process.Waypost(cluster, sections={"routing": {"read_from": "streaming"}})
    with contextlib.closing(other.start()):
        assert said_of_the_primary(one) == said_of_the_primary(other)
        cluster.sql("SELECT pg_promote()", server="pg1")
        promoted = time.monotonic()
        for proxy in (one, other):
            with proxy.connect() as conn:

                def a_write_ran_on_the_new_one():
                    with contextlib.suppress(wire.ServerError):  # of what was under way on the old one
                        return conn.rows("INSERT INTO kept VALUES ('new') RETURNING port") == [[str(cluster.ports["pg1"])]]
                    return False

                waypost_process.eventually(a_write_ran_on_the_new_one, what="a write on pg1")
        waypost_process.eventually(lambda: said_of_the_primary(one) == said_of_the_primary(other), 5, "both say the same")
        known, timeline = said_of_the_primary(other)
        assert len(known) == 1 and 'server="pg1"' in known[0] and timeline == 2
        assert time.monotonic() - promoted < 20
        for write, read in ((one, other), (other, one)):  # what one has acknowledged is seen through the other
            with write.connect() as writer, read.connect() as reader:
                for n in range(50):
                    writer.rows(f"INSERT INTO kept VALUES ('both {n}')")
                    assert int(reader.value(f"SELECT count(*) FROM kept WHERE id = 'both {n}'")) > 0
                writer.rows("DELETE FROM kept")
