"""A man in the middle before a real server, for what no honest server does: it changes what the server says."""

import contextlib
import socket
import struct
import threading

import wire

CLOSE = object()  # in what a rule returns: the connection ends here


class Meddler:
    """Listens on a port of its own and passes every connection on to the server on `port`. On those of user openfire
    `rule(kind, body)` may change each message of the server once it is logged in: it returns what goes to Waypost instead,
    a list of bytes and CLOSE; None: as it is. A rule can be set at any time, and holds for all connections."""

    def __init__(self, port, user="openfire"):
        self.server, self.user, self.rule = port, user, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError, EOFError), client, socket.create_connection(("127.0.0.1", self.server)) as server:
            startup = _packet(client)
            server.sendall(startup)
            meddles = b"user\0" + self.user.encode() + b"\0" in startup
            threading.Thread(target=_pass_on, args=(client, server), daemon=True).start()
            if meddles:
                self._relay(server, client)
            else:
                _pass_on(server, client)
            _shut(client)
            _shut(server)

    def _relay(self, server, client):
        logged_in = False
        while True:
            header = _exactly(server, 5)
            kind, body = chr(header[0]), _exactly(server, struct.unpack("!I", header[1:])[0] - 4)
            said = self.rule(kind, body) if logged_in and self.rule else None
            for part in [header + body] if said is None else said:
                if part is CLOSE:
                    return
                client.sendall(part)
            logged_in = logged_in or kind == "Z"


def error(severity, sqlstate, text="said by nobody", kind="E", **fields):
    """An ErrorResponse or NoticeResponse."""
    all_fields = {"S": severity, "V": severity, "C": sqlstate, "M": text, **fields}
    return wire.message(kind, b"".join(k.encode() + wire.cstr(v) for k, v in all_fields.items()) + b"\0")


def _shut(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _packet(sock):
    """The start-up or cancel packet; Waypost asks for no encryption."""
    length = _exactly(sock, 4)
    return length + _exactly(sock, struct.unpack("!I", length)[0] - 4)


def _pass_on(source, target):
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
    except OSError:  # reset: that is an end as well
        pass
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
