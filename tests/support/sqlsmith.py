"""sqlsmith: random queries made from the catalogue of a database."""

import re
import subprocess
import tempfile

import sqlsplit

# A query may run for a second; sqlsmith says so to the server itself.
REPORTED = re.compile(r"^(\d+)\t(.*)$", re.M)


def target(port, database):
    return f"host=127.0.0.1 port={port} user=postgres password=secret dbname={database}"


def queries(port, database, seed, count):
    """So many queries, not run."""
    command = ["sqlsmith", f"--target={target(port, database)}", f"--seed={seed}", f"--max-queries={count}", "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return sqlsplit.statements(done.stdout)


def run(port, database, seed, seconds):
    """Runs sqlsmith for so long; {kind of error: how often}, how many queries ended well or badly."""
    with tempfile.TemporaryFile("w+") as err, tempfile.TemporaryFile("w+") as out:
        command = ["timeout", "--signal=INT", str(seconds), "sqlsmith", f"--target={target(port, database)}", f"--seed={seed}", "--verbose"]
        subprocess.run(command, stdout=out, stderr=err, timeout=seconds + 60, check=False)
        err.seek(0)
        text = err.read()
    marks = re.sub(r"(?m)^(queries|AST|error rate|impedance|  ).*$|^\d+\t.*$", "", text)
    report = text[text.rfind("queries:") :]
    return {kind(message): int(times) for times, message in REPORTED.findall(report)}, len(re.findall(r"[.eStTC]", marks)), marks


def kind(message):
    """An error without what names one object or value."""
    message = re.sub(r'"[^"]*"', '"..."', message.replace("ERROR:  ", "").strip())
    message = re.sub(r"'[^']*'", "'...'", message)
    message = re.sub(r"\b(function|operator|type|relation|column|cast|table|input|value|operator class|access method) .*", r"\1 ...", message)
    return re.sub(r"-?\d+(\.\d+)?", "0", message)
