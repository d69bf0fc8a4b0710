"""A real Prometheus, Debian's, that scrapes one Waypost twice a second."""

import contextlib
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from waypost import free_port


@contextlib.contextmanager
def scraping(waypost, folder, rules=None):
    """ask(path, **parameters): the data of its answer, None while it cannot say. `rules`: a file of rules that it evaluates."""
    config, port = folder / "prometheus.yml", free_port()
    config.write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\n"
        + (f"rule_files: [{rules}]\n" if rules else "")
        + "scrape_configs:\n- job_name: waypost\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{waypost.admin_port}']}}]\n"
    )

    def ask(path, **parameters):
        url = f"http://127.0.0.1:{port}/api/v1/{path}?" + urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it has not read its own log yet
                return None
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        except OSError:
            return None

    with open(folder / "prometheus.log", "wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield ask
    finally:
        process.terminate()
        process.wait(20)
