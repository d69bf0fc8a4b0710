"""The command line, signals and reload."""

import json
import os
import re
import signal
import subprocess
import threading

import pytest
import waypost as waypost_process
import wire
from waypost import BINARY, eventually

pytestmark = pytest.mark.proxy


def run(*args):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def proxy(make_waypost):
    return make_waypost(wait_for_split=True)


def test_help_and_version():
    for flag in ("--help", "-h"):
        done = run(flag)
        assert done.returncode == 0 and done.stderr == ""
        for word in ("--config", "check", "route", "--version"):
            assert word in done.stdout
    done = run("--version")
    assert done.returncode == 0 and re.search(r"waypost \d+\.\d+\.\d+", done.stdout)
    for command in ("check", "route"):
        done = run(command, "--help")
        assert done.returncode == 0 and "--config" in done.stdout


def test_config_is_asked_for():
    for command in ([], ["check"], ["route", "SELECT 1"]):
        done = run(*command)
        assert done.returncode == 64 and "--config" in done.stderr


def test_config_ahead_of_a_command(proxy):
    assert run("--config", proxy.config, "check").returncode == 0


def test_route_offline_needs_no_config():
    done = run("route", "--offline", "SELECT 1")
    assert done.returncode == 0 and re.search(r"^target: +replica", done.stdout, re.MULTILINE)
    done = run("route", "--offline", "--config", "/no/such/file.toml", "SELECT 1")
    assert done.returncode == 78


@pytest.mark.parametrize("args", [["--nonsense"], ["nonsense"], ["check", "--nonsense"], ["route"], ["--config"]])
def test_wrong_usage(args):
    done = run(*args)
    assert done.returncode not in (0, 70, -6, -11) and done.stderr + done.stdout


def test_no_such_file():
    for command in ([], ["check"], ["route", "SELECT 1"]):
        done = run(*command, "--config", "/no/such/file.toml")
        assert done.returncode == 78 and "/no/such/file.toml" in done.stderr


def test_check_is_content(proxy):
    done = run("check", "--config", proxy.config)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "wrong, line, key",
    [("[listen]\nport = 70000\n", 2, "port"), ("[listen]\nport = \"x\"\n", 2, "port"), ("[routing]\nread_from = \"x\"\n", 2, "read_from"),
     ("\n\n[nonsense]\n", 3, "nonsense"), ("[pool]\nmode = 5\n", 2, "mode"), ("[listen\n", 1, ""), ("[pool]\nnonsense = 1\n", 2, "nonsense"),
     ("[pool]\nidle_timeout = \"5 lightyears\"\n", 2, "idle_timeout")],
)  # fmt: skip
def test_check_says_where_and_what(cluster, tmp_path, wrong, line, key):
    whole = waypost_process.Waypost(cluster)
    whole.write_config()
    table = re.search(r"\[(\w+)", wrong)[1]
    rest = re.sub(rf"^\[{table}\]\n(?:[^\[\n].*\n)*", "", whole.config.read_text(), flags=re.M)
    path = tmp_path / "wrong.toml"
    path.write_text(wrong + rest)
    for command in (["check"], []):
        done = run(*command, "--config", path)
        assert done.returncode == 78, done.stderr
        assert re.search(rf"^{re.escape(str(path))}:{line}:.*{key}", done.stderr + done.stdout, re.M), done.stderr


def test_check_tells_of_secrets_that_others_can_read(proxy):
    for mode, told in ((0o644, True), (0o600, False)):
        proxy.config.chmod(mode)
        done = run("check", "--config", proxy.config)
        assert done.returncode == 0 and ("found mode 0644, and monitor.password stands in the file" in done.stdout) == told, done
    proxy.logged("config_exposed")  # it was 0644 when it was started


def test_each_command_answers_as_json(proxy, tmp_path):
    proxy.config.chmod(0o600)
    told = {"path": str(proxy.config), "ok": True, "faults": [], "warnings": []}
    assert json.loads(run("check", "--json", "--config", proxy.config).stdout) == told
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[nonsense]\n[pool]\nmode = 5\n")
    done = run("check", "--json", "--config", wrong)
    answer = json.loads(done.stdout)
    assert done.returncode == 78 and done.stderr == "" and not answer["ok"]
    assert {f"{wrong}:1:nonsense:", f"{wrong}:3:pool.mode:"} <= {line.split(" ")[0] for line in answer["faults"]}, answer

    for where in (["--offline"], ["--config", proxy.config]):
        done = run("route", "--json", "--database", "openfire", *where, "SELECT 1; DELETE FROM probe_me")
        answer = json.loads(done.stdout)
        assert done.returncode == 0 and answer["target"] == "primary" and answer["reason"] == "multi_statement", done
        assert [s["class"] for s in answer["statements"]] == ["read", "write"]

    for file in ([], ["--file", tmp_path / "tokens"]):
        done = run("token", "create", "--json", "--role", "viewer", "--name", "ann", *file)
        answer = json.loads(done.stdout)
        assert done.returncode == 0 and answer["name"] == "ann" and answer["role"] == "viewer"
        assert answer["token"].startswith("waypost_") and answer["line"].startswith("ann viewer ") and answer["token"] not in answer["line"]
        assert answer["file"] == (str(file[1]) if file else None)
    assert answer["line"] in (tmp_path / "tokens").read_text()


def test_check_never_shows_a_secret(cluster, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text('[monitor]\nuser = "postgres"\npassword = ["TOPSECRET"]\n[[user]]\nname = "x"\npassword = "TOPSECRET"\nscram = "TOPSECRET"\n')
    done = run("check", "--config", path)
    assert done.returncode == 78 and "TOPSECRET" not in done.stderr + done.stdout


ROUTES = [("SELECT 1", "replica"), ("SELECT * FROM probe_me", "replica"), ("INSERT INTO probe_me VALUES (1)", "primary"),
          ("SELECT nextval('x')", "primary"), ("SELECT * FROM probe_me FOR UPDATE", "primary"), ("SELEKT", "primary")]  # fmt: skip


@pytest.mark.parametrize("sql, target", ROUTES)
def test_route(proxy, sql, target):
    done = run("route", "--config", proxy.config, "--database", "openfire", "--user", "openfire", sql)
    assert done.returncode == 0, done.stderr
    assert target in done.stdout


@pytest.mark.parametrize("sql, target", [r for r in ROUTES if r[0] != "SELECT * FROM probe_me"])
def test_route_offline(proxy, sql, target):
    done = run("route", "--offline", "--config", proxy.config, sql)
    assert done.returncode == 0, done.stderr
    assert target in done.stdout


def test_port_taken(cluster):
    first = waypost_process.Waypost(cluster).start()
    second = waypost_process.Waypost(cluster)
    second.port = first.port
    try:
        second.write_config()
        done = run("--config", second.config)
        assert done.returncode not in (0, -6, -11) and str(first.port) in done.stderr + done.stdout
    finally:
        first.close()


def test_sigterm_lets_statements_and_transactions_end(cluster, make_waypost, marker):
    proxy = make_waypost()
    with proxy.connect(timeout=40) as busy, proxy.connect() as idle, proxy.connect() as in_transaction:
        in_transaction.rows("BEGIN")
        in_transaction.rows("CREATE TABLE IF NOT EXISTS drained (i int)")
        busy.send(wire.query(f"SELECT pg_sleep(1), pg_is_in_recovery() /* {marker} */"))
        eventually(lambda: marker in cluster.log("pg0"), what="the statement runs")
        proxy.process.send_signal(signal.SIGTERM)
        eventually(lambda: refuses(proxy), what="new clients are refused")
        assert wire.sqlstates(idle.drain()) in (["57P01"], [])
        assert wire.types(busy.until()).startswith("TD")
        in_transaction.rows("INSERT INTO drained VALUES (1)")
        in_transaction.send(wire.query("COMMIT"))
        assert "C" in wire.types(in_transaction.until())
        assert proxy.process.wait(20) == 0
    assert cluster.sql("SELECT count(*) FROM drained") == [["1"]]
    cluster.sql("DROP TABLE drained")


def refuses(proxy):
    try:
        proxy.connect().shut()
        return False
    except (OSError, wire.ServerError, ConnectionError):
        return True


def test_drain_has_an_end(make_waypost):
    proxy = make_waypost(sections={"top": {"drain_timeout": "500ms"}})
    with proxy.connect() as conn:
        conn.rows("BEGIN")
        conn.rows("SELECT pg_is_in_recovery()")
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(15) == 0


def test_sigint_stops_too(make_waypost):
    proxy = make_waypost()
    proxy.process.send_signal(signal.SIGINT)
    assert proxy.process.wait(15) == 0


def logs_in(proxy, user, database):
    try:
        with proxy.connect(user, database=database) as conn:
            return conn.value("SELECT current_user") == user
    except (wire.ServerError, ConnectionError):
        return False


def test_reload_of_users(proxy):
    with proxy.connect() as before:
        before.rows("BEGIN")
        assert not logs_in(proxy, "alice", "other")
        proxy.users = [{"name": "openfire", "password": "openfire"}, {"name": "alice", "password": "alice"}]
        proxy.write_config()
        proxy.hangup()
        eventually(lambda: logs_in(proxy, "alice", "other"), what="the new user logs in")
        proxy.users = [{"name": "openfire", "password": "openfire"}]
        proxy.write_config()
        proxy.hangup()
        eventually(lambda: not logs_in(proxy, "alice", "other"), what="the user is gone")
        assert before.value("SELECT 1") == "1"
        before.rows("COMMIT")


def test_reload_of_servers(cluster, proxy):
    ran = set()
    all_servers = [{"name": n, "host": "127.0.0.1", "port": p} for n, p in cluster.ports.items()]
    with proxy.connect() as conn:
        for servers in (all_servers[:2], all_servers):
            proxy.servers = servers
            proxy.write_config()
            proxy.hangup()
            names = {s["name"] for s in servers}
            eventually(lambda names=names: set(re.findall(r'"(pg\d)"', proxy.get("/api/v1/servers")[1])) == names, what=str(names))
            proxy.wait_for_split()
            for _ in range(10):
                assert conn.value("SELECT count(*) FROM probe_me") == "100"
            ran.add(len(names))
    assert ran == {2, 3}


def test_reload_of_limits(proxy):
    proxy.sections = {"listen": {"max_clients": 2}}
    proxy.write_config()
    proxy.hangup()

    def third_is_refused():
        conns = []
        try:
            for _ in range(3):
                conns.append(proxy.connect())
            return False
        except wire.ServerError as error:
            return error.sqlstate == "53300"
        finally:
            for conn in conns:
                conn.shut()

    eventually(third_is_refused, what="the new limit")


def test_reload_of_a_wrong_file_keeps_the_old(proxy):
    good = proxy.config.read_text()
    with proxy.connect() as conn:
        for wrong in ("[listen", good + "\n[nonsense]\n", good.replace("openfire", "", 1), ""):
            before = proxy.log().count("reload")
            proxy.config.write_text(wrong)
            proxy.hangup()
            eventually(lambda before=before: proxy.log().count("reload") > before, what="a word in the log")
            assert conn.value("SELECT count(*) FROM probe_me") == "100"
            assert logs_in(proxy, "openfire", "openfire")
        proxy.counted(0, "waypost_config_last_reload_success")
        os.unlink(proxy.config)
        proxy.hangup()
        assert logs_in(proxy, "openfire", "openfire")
        proxy.config.write_text(good)
        proxy.hangup()
        eventually(lambda: proxy.metric("waypost_config_last_reload_success") == 1, what="reloaded")


@pytest.mark.threads
def test_reload_under_load(proxy):
    stop, failures = threading.Event(), []

    def load():
        try:
            while not stop.is_set():
                with proxy.connect() as conn:
                    for _ in range(10):
                        conn.rows("SELECT count(*) FROM probe_me")
                        conn.rows("SELECT pg_is_in_recovery()")
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        proxy.write_config()
        proxy.hangup()
        proxy.route("SELECT count(*) FROM probe_me")
        proxy.metrics()
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not failures


def test_logs_hold_no_secrets_and_no_literals(make_waypost):
    proxy = make_waypost()
    with proxy.connect() as conn:
        conn.simple("SELECT 'LITERALSECRET' FROM nowhere")
        conn.simple("SELECT 'LITERALSECRET', 1/0")
        conn.send(wire.parse("", "SELECT $1::int"), wire.bind("", "", ["PARAMSECRET"]), wire.execute(), wire.sync())
        conn.until()
    with pytest.raises(wire.ServerError):
        proxy.connect(password="WRONGSECRET")
    assert proxy.stop() == 0
    log = proxy.log()
    assert log and not re.search("LITERALSECRET|PARAMSECRET|WRONGSECRET|password=|'secret'", log)
