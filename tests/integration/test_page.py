"""The page of the admin port, in a real browser before a real cluster."""

import re
import signal
import subprocess
import time
import urllib.request

import pytest

import waypost as waypost_process
import wire
from browser import Browser
from selenium.webdriver.common.keys import Keys

pytestmark = [pytest.mark.proxy, pytest.mark.browser]
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
eventually = waypost_process.eventually


@pytest.fixture(scope="module")
def browser():
    made = Browser()
    yield made
    made.close()


@pytest.fixture(scope="module")
def waypost(cluster):
    """One of its own: what others did to theirs would be on the page."""
    with waypost_process.running(cluster) as made:
        yield made


@pytest.fixture
def page(browser, waypost):
    browser.look(1440)
    browser.said()
    browser.open(f"http://127.0.0.1:{waypost.admin_port}/")
    eventually(lambda: browser.text("#servers"), what="servers on the page")
    return browser


def number(text):
    return float(re.search(r"[\d.]+", text.replace(",", ""))[0])


def test_loads_nothing_from_elsewhere_and_says_nothing_in_the_console(page, waypost):
    port = waypost.admin_port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as reply:
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
    eventually(lambda: page.text("#digests-note"), what="statements")
    loaded = page.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert loaded and all(name.startswith(f"http://127.0.0.1:{port}/") for name in loaded), loaded
    eventually(lambda: page.run("return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/status')).length > 2"), what="rounds")
    assert page.said() == []
    # What is not its own is refused by the browser.
    page.run("const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s)")
    assert page.run("return window.broken") is None
    assert any("Content Security Policy" in line for line in page.said())


def test_shows_servers_and_live_figures(page, waypost):
    assert page.text("#headline") == "All is well", page.text("#verdict")
    assert [text.splitlines()[0] for text in page.texts("#servers > li")] == ["pg0", "pg1", "pg2"]
    assert "takes writes" in page.texts("#servers > li")[0] and "takes reads" in page.texts("#servers > li")[1]
    with waypost.connect() as conn:

        def rate_is_seen():
            for _ in range(40):
                conn.rows("SELECT t FROM probe_me WHERE id = 1")
            return page.text("#total-rate") not in ("–", "") and number(page.text("#total-rate")) > 0

        eventually(rate_is_seen, what="a rate")
        assert page.text("#clients-count") not in ("0", "–")
        eventually(lambda: any(float_in(text) for text in page.texts("#charts-grid .legend li")), what="a chart that moves")
        longest = "return Math.max(...[...document.querySelectorAll('#charts-grid path')].map(e => e.getAttribute('d').length))"
        eventually(lambda: page.run(longest) > 30, what="a line that grows")


def float_in(text):
    found = re.search(r"[\d.]+(?= /s)", text)
    return found and float(found[0]) > 0


def test_tells_why_a_statement_runs_on_the_primary_and_what_would_change_that(page, waypost):
    with waypost.connect() as conn:
        conn.simple("CREATE OR REPLACE FUNCTION page_count() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT count(*) FROM probe_me'")
        eventually(lambda: waypost.route("SELECT page_count()")["reason"] == "volatile_function", what="the function in the catalogue")
        conn.rows("SELECT page_count()")
    page.type("#digests-find", "SELECT page_count")
    eventually(lambda: "ALTER FUNCTION public.page_count() STABLE" in page.text("#digests-table"), what="advice")
    row = page.text("#digests-table tbody tr")
    assert "SELECT page_count()" in row and "function public.page_count() is volatile" in row
    page.click("#digests-table tbody button")
    eventually(lambda: "goes to the primary, now pg0" in page.text("#route-answer"), what="an answer")
    assert "public.page_count() is volatile" in page.text("#route-answer")


def test_answers_where_a_statement_goes(page, waypost):
    page.type("#route-database", "openfire")
    page.type("#route-user", "openfire")
    page.type("#route-sql", "SELECT count(*) FROM probe_me")
    page.click("#route-form [type=submit]")
    eventually(lambda: "It goes to a replica, now pg" in page.text("#route-answer"), what="an answer")
    page.type("#route-sql", "SELECT 1; DELETE FROM probe_me")
    page.click("#route-form [type=submit]")
    eventually(lambda: "It goes to the primary, now pg0" in page.text("#route-answer"), what="another answer")
    assert "DELETE FROM probe_me" in page.text("#route-answer")


def test_a_reader_keeps_focus_place_and_selection(page, waypost):
    page.type("#digests-find", "probe_me")
    page.run("window.kept = document.querySelector('#servers .address'); getSelection().selectAllChildren(kept); scrollTo(0, 300)")
    page.run("document.querySelector('#digests-find').focus()")
    page.run("getSelection().selectAllChildren(kept); window.asked = performance.getEntriesByType('resource').length")
    picked = page.run("return String(getSelection())")
    assert picked.startswith("127.0.0.1:")
    place = page.run("return scrollY")
    eventually(lambda: page.run("return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/status')).length > 3"), what="rounds")
    assert page.run("return kept.isConnected && kept === document.querySelector('#servers .address')")
    assert page.run("return String(getSelection())") == picked
    assert page.run("return scrollY") == place


def test_nobody_is_shut_out(page, waypost):
    """axe-core: 0 violations, at the widths and in the colours that people use; nothing is wider than the screen."""
    with waypost.connect() as conn:
        conn.rows("SELECT count(*) FROM probe_me")
        conn.rows("UPDATE probe_me SET t = t WHERE id = 1")
    eventually(lambda: page.run("return document.querySelectorAll('#digests-table tbody tr').length") > 0, what="statements")
    for width, dark in ((360, False), (360, True), (1920, False), (1920, True)):
        page.look(width, dark)
        time.sleep(0.1)
        assert page.run("return document.documentElement.scrollWidth") <= width
        assert page.axe() == [], (width, dark)
    for width in (360, 800, 1280, 3840):
        page.look(width)
        assert page.run("return document.documentElement.scrollWidth") <= width
    for dialog in ("#ask", "#login"):
        page.run("const d = document.querySelector(arguments[0]); for (const e of d.querySelectorAll('h2:empty, button:empty')) e.textContent = 'x'; d.showModal()", dialog)
        assert page.axe(dialog) == [], dialog
        page.run("document.querySelector(arguments[0]).close()", dialog)


def test_tells_what_is_wrong_and_since_when(page, waypost, cluster):
    eventually(lambda: page.text("#headline") == "All is well", what="all well")
    cluster.stop_server("pg2")
    try:
        eventually(lambda: "pg2 is down" in page.text("#faults"), what="pg2 down")
        fault = next(text for text in page.texts("#faults li") if "pg2 is down" in text)
        assert re.search(r"since \d\d:\d\d:\d\d \(\d+ s\)", fault)
        assert "down" in page.texts("#servers > li")[2]
        assert page.run("return document.title").startswith("✕")
        assert page.axe("#overview") == []
    finally:
        cluster.start_server("pg2")
        waypost.wait_for_split()
    eventually(lambda: page.text("#headline") == "All is well", 30, "all well again")


def test_tells_that_contact_is_lost_and_recovers(browser, make_waypost):
    waypost = make_waypost()
    browser.look(1440)
    browser.open(f"http://127.0.0.1:{waypost.admin_port}/")
    eventually(lambda: browser.text("#servers"), what="servers on the page")
    assert browser.text("#lost") == ""
    waypost.process.send_signal(signal.SIGSTOP)  # it neither answers nor refuses
    try:
        eventually(lambda: "No contact with Waypost" in browser.text("#lost"), 25, "the loss, while it hangs")
    finally:
        waypost.process.send_signal(signal.SIGCONT)
    eventually(lambda: browser.text("#lost") == "", what="contact again")
    assert waypost.stop() == 0
    eventually(lambda: re.search(r"Since \d\d:\d\d:\d\d\.", browser.text("#lost")), what="the loss, and since when")
    assert browser.run("return document.title").startswith("?")
    assert browser.text("#servers")  # what was known is still there
    waypost.spawn()
    eventually(lambda: browser.text("#lost") == "", 30, "contact again")
    eventually(lambda: browser.text("#headline") == "All is well", 30, "all well again")
    browser.open("about:blank")  # its connections would delay the end of Waypost


def test_text_from_outside_stays_text(browser, cluster, make_waypost):
    name, word = "<b>database", MARKUP[:60]
    cluster.sql(f'CREATE DATABASE "{name}" OWNER openfire', database="postgres")
    waypost = make_waypost()  # one that may remember the database afterwards
    try:
        browser.open(f"http://127.0.0.1:{waypost.admin_port}/")
        browser.said()
        with waypost.connect(database=name, application_name=word) as conn:
            conn.rows(f'SELECT 1 AS "{word}"')
            conn.simple(f'SELECT * FROM "{word}"')
            browser.run("document.querySelector('#digests-which').value = 'all'")
            browser.type("#digests-find", name)
            eventually(lambda: f"{name} · openfire" in browser.text("#digests-table"), what="the database, as text")
            browser.type("#digests-find", word)
            eventually(lambda: word in browser.text("#digests-table"), what="the statement, as text")
            browser.type("#route-sql", f"SELECT '{MARKUP}'::\"{word}\"")
            browser.click("#route-form [type=submit]")
            eventually(lambda: "It goes to" in browser.text("#route-answer"), what="an answer")
            browser.type("#route-database", name + MARKUP)
            browser.click("#route-form [type=submit]")
            time.sleep(0.2)
            assert browser.run("return document.querySelectorAll('main img, main script').length") == 0
            assert not [line for line in browser.said() if "Content Security Policy" in line]
    finally:
        browser.open("about:blank")
        cluster.sql(f'DROP DATABASE "{name}" WITH (FORCE)', database="postgres")


def operator_token(tokens):
    made = subprocess.run([waypost_process.BINARY, "token", "create", "--role", "operator", "--name", "ann", "--file", tokens],
                          capture_output=True, text=True, timeout=30, check=True)  # fmt: skip
    return next(word for word in made.stdout.split() if word.startswith("waypost_"))


def test_all_is_reached_and_done_by_keyboard(browser, make_waypost, tmp_path):
    tokens = tmp_path / "tokens"
    token = operator_token(tokens)
    waypost = make_waypost(sections={"admin": {"tokens_file": str(tokens)}})
    with waypost.connect() as conn:
        conn.rows("UPDATE probe_me SET t = t WHERE id = 1")
        browser.look(1440)
        browser.open(f"http://127.0.0.1:{waypost.admin_port}/")
        browser.press(Keys.TAB)
        assert browser.run("return document.activeElement.className") == "skip"  # the first of all
        eventually(lambda: browser.text("#login-open"), what="who I am")
        browser.tab_to("#login-open")
        browser.press(Keys.ENTER)
        eventually(lambda: browser.text("#login"), what="the dialog")
        browser.tab_to("#token")
        browser.press(token, Keys.ENTER)
        eventually(lambda: "ann: operator" in browser.text("#who"), what="the role")
        eventually(lambda: browser.text("#digests-table tbody button"), what="statements")
        eventually(lambda: browser.text("#sessions-table .act"), what="sessions")
        eventually(lambda: browser.text("#servers > li:nth-child(2) .act"), what="buttons")

        # Whatever can be used is reached; what comes and goes meanwhile does not count.
        browser.run("window.toReach = new Set([...document.querySelectorAll('a[href], button, input, select, textarea')]"
                    ".filter(e => e.getClientRects().length && !e.disabled))")  # fmt: skip
        left = "return [...toReach].filter(e => e.isConnected && e.getClientRects().length).map(e => e.outerHTML.slice(0, 120))"
        count = browser.run("return toReach.size")
        assert count > 20
        for _ in range(3 * count):
            browser.press(Keys.TAB)
            browser.run("toReach.delete(document.activeElement)")
            if not browser.run(left):
                break
        assert browser.run(left) == []

        drain = "#servers > li:nth-child(2) .act:nth-of-type(1)"
        browser.tab_to(drain)
        browser.press(Keys.ENTER)
        eventually(lambda: "Drain pg1?" in browser.text("#ask"), what="the question")
        browser.press(Keys.ESCAPE)  # nothing happens
        eventually(lambda: not browser.text("#ask"), what="the end of the question")
        browser.tab_to(drain)
        browser.press(Keys.ENTER)
        eventually(lambda: "Drain pg1?" in browser.text("#ask"), what="the question")
        browser.tab_to("#ask-go")
        browser.press(Keys.ENTER)
        eventually(lambda: "draining" in browser.texts("#servers > li")[1], what="drained")
        browser.tab_to("#digests-table tbody button")
        browser.press(Keys.ENTER)
        eventually(lambda: "It goes to" in browser.text("#route-answer"), what="an answer")
    browser.open("about:blank")


def test_acts_for_those_who_may_and_asks_first(browser, make_waypost, tmp_path):
    tokens = tmp_path / "tokens"
    token = operator_token(tokens)
    waypost = make_waypost(sections={"admin": {"tokens_file": str(tokens)}})
    client = waypost.connect(application_name="to be ended")
    client.rows("SELECT count(*) FROM probe_me")
    server = lambda: browser.texts("#servers > li")[1]  # noqa: E731

    def confirm(button, *words):
        browser.click(button)
        for word in words:
            assert word in browser.text("#ask"), browser.text("#ask")
        browser.click("#ask-go")
        eventually(lambda: browser.text("#ask") == "" or browser.text("#ask-error"), what="the end of the dialog")
        assert browser.text("#ask-error") == ""

    browser.look(1440)
    browser.open(f"http://127.0.0.1:{waypost.admin_port}/")
    eventually(lambda: "viewer" in browser.text("#who"), what="who I am")
    eventually(lambda: browser.text("#servers"), what="servers")
    assert not any(browser.texts("main .act"))  # nothing that would be refused
    browser.click("#login-open")
    browser.type("#token", "wrong")
    browser.click("#login-form .go")
    eventually(lambda: browser.text("#login-error"), what="that the token is wrong")
    browser.type("#token", token)
    browser.click("#login-form .go")
    eventually(lambda: "ann: operator" in browser.text("#who"), what="the role")
    drain, activate = ("#servers > li:nth-child(2) .act:nth-of-type(%d)" % place for place in (1, 3))
    eventually(lambda: "Drain" in server(), what="buttons")

    browser.click(drain)
    assert browser.axe("#ask") == []
    browser.click("#ask-keep")  # nothing happens
    confirm(drain, "Drain pg1?", "No read begins on pg1 any more", "Deadline")
    eventually(lambda: "draining" in server() and "pg1 is being drained" in browser.text("#faults"), what="drained")
    assert browser.text("#headline") == "All is well"  # what was ordered is no fault
    confirm(activate, "Use pg1 again?")
    eventually(lambda: "takes reads" in server(), 30, "active")

    confirm("#pause", "Pause the cluster?", "Statements wait in Waypost")
    eventually(lambda: "Writes are paused until" in browser.text("#faults"), what="paused")
    confirm("#resume", "go on now")
    eventually(lambda: "paused" not in browser.text("#faults"), what="resumed")
    eventually(lambda: "server pg1: drain" in browser.text("#events"), what="events")

    eventually(lambda: "to be ended" in browser.text("#sessions-table"), what="the session")
    assert "SELECT count(*) FROM probe_me" in browser.text("#sessions-table")
    eventually(lambda: "pg" in browser.text("#pools-table"), what="pools")
    confirm("#sessions-table .do .act:nth-of-type(2)", "57P01", "SELECT count(*) FROM probe_me")
    assert wire.sqlstates(client.until("E")) == ["57P01"]
    eventually(lambda: "to be ended" not in browser.text("#sessions-table"), what="it is gone")
    for width in (360, 1440):
        browser.look(width)
        assert browser.axe("main") == []
        assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.click("#logout")
    eventually(lambda: "viewer" in browser.text("#who") and not any(browser.texts("main .act")), what="no buttons")
    browser.open("about:blank")
