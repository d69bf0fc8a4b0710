"""What the admin API does is what its OpenAPI document says: schemathesis, from PyPI, finds nothing. It needs the network once."""

import shutil
import subprocess
import sys

import pytest
from cluster import ROOT
from test_admin_api import ADMIN, create

pytestmark = pytest.mark.proxy

VERSION = "4.32.5"
VENV = ROOT / "build/schemathesis" / VERSION


@pytest.fixture(scope="module")
def schemathesis():
    """The program, in a place of its own that is kept."""
    whole = VENV / "whole"
    if not whole.exists():
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True, timeout=120)
        subprocess.run([VENV / "bin/pip", "install", "-q", f"schemathesis=={VERSION}"], check=True, timeout=400)
        whole.touch()
    return VENV / "bin/schemathesis"


def finds_nothing(program, proxy, where, *options):
    done = subprocess.run(
        [program, "run", f"http://127.0.0.1:{proxy.admin_port}/openapi.json", "--seed", "1", "-H", "Accept: application/json", *options],
        capture_output=True, text=True, timeout=900, cwd=where,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


@pytest.mark.pypi
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("most", [2, pytest.param(30, marks=pytest.mark.long)])
def test_the_openapi_document_is_what_it_does(make_waypost, schemathesis, tmp_path, most):
    proxy = make_waypost(sections=ADMIN)
    token = create(proxy, "admin")
    few = ("--suppress-health-check", "all", "--max-examples", str(most), *(("--phases", "coverage,fuzzing") if most < 10 else ()))
    # It tries whether a request is refused without a token, which loop-back's are not.
    finds_nothing(schemathesis, proxy, tmp_path, *few, "--exclude-path", "/api/v1/login", "--exclude-checks", "ignored_auth",
                  "-H", f"Authorization: Bearer {token}")  # fmt: skip
    # At the end: its wrong tokens lock the address out.
    for header in ((), ("-H", "X-Waypost: 1")):
        finds_nothing(schemathesis, proxy, tmp_path, *few, "--include-path", "/api/v1/login", *header)
