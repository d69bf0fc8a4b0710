"""The webhook: who is told that the primary is gone and that an operator did something, and what happens if he does not listen."""

import http.server
import json
import subprocess
import threading

import pytest
from waypost import BINARY, eventually

pytestmark = pytest.mark.proxy


class Receiver(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        self.events, self.tokens, self.status = [], set(), 204
        super().__init__(("127.0.0.1", 0), Taker)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/a/secret"

    def heard(self, kind, text=""):
        return [e for e in list(self.events) if e["kind"] == kind and text in e["text"]]


class Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/a/secret"
        self.server.tokens.add(self.headers["Authorization"])
        if self.server.status < 300:
            self.server.events.append(body)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_what_happens_is_told(cluster, make_waypost):
    with Receiver() as first, Receiver() as second:
        proxy = make_waypost(sections={"admin": {"webhook": first.url, "webhook_token": "t0ken", "socket": "admin.sock"}}, wait_for_split=True)

        def command(*words):
            return subprocess.run([BINARY, *words, "--config", proxy.config], capture_output=True, text=True, timeout=60, check=True).stdout

        try:
            cluster.stop_server("pg0")
            down = eventually(lambda: first.heard("server_down", "pg0 does not answer"), 30, "it is told that pg0 is down")[0]
            assert down["server"] == "pg0" and down["level"] == "warning" and down["waypost"]["pid"] == proxy.process.pid
            eventually(lambda: first.heard("primary_lost", "pg0"), 30, "it is told that there is no primary")
        finally:
            cluster.start_server("pg0")
        eventually(lambda: first.heard("primary_changed", "pg0 is the primary now"), 30, "it is told that there is one again")
        command("drain", "pg1")
        eventually(lambda: first.heard("change", "pg1"), what="it is told of the drain")
        assert first.tokens == {"Bearer t0ken"}
        # Elsewhere after a reload; the values are shown nowhere.
        proxy.config.write_text(proxy.config.read_text().replace(first.url, second.url).replace("t0ken", "an0ther"))
        changed = command("reload", "--json")
        assert json.loads(changed)["restart_needed"] == [] and {c["after"] for c in json.loads(changed)["changed"]} == {"***"}
        second.status = 404
        command("activate", "pg1")
        eventually(lambda: proxy.metric("waypost_webhook_events_total", outcome="lost") >= 1, what="it is lost")
        proxy.logged("webhook_lost", f'to={second.url.removesuffix("/a/secret")} ', "the status 404")
        second.status = 204
        command("pause", "--limit", "1s")
        eventually(lambda: second.heard("resume", "its limit has passed"), what="it is told of the pause and of its end")
        assert second.tokens == {"Bearer an0ther"}
        eventually(lambda: proxy.metric("waypost_webhook_events_total", outcome="sent") >= 6, what="what it took is counted")
        proxy.wait_for_split()
        assert "secret" not in proxy.log() and "t0ken" not in proxy.log()
