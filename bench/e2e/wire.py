"""A client that only logs in (SCRAM-SHA-256), runs one statement and stays: for counting what an idle client costs."""

import base64
import functools
import hashlib
import hmac
import os
import socket
import struct


@functools.lru_cache
def salted(password, salt, iterations):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def digest(key, text):
    return hmac.digest(key, text.encode() if isinstance(text, str) else text, "sha256")


class IdleClient:
    def __init__(self, port, user, password, database):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.user, self.password = user, password
        body = struct.pack("!i", 196608) + f"user\0{user}\0database\0{database}\0\0".encode()
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self._log_in()

    def query(self, sql):
        self._send(b"Q", sql.encode() + b"\0")
        self._until_ready()

    def close(self):
        self.socket.close()

    def _log_in(self):
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n=,r={nonce}"
        while True:
            kind, body = self._receive()
            code = struct.unpack("!i", body[:4])[0] if kind == b"R" else None
            if code == 10:
                first = ("n,," + bare).encode()
                self._send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
            elif code == 11:
                self._send(b"p", self._final(bare, body[4:].decode()).encode())
            elif code == 0:
                return self._until_ready()

    def _final(self, bare, server_first):
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        key = digest(salted(self.password, base64.b64decode(fields["s"]), int(fields["i"])), "Client Key")
        without_proof = f"c=biws,r={fields['r']}"
        signature = digest(hashlib.sha256(key).digest(), f"{bare},{server_first},{without_proof}")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        return f"{without_proof},p={base64.b64encode(proof).decode()}"

    def _send(self, kind, body):
        self.socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def _receive(self):
        header = self._exactly(5)
        body = self._exactly(struct.unpack("!i", header[1:])[0] - 4)
        if header[:1] == b"E":
            raise RuntimeError(body.replace(b"\0", b" ").decode(errors="replace"))
        return header[:1], body

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise RuntimeError("connection closed")
            data += more
        return data

    def _until_ready(self):
        while self._receive()[0] != b"Z":
            pass
