"""PostgreSQL's answers are the oracle: each transcript is played to the primary and to Waypost, and compared message by
message, whatever the cuts of the client's writes."""

import difflib

import pytest
import transcript as transcripts

ALL = transcripts.load_all()


def oracle(cluster, transcript):
    for statement in transcript.setup:
        cluster.sql(statement, user="openfire")
    return transcripts.play(transcript, cluster.ports["pg0"])


@pytest.mark.parametrize("chunking", transcripts.CHUNKINGS)
@pytest.mark.parametrize("transcript", ALL, ids=lambda t: t.name)
def test_answers_as_the_primary_does(cluster, waypost, transcript, chunking):
    expected = oracle(cluster, transcript)
    assert "(silence)" not in "".join(expected), f"the transcript is wrong, the primary is silent: {expected}"
    for statement in transcript.setup:
        cluster.sql(statement, user="openfire")
    actual = transcripts.play(transcript, waypost.port, chunking)
    diff = "\n".join(difflib.unified_diff(expected, actual, "PostgreSQL", "Waypost", lineterm="", n=4))
    assert actual == expected, f"replies differ:\n{diff[:6000]}"
