"""Traces: what a collector of OpenTelemetry is sent, and what happens when it does not take it."""

import contextlib
import http.server
import json
import threading
import time

import pytest
import wire
from cluster import new_marker
from waypost import eventually, free_port

pytestmark = pytest.mark.proxy

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def comment(span, flags="01"):
    return f"/*traceparent='00-{TRACE}-{span}-{flags}'*/"


class Collector(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port=0):
        self.spans, self.status, self.delay, self.answer = [], 200, 0.0, b"{}"
        super().__init__(("127.0.0.1", port), Taker)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_port}/v1/traces"

    def named(self, text):
        """The spans of the statements that contain `text`, and of their phases."""
        roots = [s for s in self.spans if text in attributes(s).get("db.query.text", "")]
        return roots, [s for s in self.spans if s.get("parentSpanId") in {r["spanId"] for r in roots}]


class Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(self.server.delay)
        if self.server.status == 200:
            assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json"
            for resource in body["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    self.server.spans += [{**span, "resource": attributes(resource["resource"])} for span in scope["spans"]]
        with contextlib.suppress(OSError):
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(self.server.answer)

    def log_message(self, *_):
        pass


def attributes(of):
    return {a["key"]: next(iter(a["value"].values())) for a in of["attributes"]}


@pytest.fixture
def collector():
    with Collector() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_statements_are_spans_of_the_trace_that_their_comments_name(make_waypost, collector):
    made = make_waypost(sections={"tracing": {"endpoint": collector.endpoint, "service": "front"}})
    column = new_marker()
    with made.connect(application_name="app") as conn:
        before = time.time_ns()
        conn.rows(f"SELECT count(*) AS {column}, 12345 FROM probe_me {comment('00f067aa0ba902b7')}")
        after = time.time_ns()
        conn.rows(f"SELECT 1 AS {column} {comment('00f067aa0ba902b8', '00')}")  # not kept by whoever began it
        conn.rows(f"SELECT 1 AS {column}")  # of no trace
        with pytest.raises(wire.ServerError):
            conn.rows(f"SELECT 1/(2 - 2) AS {column}x {comment('00f067aa0ba902b9')}")
        conn.rows(f"CREATE TEMP TABLE {column}y (a int) {comment('00f067aa0ba902ba')}")
    eventually(lambda: collector.named(f"{column}y")[0], what="the last")
    (read,), phases = collector.named(f"{column}, ?")
    assert read["traceId"] == TRACE and read["parentSpanId"] == "00f067aa0ba902b7" and read["name"] == "SELECT openfire"
    turn = 2_000_000  # the loop's clock has milliseconds, and a statement ends when its answer is on its way
    assert before - turn <= int(read["startTimeUnixNano"]) <= int(read["endTimeUnixNano"]) <= after + turn
    told = attributes(read)
    assert told["waypost.reason"] == "read_safe" and told["waypost.server"] in ("pg1", "pg2") and told["waypost.target"] == "replica"
    assert told["db.system.name"] == "postgresql" and told["waypost.application_name"] == "app" and told["db.response.returned_rows"] == "1"
    assert told["client.address"] == "127.0.0.1" and int(told["client.port"]) > 0
    assert "12345" not in json.dumps(read) and read["resource"]["service.name"] == "front"
    server = next(p for p in phases if p["name"] == "server")
    assert {p["name"] for p in phases} <= {"server", "pool", "fence"} and server["kind"] == 3
    assert int(read["startTimeUnixNano"]) <= int(server["startTimeUnixNano"]) <= int(server["endTimeUnixNano"]) <= int(read["endTimeUnixNano"])
    (failed,), _ = collector.named(f"{column}x")
    assert failed["status"] == {"code": 2, "message": "SQLSTATE 22012"} and failed["parentSpanId"] == "00f067aa0ba902b9"
    (write,), _ = collector.named(f"{column}y")
    assert attributes(write)["waypost.server"] == "pg0"
    assert {s["parentSpanId"] for s in collector.spans if s["kind"] == 2} == {"00f067aa0ba902b7", "00f067aa0ba902b9", "00f067aa0ba902ba"}
    eventually(lambda: made.metric("waypost_trace_spans_total", outcome="sent") == len(collector.spans), what="all are counted")


def test_a_share_begins_traces_and_a_reload_ends_them(make_waypost, collector):
    made = make_waypost(sections={"tracing": {"endpoint": collector.endpoint, "sample": 1.0}})
    with made.connect() as conn:
        for number in range(5):
            conn.rows(f"SELECT {number} AS sampled")
        eventually(lambda: len(collector.named("sampled")[0]) == 5, what="each is sent")
        assert len({s["traceId"] for s in collector.named("sampled")[0]}) == 5
        assert all("parentSpanId" not in s for s in collector.named("sampled")[0])
        made.sections["tracing"]["sample"] = 0.0
        made.write_config()
        made.hangup()
        eventually(lambda: "reloaded" in made.log(), what="the reload")
        conn.rows("SELECT 1 AS behind")
        conn.rows(f"SELECT 1 AS kept {comment('00f067aa0ba902b7')}")
        eventually(lambda: collector.named("kept")[0], what="that of a trace")
        assert not collector.named("behind")[0]
    made.sections["tracing"]["endpoint"] = "collector:4318"
    made.write_config()
    made.hangup()
    eventually(lambda: "expected the URL of a collector" in made.log(), what="the fault")


@pytest.mark.parametrize("fault", ["refused", "silent", "unwilling"])
def test_a_collector_that_takes_nothing_holds_up_nobody(make_waypost, collector, fault):
    endpoint = f"http://127.0.0.1:{free_port()}/v1/traces" if fault == "refused" else collector.endpoint
    collector.delay = 5.0 if fault == "silent" else 0.0
    collector.status = 503 if fault == "unwilling" else 200
    made = make_waypost(sections={"tracing": {"endpoint": endpoint, "sample": 1.0}})
    with made.connect() as conn:
        longest = 0.0
        for number in range(600):
            began = time.monotonic()
            assert conn.value(f"SELECT {number}") == str(number)
            longest = max(longest, time.monotonic() - began)
        assert longest < 4  # who waits for the collector waits for 5 s
        eventually(lambda: made.metric("waypost_trace_spans_total", outcome="lost") > 600, what="losses counted")
    eventually(lambda: "spans_lost" in made.log(), what="losses told")
    assert not collector.spans or fault == "silent"


def test_spans_that_a_collector_refuses_are_lost(make_waypost, collector):
    collector.answer = b'{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too old"}}'
    made = make_waypost(sections={"tracing": {"endpoint": collector.endpoint, "sample": 1.0}})
    with made.connect() as conn:
        conn.rows("SELECT 1")
        eventually(lambda: made.metric("waypost_trace_spans_total", outcome="lost") == 1, what="the loss counted")
    eventually(lambda: 'spans=1 error="it refused them: too old"' in made.log(), what="the loss told")
    eventually(lambda: made.metric("waypost_trace_spans_total", outcome="sent") > 0, what="the others counted")
