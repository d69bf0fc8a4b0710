"""The alert rules and the dashboard that are shipped: what they ask for exists in a running Waypost, and Prometheus takes them."""

import json
import re
import subprocess

import pytest
from cluster import ROOT
from prometheus import scraping
from waypost import eventually

pytestmark = pytest.mark.proxy

RULES = ROOT / "deploy/prometheus/waypost.rules.yaml"
RULES_TEST = ROOT / "deploy/prometheus/waypost.rules.test.yaml"
DASHBOARD = ROOT / "deploy/grafana/waypost.json"
METRIC = re.compile(r"\b((?:waypost|process)_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
FROM_PROMETHEUS = {"job", "instance", "le"}
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def rule_expressions():
    """{alert: expression}; the file is YAML of one form, and PyYAML is no part of what the tests need."""
    found = re.findall(r"- alert: (\w+)\n    expr: (?:>-\n((?:      .*\n)+)|(.*)\n)", RULES.read_text())
    return {name: " ".join((block or line).split()) for name, block, line in found}


def dashboard_expressions():
    board = json.loads(DASHBOARD.read_text())
    targets = [(f"{panel['title']} {t['refId']}", t["expr"]) for panel in board["panels"] for t in panel.get("targets", ())]
    notes = [(note["name"], note["expr"]) for note in board["annotations"]["list"]]
    asked = dict(targets + notes)
    assert len(asked) == len(targets) + len(notes), "two panels of one title"
    return {
        title: expr.replace("$__rate_interval", "1m").replace("$job", "waypost").replace("$instance", ".+")
        for title, expr in asked.items()
    }


def series_of(waypost):
    """{metric: [{label: value}]} of /metrics."""
    known = {}
    for series in waypost.metrics():
        name, _, labels = series.partition("{")
        known.setdefault(name, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels)))
    return known


def faults_of(expression, known):
    """What `expression` asks for and a Waypost does not have: metrics, labels, values of labels."""
    faults, labels = [], set(FROM_PROMETHEUS)
    for name, selector in METRIC.findall(expression):
        if name not in known:
            faults.append(f"no metric {name}")
            continue
        labels.update(*known[name])
        matching = known[name]
        for label, operator, value in MATCHER.findall(selector):
            if label in FROM_PROMETHEUS:
                continue
            keep = {"=": lambda v, w: v == w, "=~": lambda v, w: re.fullmatch(w, v), "!=": lambda v, w: v != w,
                    "!~": lambda v, w: not re.fullmatch(w, v)}[operator]  # fmt: skip
            for wanted in value.split("|") if operator == "=~" else [value]:
                if not any(label in s and keep(s[label], wanted) for s in matching):
                    faults.append(f"no {name} with {label}{operator}{wanted}")
    for group in GROUPING.findall(expression):
        faults += [f"no label {label}" for label in group.replace(" ", "").split(",") if label not in labels]
    return faults


def test_a_fault_in_an_expression_is_seen():
    known = {"waypost_server_up": [{"server": "pg0"}], "waypost_pool_wait_seconds_bucket": [{"server": "pg0", "le": "1"}]}
    assert not faults_of('sum by (server, le) (rate(waypost_pool_wait_seconds_bucket{server=~"pg0"}[1m]))', known)
    assert faults_of("waypost_server_upp", known) == ["no metric waypost_server_upp"]
    assert faults_of('waypost_server_up{role="primary"}', known) == ["no waypost_server_up with role=primary"]
    assert faults_of('waypost_server_up{server=~"pg0|pg9"}', known) == ["no waypost_server_up with server=~pg9"]
    assert faults_of("sum by (node) (waypost_server_up)", known) == ["no label node"]


def test_every_expression_asks_for_what_exists(make_waypost):
    made = make_waypost(wait_for_split=True, sections={"rule": [{"name": "some", "table": "nothing"}]})
    known = series_of(made)
    asked = {**rule_expressions(), **dashboard_expressions()}
    assert len(rule_expressions()) == RULES.read_text().count("- alert:") > 20 and len(asked) > 60
    assert not {name: faults for name, expression in asked.items() if (faults := faults_of(expression, known))}


def test_each_alert_is_tested_to_fire_and_to_keep_quiet():
    done = subprocess.run(["promtool", "test", "rules", RULES_TEST.name], cwd=RULES_TEST.parent, capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    text = RULES_TEST.read_text()
    for alert in rule_expressions():
        assert f"{{alertname: {alert}, eval_time" in text, f"{alert} is not tested to keep quiet"
        assert f"- alertname: {alert}\n" in text, f"{alert} is not tested to fire"


def test_a_real_prometheus_takes_rules_and_panels(waypost, tmp_path):
    with scraping(waypost, tmp_path, RULES) as ask, waypost.connect() as conn:
        def result(expression):
            data = ask("query", query=expression)
            return data and data["result"]

        def rules():
            groups = (ask("rules") or {"groups": []})["groups"]
            return groups and [rule for rule in groups[0]["rules"] if rule["health"] == "ok"]

        def rate_known():
            conn.rows("SELECT count(*) FROM probe_me")
            return result("sum(rate(waypost_queries_total[1m])) > 0")

        eventually(rate_known, 30, "two scrapes between which something ran")
        eventually(lambda: len(rules()) == len(rule_expressions()), 30, "every rule evaluated")
        known = {rule["name"]: rule for rule in rules()}
        assert not [rule["lastError"] for rule in known.values() if rule.get("lastError")]
        assert known["WaypostDown"]["state"] == known["WaypostNoPrimary"]["state"] == "inactive"
        for title, expression in dashboard_expressions().items():
            assert result(expression) is not None, title


def test_users_and_databases_make_no_series(cluster, waypost):
    with waypost.connect() as conn:
        conn.rows("SELECT 1")
    before = {series for series in waypost.metrics() if "admin_requests" not in series}
    for number in range(5):
        cluster.sql(f"CREATE DATABASE series_{number} OWNER openfire", database="postgres")
        with waypost.connect(database=f"series_{number}", application_name=f"app {number}") as conn:
            conn.rows(f"SELECT {number}")
    assert {series for series in waypost.metrics() if "admin_requests" not in series} == before
    for number in range(5):
        cluster.sql(f"DROP DATABASE series_{number} WITH (FORCE)", database="postgres")
