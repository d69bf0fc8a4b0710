"""A raw client of the PostgreSQL protocol: builds any message, right or wrong, and shows every reply.

It knows no more of the protocol than a test needs, on purpose: nothing is retried, reordered or hidden.
Source: https://www.postgresql.org/docs/15/protocol-message-formats.html
"""

import base64
import functools
import hashlib
import hmac
import os
import socket
import struct
import threading
from typing import NamedTuple

PROTOCOL_3_0 = 196608
PROTOCOL_3_2 = 196610
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102


class Message(NamedTuple):
    type: str
    body: bytes


class ServerError(Exception):
    """An ErrorResponse where the caller expected success."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('S')} {fields.get('C')}: {fields.get('M')}")
        self.fields = fields
        self.sqlstate = fields.get("C")


# --- building messages -------------------------------------------------------------------------------------------


def cstr(text):
    return (text.encode() if isinstance(text, str) else text) + b"\0"


def message(kind, body=b""):
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def packet(body):
    return struct.pack("!i", len(body) + 4) + body


def startup_packet(params, version=PROTOCOL_3_0):
    pairs = b"".join(cstr(k) + cstr(v) for k, v in params.items())
    return packet(struct.pack("!i", version) + pairs + b"\0")


def cancel_packet(pid, key):
    return packet(struct.pack("!ii", CANCEL_REQUEST, pid) + key)


def query(sql):
    return message("Q", cstr(sql))


def parse(name, sql, types=()):
    return message("P", cstr(name) + cstr(sql) + struct.pack(f"!h{len(types)}I", len(types), *types))


def _values(values):
    out = struct.pack("!h", len(values))
    for value in values:
        if value is None:
            out += struct.pack("!i", -1)
        else:
            raw = value if isinstance(value, bytes) else str(value).encode()
            out += struct.pack("!i", len(raw)) + raw
    return out


def _formats(formats):
    return struct.pack(f"!h{len(formats)}h", len(formats), *formats)


def bind(portal, statement, values=(), formats=(), results=()):
    return message("B", cstr(portal) + cstr(statement) + _formats(formats) + _values(values) + _formats(results))


def describe(kind, name):
    return message("D", kind.encode() + cstr(name))


def execute(portal="", max_rows=0):
    return message("E", cstr(portal) + struct.pack("!i", max_rows))


def close(kind, name):
    return message("C", kind.encode() + cstr(name))


def sync():
    return message("S")


def flush():
    return message("H")


def copy_data(data):
    return message("d", data.encode() if isinstance(data, str) else data)


def copy_done():
    return message("c")


def copy_fail(why):
    return message("f", cstr(why))


def function_call(oid, values=(), formats=(), result_format=0):
    return message("F", struct.pack("!I", oid) + _formats(formats) + _values(values) + struct.pack("!h", result_format))


def terminate():
    return message("X")


# --- reading messages --------------------------------------------------------------------------------------------


def error_fields(body):
    """The fields of an ErrorResponse or NoticeResponse by their one-letter code."""
    return {f[:1].decode(): f[1:].decode(errors="replace") for f in body.rstrip(b"\0").split(b"\0") if f}


def row_values(body):
    """The columns of a DataRow: bytes, or None for NULL."""
    count, at, values = struct.unpack_from("!h", body)[0], 2, []
    for _ in range(count):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        values.append(None if size < 0 else body[at : at + size])
        at += max(size, 0)
    return values


def rows(messages):
    return [[None if v is None else v.decode() for v in row_values(m.body)] for m in messages if m.type == "D"]


def sqlstates(messages):
    return [error_fields(m.body).get("C") for m in messages if m.type == "E"]


def types(messages):
    return "".join(m.type for m in messages)


# --- a connection ------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _salted_password(password, salt, iterations):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def open_socket(host, port, timeout=15.0, source=None):
    """By TCP or, if `host` is a directory, by the Unix socket in it, as libpq does."""
    if not host.startswith("/"):
        sock = socket.create_connection((host, port), timeout=timeout, source_address=source and (source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout)
        sock.connect(f"{host}/.s.PGSQL.{port}")
    except BaseException:
        sock.close()
        raise
    return sock


class Wire:
    """One socket. Every read has a deadline; nothing blocks for ever."""

    def __init__(self, host, port, timeout=15.0, source=None):
        self.sock = open_socket(host, port, timeout, source)
        self.buffer = b""
        self.parameters = {}
        self.pid, self.key = 0, b""
        self.address = (host, port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shut()

    def shut(self):
        self.sock.close()

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def read(self, size):
        """Exactly `size` bytes; fewer only at the end of the stream."""
        chunks, have = [self.buffer], len(self.buffer)
        while have < size:
            chunk = self.sock.recv(max(65536, min(size - have, 1 << 20)))
            if not chunk:
                break
            chunks.append(chunk)
            have += len(chunk)
        data = b"".join(chunks)
        self.buffer = data[size:]
        return data[:size]

    def recv(self):
        """The next message; None at the end of the stream."""
        header = self.read(5)
        if len(header) < 5:
            return None
        kind, size = chr(header[0]), struct.unpack("!i", header[1:])[0]
        msg = Message(kind, self.read(size - 4))
        if kind == "S":
            name, value = msg.body.split(b"\0")[:2]
            self.parameters[name.decode()] = value.decode()
        elif kind == "K":
            self.pid, self.key = struct.unpack("!i", msg.body[:4])[0], msg.body[4:]
        return msg

    def until(self, kind="Z", count=1):
        """All messages up to and including the count-th of type `kind`, or up to the end of the stream."""
        seen = []
        while count:
            msg = self.recv()
            if msg is None:
                break
            seen.append(msg)
            count -= msg.type == kind
        return seen

    def drain(self):
        """All messages up to the end of the stream."""
        seen = []
        while True:
            try:
                msg = self.recv()
            except ConnectionResetError:
                return seen
            if msg is None:
                return seen
            seen.append(msg)

    def simple(self, sql):
        """Runs one simple Query; all replies."""
        self.send(query(sql))
        return self.until()

    def rows(self, sql):
        """The rows of one simple Query as text; raises ServerError."""
        replies = self.simple(sql)
        for msg in replies:
            if msg.type == "E":
                raise ServerError(error_fields(msg.body))
        assert replies and replies[-1].type == "Z", f"connection closed during {sql!r}"
        return rows(replies)

    def value(self, sql):
        return self.rows(sql)[0][0]

    def login(self, user, password, database=None, version=PROTOCOL_3_0, **params):
        """Start-up and authentication; all messages, the last being ReadyForQuery. Raises ServerError if refused."""
        self.send(startup_packet({"user": user, "database": database or user, **params}, version))
        return self.finish_login(user, password)

    def finish_login(self, user, password):
        seen = []
        while True:
            msg = self.recv()
            if msg is None:
                raise ConnectionError("closed during login")
            seen.append(msg)
            if msg.type == "E":
                raise ServerError(error_fields(msg.body))
            if msg.type == "Z":
                return seen
            if msg.type == "R":
                self._authenticate(msg.body, user, password)

    def _authenticate(self, body, user, password):
        code = struct.unpack_from("!i", body)[0]
        if code == 10:
            self._nonce = base64.b64encode(os.urandom(18)).decode()
            self._first_bare = f"n=,r={self._nonce}"
            first = ("n,," + self._first_bare).encode()
            self.send(message("p", cstr("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
        elif code == 11:
            self.send(message("p", self._scram_final(body[4:].decode(), password)))
        elif code == 12:
            assert body[4:].startswith(b"v="), body
            assert base64.b64decode(body[6:]) == self._server_signature, "the server's signature is wrong"
        elif code == 3:
            self.send(message("p", cstr(password)))
        elif code != 0:
            raise ConnectionError(f"authentication method {code} is not known here")

    def _scram_final(self, server_first, password):
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        assert fields["r"].startswith(self._nonce), "the server changed the nonce"
        salted = _salted_password(password, base64.b64decode(fields["s"]), int(fields["i"]))
        without_proof = "c=biws,r=" + fields["r"]
        auth = ",".join((self._first_bare, server_first, without_proof)).encode()
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), auth, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self._server_signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), auth, "sha256")
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def cancel(self):
        """Sends a CancelRequest for this connection on another socket and waits until that is closed."""
        with open_socket(*self.address) as sock:
            sock.sendall(cancel_packet(self.pid, self.key))
            while sock.recv(1024):
                pass

    def until_cancelled(self):
        """until(), of a statement that is cancelled now, and again each second: a request may overtake the statement."""
        ended = threading.Event()

        def cancel():
            while not ended.wait(1.0):
                self.cancel()

        self.cancel()
        again = threading.Thread(target=cancel)
        again.start()
        try:
            return self.until()
        finally:
            ended.set()
            again.join()


def connect(port, user="openfire", password="openfire", database="openfire", host="127.0.0.1", timeout=15.0, source=None, **params):
    """A connection that is logged in; `source`: the address that it comes from."""
    wire = Wire(host, port, timeout, source)
    try:
        wire.login(user, password, database, **params)
    except BaseException:
        wire.shut()
        raise
    return wire
