"""A real browser before Waypost's page: Debian's Chromium without a screen, and axe-core, which finds what shuts people out."""

import contextlib
import json
import subprocess
import zipfile

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

import cluster as clusters

AXE_VERSION = "4.10.1"
AXE = clusters.ROOT / "build/axe-core" / AXE_VERSION
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
            "--disable-background-networking", "--disable-component-update", "--no-first-run", "--force-prefers-reduced-motion")  # fmt: skip


def axe_source():
    """The text of axe.min.js; Maven Central is asked for it once."""
    jar = AXE / f"selenium-{AXE_VERSION}.jar"
    if not jar.exists():
        command = ["mvn", "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy",
                   f"-Dartifact=com.deque.html.axe-core:selenium:{AXE_VERSION}", f"-DoutputDirectory={AXE}"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    with zipfile.ZipFile(jar) as archive:
        return archive.read("axe.min.js").decode()


class Browser:
    """One window."""

    def __init__(self):
        options = Options()
        for switch in SWITCHES:
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_script_timeout(30)

    def look(self, width, dark=False, height=900):
        """As on a screen of that width and that preference."""
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def open(self, url):
        self.driver.get(url)

    def run(self, script, *args):
        """What `script` returns in the page."""
        return self.driver.execute_script(script, *args)

    def text(self, selector):
        """What a person reads there; "" if it is not there or not shown."""
        return next(iter(self.texts(selector)), "")

    def texts(self, selector):
        """The same of all that are shown."""
        return self.run("return [...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length).map(e => e.innerText)", selector)

    def click(self, selector):
        self.driver.find_element("css selector", selector).click()

    def type(self, selector, text):
        field = self.driver.find_element("css selector", selector)
        field.clear()
        field.send_keys(text)

    def press(self, *keys):
        """On the keyboard, wherever the focus is."""
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def tab_to(self, selector, most=400):
        """Presses Tab until the focus is there."""
        for _ in range(most):
            self.press(Keys.TAB)
            if self.run("return document.activeElement.matches(arguments[0])", selector):
                return
        raise AssertionError(f"{selector} is not reached by Tab")

    def said(self):
        """What the console has said since the last call, but for what is only for debugging."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "DEBUG"]

    def axe(self, selector="html"):
        """Violations in there, each as "rule: where"."""
        if not self.run("return Boolean(window.axe)"):
            self.run(axe_source())
        found = self.driver.execute_async_script(
            "const [where, done] = arguments; axe.run(where, {resultTypes: ['violations']}).then(r => done(JSON.stringify(r.violations)), e => done(String(e)))", selector)
        return [f"{violation['id']}: {[node['target'] for node in violation['nodes']]}" for violation in json.loads(found)]

    def close(self):
        with contextlib.suppress(Exception):
            self.driver.quit()
