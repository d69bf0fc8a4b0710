"""Plays a wire transcript (tests/corpus/*.txt) and shows every reply as one line of text.

A transcript is a list of frontend messages; the expected replies are not written down: PostgreSQL's are the oracle.
Line by line:

    # comment
    ! SQL                     run on the primary itself before the play (must be repeatable)
    @startup {"user": ...}    start-up parameters besides user and database; before the first message
    > Query "SELECT 1"        collect a message: its name and arguments as JSON, separated by commas
    < Z                       send what was collected, read until a message of that type
    < Z 2                     ... until the second one
    < EOF                     ... until the connection is closed
    b> / b<                   the same on a second connection, opened by its first use; any other word likewise
    ~                         send what was collected, read nothing

The messages are those of wire.py by their protocol names; Raw "hex" sends bytes as they are.
"""

import json
import pathlib
import re
import struct
import time

import wire

CORPUS = pathlib.Path(__file__).resolve().parents[1] / "corpus"
BUILDERS = {
    "Query": wire.query,
    "Parse": wire.parse,
    "Bind": wire.bind,
    "Describe": wire.describe,
    "Execute": wire.execute,
    "Close": wire.close,
    "Sync": wire.sync,
    "Flush": wire.flush,
    "CopyData": wire.copy_data,
    "CopyDone": wire.copy_done,
    "CopyFail": wire.copy_fail,
    "FunctionCall": wire.function_call,
    "Terminate": wire.terminate,
    "Raw": bytes.fromhex,
}
# How one write of the transcript reaches the wire.
CHUNKINGS = {
    "whole": lambda parts: [b"".join(parts)],
    "by message": lambda parts: parts,
    "byte by byte": lambda parts: [bytes([b]) for part in parts for b in part],
}
# Of an error, the source file, line and routine are not compared: Waypost's own errors have none.
UNCOMPARED_FIELDS = "FLR"


def show(msg):
    """One reply as text, without what must differ between two connections."""
    if msg.type in "EN":
        fields = wire.error_fields(msg.body)
        return msg.type + " " + " ".join(f"{k}={v!r}" for k, v in fields.items() if k not in UNCOMPARED_FIELDS)
    if msg.type == "D":
        return f"D {wire.row_values(msg.body)}"
    if msg.type == "K":
        return f"K {len(msg.body)} bytes"
    if msg.type == "A":
        return f"A {msg.body[4:]!r}"
    if msg.type == "R" and msg.body[:4] in (b"\0\0\0\x0b", b"\0\0\0\x0c"):
        return f"R {msg.body[3]}"
    if msg.type == "T":
        return f"T {row_description(msg.body)}"
    return f"{msg.type} {msg.body!r}"


def row_description(body):
    """(name, whether of a table, column number, type, size, modifier, format) of each column; a table's OID is only that
    of this play."""
    count, at, columns = struct.unpack_from("!h", body)[0], 2, []
    for _ in range(count):
        end = body.index(0, at)
        table, *rest = struct.unpack_from("!IhIhih", body, end + 1)
        columns.append((body[at:end].decode(errors="replace"), table != 0, *rest))
        at = end + 19
    return columns


def sorted_parameters(lines):
    """Start-up's ParameterStatus messages come in no promised order."""
    return [line for line in lines if line[0] != "S"] + sorted(line for line in lines if line[0] == "S")


class Transcript:
    def __init__(self, path):
        self.name = path.stem
        self.setup, self.startup, self.steps = [], {}, []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            line = line.strip()
            try:
                self._read(line)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}:{number}: {line!r}: {error}") from error

    def _read(self, line):
        if not line or line.startswith("#"):
            return
        if line.startswith("!"):
            self.setup.append(line[1:].strip())
        elif line.startswith("@startup"):
            self.startup = json.loads(line[len("@startup") :])
        elif line == "~":
            self.steps.append(("", "read", None))
        else:
            who, what, rest = re.fullmatch(r"(\w*)([<>])\s*(.*)", line).groups()
            if what == ">":
                name, _, arguments = rest.partition(" ")
                self.steps.append((who, "send", BUILDERS[name](*json.loads(f"[{arguments}]"))))
            else:
                kind, _, count = rest.partition(" ")
                self.steps.append((who, "read", (kind, int(count or 1))))


def play(transcript, port, chunking="whole", timeout=6.0):
    """All replies, a list of lines. The end of a connection is a line too; so is silence past the deadline."""
    lines, connections, pending = [], {}, {}
    split = CHUNKINGS[chunking]

    def connection(who):
        if who not in connections:
            conn = connections[who] = wire.Wire("127.0.0.1", port, timeout)
            try:
                replies = conn.login("openfire", "openfire", "openfire", **transcript.startup)
            except wire.ServerError as error:
                fields = {k: v for k, v in error.fields.items() if k not in UNCOMPARED_FIELDS}
                lines.append(f"{who}: login refused {fields}")
                raise
            lines.extend(f"{who}: {line}" for line in sorted_parameters([show(m) for m in replies]))
        return connections[who]

    try:
        connection("")
        for who, action, argument in transcript.steps:
            conn = connection(who)
            if action == "send":
                pending.setdefault(who, []).append(argument)
                continue
            lines.append(f"{who}: --")
            _write(conn, split(pending.pop(who, [])))
            if argument:
                _read(conn, argument, lambda text, who=who: lines.append(f"{who}: {text}"))
        for who in list(connections):  # nothing more may come: a proper end, and nothing before it
            _write(connections[who], pending.pop(who, []) + [wire.terminate()])
            _read(connections[who], ("EOF", 1), lambda text, who=who: lines.append(f"{who}: {text}"))
    except wire.ServerError:
        pass
    finally:
        for conn in connections.values():
            conn.shut()
    return lines


def _write(conn, chunks):
    try:
        for chunk in chunks:
            conn.send(chunk)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the read will say so


def _read(conn, until, add):
    kind, count = until
    deadline = time.monotonic() + conn.sock.gettimeout()
    while count:
        try:
            msg = conn.recv()
        except ConnectionResetError:
            msg = None
        except TimeoutError:
            add("(silence)")
            return
        if msg is None:
            add("(closed)")
            return
        add(show(msg))
        count -= msg.type == kind
        if time.monotonic() > deadline:
            add("(still talking)")
            return


def load_all():
    return [Transcript(path) for path in sorted(CORPUS.glob("*.txt"))]
