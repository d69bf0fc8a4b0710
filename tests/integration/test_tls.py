"""TLS from clients: psql, psycopg and pgjdbc as they are used, raw sockets for what they would not do."""

import argparse
import contextlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import certificates
import jdbc
import psycopg
import pytest
import test_upgrade
import waypost as waypost_process
import wire

pytestmark = pytest.mark.proxy

SSL_REQUEST = wire.packet(struct.pack("!i", wire.SSL_REQUEST))
GSS_REQUEST = wire.packet(struct.pack("!i", wire.GSSENC_REQUEST))
STARTUP = wire.startup_packet({"user": "openfire", "database": "openfire"})
ALPN = ["postgresql"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def identity(authority):
    return authority.issue("server")


def listen(identity, mode, **more):
    cert, key = identity
    return {"tls": mode, "tls_cert": str(cert), "tls_key": str(key), **more}


@pytest.fixture(scope="module")
def tls(cluster, identity):
    """A Waypost that encrypts for whoever asks; on `tls.strict` only."""
    strict = waypost_process.free_port()
    sections = {"listen": [listen(identity, "allow"), {"port": strict, **listen(identity, "require")}],
                "limits": {"login_timeout": "3s"}}  # fmt: skip
    with waypost_process.running(cluster, sections=sections) as made:
        made.strict = strict
        yield made


def tls_wire(port, context, direct=False):
    """A raw connection whose handshake is done, by SSLRequest or at once."""
    conn = wire.Wire("127.0.0.1", port)
    if not direct:
        conn.send(SSL_REQUEST)
        assert conn.read(1) == b"S" and conn.buffer == b""
    conn.sock = context.wrap_socket(conn.sock, server_hostname="localhost")
    return conn


def closed(sock):
    """What comes until the end, which must come."""
    said = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while chunk := sock.recv(65536):
            said += chunk
    return said


def psql(port, authority, *args, sql="SELECT 'in'", **params):
    params = {"host": "localhost", "hostaddr": "127.0.0.1", "port": port, "user": "openfire", "dbname": "openfire",
              "sslrootcert": authority.cert, "gssencmode": "disable", **params}  # fmt: skip
    info = " ".join(f"{k}='{v}'" for k, v in params.items())
    return subprocess.run(
        ["psql", "-XAtq", *args, "-d", info, "-c", sql], capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, "PGPASSWORD": "openfire"},
    )  # fmt: skip


# --- real clients


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
@pytest.mark.parametrize("strict", [False, True])
def test_psql_in_each_sslmode(tls, authority, strict, mode):
    done = psql(tls.strict if strict else tls.port, authority, sql="\\conninfo", sslmode=mode)
    if strict and mode == "disable":
        assert done.returncode == 2 and "only encrypted connections" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    encrypted = strict or mode not in ("disable", "allow")
    assert ("TLSv1.3" in done.stdout) == encrypted, done.stdout


def test_psql_does_not_believe_another_authority(tls, authority, tmp_path):
    other = certificates.Authority(tmp_path, "other")
    done = psql(tls.port, other, sslmode="verify-full")
    assert done.returncode == 2 and "certificate verify failed" in done.stderr
    tls.logged("tls_handshake_failed", "unknown ca")


def test_everything_of_a_session_goes_through(tls, authority):
    """Long answers, COPY both ways, a pipeline, a slow reader: more than any buffer holds."""
    info = (f"host=localhost hostaddr=127.0.0.1 port={tls.strict} user=openfire password=openfire dbname=bench "
            f"sslmode=verify-full sslrootcert={authority.cert}")  # fmt: skip
    with psycopg.connect(info, autocommit=True) as conn:
        long = conn.execute("SELECT repeat('x', 20000000)").fetchone()[0]
        assert len(long) == 20000000
        rows = conn.execute("SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 20000) i").fetchall()
        assert len(rows) == 20000 and rows[-1][0] == 20000
        conn.execute("CREATE TEMP TABLE copied (i int, t text)")
        with conn.cursor().copy("COPY copied FROM STDIN") as copy:
            for i in range(50000):
                copy.write_row((i, "t" * 100))
        with conn.cursor().copy("COPY copied TO STDOUT") as copy:
            assert sum(len(block) for block in copy) > 5000000
        with conn.pipeline():
            cursors = [conn.execute("SELECT %s::int", [i]) for i in range(1000)]
        assert [c.fetchone()[0] for c in cursors] == list(range(1000))
        assert conn.execute("SELECT length(%s)", ["y" * 5000000]).fetchone()[0] == 5000000


def test_who_does_not_read_is_waited_for(tls, authority):
    with tls_wire(tls.port, authority.client_context()) as conn:
        conn.sock.settimeout(30)
        conn.login("openfire", "openfire", "bench")
        before = tls.rss_bytes()
        conn.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 60000)"))
        time.sleep(0.5)
        assert tls.rss_bytes() - before < 20 << 20
        assert len(wire.rows(conn.until())) == 60000


@pytest.mark.parametrize("strict", [False, True])
def test_a_statement_is_cancelled(tls, authority, strict):
    """As libpq before 17 does: the request itself is not encrypted."""
    with tls_wire(tls.strict if strict else tls.port, authority.client_context()) as conn:
        conn.login("openfire", "openfire", "openfire")
        conn.send(wire.query("SELECT pg_sleep(20)"))
        time.sleep(0.2)
        assert wire.sqlstates(conn.until_cancelled()) == ["57014"]


def test_a_statement_is_cancelled_by_an_encrypted_request(tls, authority):
    context = authority.client_context()
    with tls_wire(tls.strict, context) as conn:
        conn.login("openfire", "openfire", "openfire")
        conn.send(wire.query("SELECT pg_sleep(20)"))
        time.sleep(0.2)
        with tls_wire(tls.strict, context) as other:
            other.send(wire.cancel_packet(conn.pid, conn.key))
            assert closed(other.sock) == b""
        assert wire.sqlstates(conn.until()) == ["57014"]


@pytest.fixture(scope="module")
def jdbc_url(authority):
    def url(port, **more):
        options = {"user": "openfire", "password": "openfire", "sslmode": "verify-full", "sslrootcert": authority.cert, **more}
        return f"jdbc:postgresql://localhost:{port}/openfire?" + "&".join(f"{k}={v}" for k, v in options.items())

    return url


def test_pgjdbc(tls, jdbc_url):
    done = subprocess.run(jdbc.command("Tls", jdbc_url(tls.strict)), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0 and done.stdout.strip() == "ok", done.stdout + done.stderr[-2000:]


# --- how it begins


def test_tls_at_once(tls, authority):
    """sslnegotiation=direct of PostgreSQL 17."""
    for port in (tls.port, tls.strict):
        with tls_wire(port, authority.client_context(alpn=ALPN), direct=True) as conn:
            assert conn.sock.selected_alpn_protocol() == "postgresql" and conn.sock.version() == "TLSv1.3"
            conn.login("openfire", "openfire", "openfire")
            assert conn.value("SELECT 'in'") == "in"


def test_tls_at_once_must_name_the_protocol(tls, authority):
    with tls_wire(tls.port, authority.client_context(), direct=True) as conn, contextlib.suppress(ssl.SSLError):
        conn.send(STARTUP)
        assert closed(conn.sock) == b""
    with pytest.raises(ssl.SSLError), tls_wire(tls.port, authority.client_context(alpn=["http/1.1"]), direct=True):
        pass
    with pytest.raises(ssl.SSLError), tls_wire(tls.port, authority.client_context(alpn=["http/1.1"])):
        pass


def test_alpn_is_answered_behind_a_request_too(tls, authority):
    with tls_wire(tls.port, authority.client_context(alpn=["h2", *ALPN])) as conn:
        assert conn.sock.selected_alpn_protocol() == "postgresql"


@pytest.mark.parametrize("stuffed", [b"\0", STARTUP, STARTUP + wire.query("SELECT 1"), b"\x16\x03\x01"])
def test_what_is_stuffed_behind_the_request_ends_it(tls, stuffed):
    """CVE-2021-23214: it must not count as if it had come encrypted."""
    with wire.Wire("127.0.0.1", tls.port) as conn:
        conn.send(SSL_REQUEST + stuffed)
        assert wire.sqlstates(conn.drain()) == ["08P01"]


def test_what_is_stuffed_ahead_of_the_handshake_ends_it(tls):
    with wire.Wire("127.0.0.1", tls.port) as conn:
        conn.send(SSL_REQUEST)
        assert conn.read(1) == b"S"
        conn.send(STARTUP)
        assert b"FATAL" not in closed(conn.sock)


@pytest.mark.parametrize("request_inside", [SSL_REQUEST, GSS_REQUEST, wire.packet(struct.pack("!i", 0x16030100))])
@pytest.mark.parametrize("direct", [False, True])
def test_encryption_is_not_asked_for_inside(tls, authority, request_inside, direct):
    with tls_wire(tls.port, authority.client_context(alpn=ALPN), direct) as conn:
        conn.send(request_inside)
        said = conn.drain()
        assert wire.sqlstates(said) in (["08P01"], ["0A000"])


def test_requests_are_not_repeated(tls):
    for first, second in ((GSS_REQUEST, GSS_REQUEST), (GSS_REQUEST, b"\x16\x03\x01\x02\0")):
        with wire.Wire("127.0.0.1", tls.port) as conn:
            conn.send(first)
            assert conn.read(1) == b"N"
            conn.send(second)
            assert wire.sqlstates(conn.drain()) == ["08P01"]


def test_gss_then_tls(tls, authority):
    with wire.Wire("127.0.0.1", tls.port) as conn:
        conn.send(GSS_REQUEST)
        assert conn.read(1) == b"N"
        conn.send(SSL_REQUEST)
        assert conn.read(1) == b"S"
        conn.sock = authority.client_context().wrap_socket(conn.sock, server_hostname="localhost")
        conn.login("openfire", "openfire", "openfire")


def test_plain_start_up_where_tls_is_required(tls):
    with wire.Wire("127.0.0.1", tls.strict) as conn:
        conn.send(STARTUP)
        [refusal] = conn.drain()
        fields = wire.error_fields(refusal.body)
        assert fields["C"] == "28000" and "only encrypted connections" in fields["M"] and "sslmode" in fields["D"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(tls, authority, version):
    context = authority.client_context()
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, version
    context.set_ciphers("ALL:@SECLEVEL=0")
    old = version < ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError) if old else contextlib.nullcontext(), tls_wire(tls.port, context) as conn:
        conn.login("openfire", "openfire", "openfire")
        assert conn.value("SELECT 'in'") == "in"
        assert conn.sock.compression() is None


def test_tls_min(make_waypost, authority, identity):
    proxy = make_waypost(sections={"listen": listen(identity, "allow", tls_min="1.3")})
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError), tls_wire(proxy.port, context):
        pass
    with tls_wire(proxy.port, authority.client_context()) as conn:
        conn.login("openfire", "openfire", "openfire")


def handshake_in_pieces(port, context, piece):
    """A session whose bytes are sent `piece` at a time, through OpenSSL in memory."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), timeout=15) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(SSL_REQUEST)
        assert sock.recv(10) == b"S"

        def exchange(act):
            while True:
                try:
                    result, wants = act(), False
                except ssl.SSLWantReadError:
                    wants = True
                out = outgoing.read()
                for at in range(0, len(out), piece):
                    sock.sendall(out[at : at + piece])
                if not wants:
                    return result
                incoming.write(sock.recv(65536))

        exchange(tls.do_handshake)
        exchange(lambda: tls.write(STARTUP))
        return exchange(lambda: tls.read(9))


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_bytes_in_pieces(tls, authority, piece):
    assert handshake_in_pieces(tls.port, authority.client_context(), piece)[:1] == b"R"


def test_who_does_not_go_on_with_the_handshake_is_left(tls):
    before = tls.metric("waypost_client_connections_total", outcome="timeout")
    with contextlib.ExitStack() as held:
        conns = []
        for begun in (SSL_REQUEST, SSL_REQUEST[:5], b"\x16", b"\x16\x03\x01\x02\x00\x01"):
            conns.append(held.enter_context(wire.Wire("127.0.0.1", tls.port)))
            conns[-1].send(begun)
        began = time.monotonic()
        for conn in conns:
            closed(conn.sock)
        assert time.monotonic() - began < 8
    tls.counted(before + 4, "waypost_client_connections_total", outcome="timeout")


def test_half_handshakes_lock_nobody_out(make_waypost, authority, identity):
    proxy = make_waypost(sections={"listen": listen(identity, "allow"), "limits": {"max_logins": 10}, "top": {"workers": 1}})
    with contextlib.ExitStack() as held:
        for _ in range(30):
            conn = held.enter_context(wire.Wire("127.0.0.1", proxy.port))
            conn.send(SSL_REQUEST)
            assert conn.read(1) == b"S"
        with tls_wire(proxy.port, authority.client_context()) as conn:
            conn.login("openfire", "openfire", "openfire")


# --- how it ends


def test_both_ends_say_goodbye(tls, authority):
    with tls_wire(tls.port, authority.client_context()) as conn:
        conn.login("openfire", "openfire", "openfire")
        conn.send(wire.terminate())
        assert conn.sock.recv(100) == b""  # close_notify; without it, an error
    with tls_wire(tls.port, authority.client_context()) as conn:
        conn.login("openfire", "openfire", "openfire")
        conn.send(wire.query("SELECT 1"))
        conn.until()
        conn.sock = conn.sock.unwrap()
        assert closed(conn.sock) == b""


def test_a_goodbye_is_answered(tls, authority):
    """Without a close_notify the end is a truncation: Python says so since 3.13, older ones take it for a goodbye."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.client_context().wrap_bio(into, out, server_hostname="localhost")
    with wire.Wire("127.0.0.1", tls.port) as raw:
        raw.send(SSL_REQUEST)
        assert raw.read(1) == b"S"
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
            raw.sock.sendall(out.read())
            into.write(raw.sock.recv(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            client.unwrap()
        raw.sock.sendall(out.read())
        assert closed(raw.sock) != b""


@pytest.mark.parametrize("how", ["cut off", "reset", "garbage"])
def test_a_client_that_is_cut_off_leaves_nothing(cluster, tls, authority, how):
    marker = f"cut {how}"
    with tls_wire(tls.port, authority.client_context()) as conn:
        conn.login("openfire", "openfire", "openfire", application_name=marker)
        conn.rows("BEGIN; CREATE TABLE never_there (i int)")
        raw = socket.socket(fileno=conn.sock.detach())
        raw.settimeout(15)
        conn.sock = raw
        if how == "reset":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how == "garbage":
            raw.sendall(b"garbage" * 10)
            assert len(closed(raw)) < 100
    waypost_process.eventually(
        lambda: not cluster.sql(f"SELECT 1 FROM pg_stat_activity WHERE application_name = '{marker}' AND state <> 'idle'"),
        what="rolled back")  # fmt: skip
    assert cluster.sql("SELECT to_regclass('never_there')") == [[None]]


def test_an_error_is_the_last_thing_said(tls, authority):
    with tls_wire(tls.port, authority.client_context()) as conn:
        with pytest.raises(wire.ServerError) as refused:
            conn.login("openfire", "wrong", "openfire")
        assert refused.value.sqlstate == "28P01"
        assert closed(conn.sock) == b""


def test_sessions_move_between_workers(make_waypost, authority, identity):
    """As in test_workers.py; OpenSSL's state goes along."""
    proxy = make_waypost(sections={"top": {"workers": 2}, "listen": listen(identity, "allow")})
    context = authority.client_context()
    crowd = [proxy.connect() for _ in range(65)]  # more than the first worker takes
    late = [tls_wire(proxy.port, context) for _ in range(3)]
    for conn in late:
        conn.login("openfire", "openfire", "openfire")
    for conn in crowd:
        conn.shut()

    def all_moved():
        for conn in late:
            assert len(conn.value("SELECT repeat('x', 100000)")) == 100000
        return proxy.metric("waypost_sessions_moved_total") >= len(late)

    waypost_process.eventually(all_moved, 30, "all have moved")
    for conn in late:
        assert conn.value("SELECT 'still'") == "still"
        conn.shut()


def test_sessions_stay_with_their_process(make_waypost, authority, identity):
    """At an upgrade: the keys are there."""
    proxy = make_waypost(sections={"listen": listen(identity, "allow")})
    context = authority.client_context()
    with tls_wire(proxy.port, context) as conn:
        conn.login("openfire", "openfire", "openfire")
        old, _ = test_upgrade.start_upgrade(proxy)
        waypost_process.eventually(lambda: "handing_over" in proxy.log(), what="it hands over")
        for turn in range(3):
            assert conn.value(f"SELECT {turn}") == str(turn)
        assert old.poll() is None
        with tls_wire(proxy.port, context) as late:
            late.login("openfire", "openfire", "openfire")
            assert late.value("SELECT 'new'") == "new"
    assert old.wait(40) == 0
    waypost_process.eventually(proxy.ready, 15, "the admin port answers")


# --- certificates


def test_clients_show_certificates_where_they_must(make_waypost, authority, identity, tmp_path):
    proxy = make_waypost(sections={"listen": listen(identity, "require", tls_client_ca=str(authority.cert))})
    client = authority.issue("client", names=("DNS:client",))
    stranger = certificates.Authority(tmp_path, "other").issue("stranger")
    with tls_wire(proxy.port, authority.client_context(identity=client)) as conn:
        conn.login("openfire", "openfire", "openfire")
    for wrong in (None, stranger):
        with pytest.raises((ssl.SSLError, OSError)), tls_wire(proxy.port, authority.client_context(identity=wrong)) as conn:
            conn.login("openfire", "openfire", "openfire")
    done = psql(proxy.port, authority, sslmode="verify-full", sslcert=client[0], sslkey=client[1])
    assert done.returncode == 0, done.stderr
    proxy.counted(2, "waypost_client_tls_handshakes_total", outcome="failed")


def test_a_certificate_that_was_revoked_is_not_taken_any_more(make_waypost, authority, identity, tmp_path):
    """By its list, which is read again as its file changes; who is connected stays."""
    good, bad = (authority.client_context(identity=authority.issue(name)) for name in ("good", "bad"))
    crl = tmp_path / "in-use.crl"
    shutil.copy(authority.revocations("none"), crl)
    proxy = make_waypost(sections={"listen": listen(identity, "require", tls_client_ca=str(authority.cert), tls_crl=str(crl))})

    def comes_in(context):
        try:
            with tls_wire(proxy.port, context) as conn:
                conn.login("openfire", "openfire", "openfire")
                return True
        except OSError:  # also ssl.SSLError
            return False

    with tls_wire(proxy.port, bad) as stays:
        stays.login("openfire", "openfire", "openfire")
        shutil.copy(authority.revocations("one", authority.folder / "bad.crt"), tmp_path / "next")
        (tmp_path / "next").rename(crl)
        waypost_process.eventually(lambda: not comes_in(bad), 30, "it is refused")
        proxy.logged("tls_handshake_failed", "certificate revoked")
        assert comes_in(good)
        assert stays.value("SELECT 1") == "1"
        # Another authority's list says nothing of ours: nobody is known not to be revoked.
        shutil.copy(certificates.Authority(tmp_path, "other").revocations("other"), crl)
        proxy.hangup()
        waypost_process.eventually(lambda: not comes_in(good), 30, "without a list nobody")
        proxy.logged("unable to get certificate CRL")


def serial(port, context):
    with tls_wire(port, context) as conn:
        return conn.sock.getpeercert()["serialNumber"]


def test_certificates_are_renewed_without_dropping_anyone(make_waypost, authority, tmp_path):
    cert, key = tmp_path / "in-use.crt", tmp_path / "in-use.key"

    def put(pair):
        for source, target in zip(pair, (cert, key)):
            shutil.copy(source, target)

    put(authority.issue("first"))
    proxy = make_waypost(sections={"listen": listen((cert, key), "require")})
    context = authority.client_context()
    first = serial(proxy.port, context)
    with tls_wire(proxy.port, context) as conn:
        conn.login("openfire", "openfire", "openfire")
        put(authority.issue("second"))
        proxy.hangup()
        waypost_process.eventually(lambda: serial(proxy.port, context) != first, what="the new certificate")
        second = serial(proxy.port, context)
        assert conn.value("SELECT 'still'") == "still"
        # What is bad stays outside, and is named.
        key.write_text("not a key")
        proxy.hangup()
        waypost_process.eventually(lambda: "tls_reload_failed" in proxy.log(), what="the fault in the log")
        proxy.logged(str(key))
        assert serial(proxy.port, context) == second and conn.value("SELECT 'still'") == "still"


def test_certificates_are_renewed_as_their_files_change(make_waypost, authority, tmp_path):
    cert, key = tmp_path / "in-use.crt", tmp_path / "in-use.key"

    def put(pair):
        for source, target in zip(pair, (cert, key)):
            shutil.copy(source, tmp_path / "next")
            (tmp_path / "next").rename(target)

    put(authority.issue("third"))
    proxy = make_waypost(sections={"listen": listen((cert, key), "require")})
    context = authority.client_context()
    first = serial(proxy.port, context)
    with tls_wire(proxy.port, context) as conn:
        conn.login("openfire", "openfire", "openfire")
        put(authority.issue("fourth"))
        waypost_process.eventually(lambda: serial(proxy.port, context) != first, 30, "the new certificate")
        second = serial(proxy.port, context)
        key.write_text("not a key")
        waypost_process.eventually(lambda: "tls_reload_failed" in proxy.log(), 30, "the fault in the log")
        assert serial(proxy.port, context) == second and conn.value("SELECT 'still'") == "still"


def check(path):
    return subprocess.run([waypost_process.BINARY, "check", "-c", path], capture_output=True, text=True, timeout=30, check=False)


def test_check_reads_the_files(cluster, authority, identity, tmp_path):
    cert, key = identity
    other_cert, other_key = authority.issue("other")
    loose = tmp_path / "loose.key"
    shutil.copy(key, loose)
    loose.chmod(0o644)
    locked = tmp_path / "locked.key"
    certificates.openssl("pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked)
    locked.chmod(0o600)
    nowhere = tmp_path / "nowhere"
    wrong = {
        "nothing there": ({"tls_cert": nowhere}, "No such file"),
        "no key there": ({"tls_key": nowhere}, "No such file"),
        "no CA there": ({"tls_client_ca": nowhere}, "No such file"),
        "a key instead": ({"tls_cert": key}, "expected a certificate"),
        "a certificate instead": ({"tls_key": cert}, ""),
        "another's key": ({"tls_key": other_key}, "another key than that of"),
        "open to others": ({"tls_key": loose}, "group or world access"),
        "with a passphrase": ({"tls_key": locked}, "without a passphrase"),
        "no CA": ({"tls_client_ca": key}, "expected certificates"),
        "no list": ({"tls_crl": cert, "tls_client_ca": str(authority.cert)}, "expected certificate revocation lists"),
        "no list there": ({"tls_crl": nowhere, "tls_client_ca": str(authority.cert)}, "No such file"),
    }
    made = waypost_process.Waypost(cluster)
    for case, (keys, expected) in wrong.items():
        made.sections = {"listen": {**listen(identity, "require"), **{k: str(v) for k, v in keys.items()}}}
        made.write_config()
        done = check(made.config)
        assert done.returncode == 78 and expected in done.stderr and str(next(iter(keys.values()))) in done.stderr, (case, done)
    made.sections = {"listen": {**listen(identity, "require"), "address": "0.0.0.0"}}
    made.write_config()
    done = check(made.config)
    assert done.returncode == 0 and "listen.tls" not in done.stdout, done
    made.sections = {"listen": {"address": "0.0.0.0"}}
    made.write_config()
    done = check(made.config)
    assert done.returncode == 0 and "listen.tls: not set" in done.stdout, done
    made.close()


def test_it_does_not_start_with_a_bad_certificate(cluster, identity, tmp_path):
    made = waypost_process.Waypost(cluster, sections={"listen": listen((tmp_path / "nowhere", identity[1]), "allow")})
    made.start(wait=False)
    assert made.process.wait(30) == 69 and str(tmp_path / "nowhere") in made.log()
    made.process = None
    made.close()


# --- channel binding


def test_psql_binds_its_login_to_the_certificate(tls, authority):
    for mode in ("require", "verify-full"):
        done = psql(tls.port, authority, sslmode=mode, channel_binding="require")
        assert done.returncode == 0 and done.stdout == "in\n", done.stderr


def test_pgjdbc_binds_its_login_to_the_certificate(tls, jdbc_url):
    url = jdbc_url(tls.port, channelBinding="require")
    done = subprocess.run(jdbc.command("Tls", url), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0 and done.stdout.strip() == "ok", done.stdout + done.stderr[-2000:]


@pytest.mark.parametrize("kind", ["RSA_PSS", "ED25519"])
def test_certificates_of_other_kinds(make_waypost, authority, kind):
    """One has a hash of its own in its signature, the other none at all, so that there is nothing to bind to."""
    cert, key = authority.issue(kind, key=getattr(certificates, kind))
    # What counts is how the certificate is signed: so it signs itself.
    certificates.openssl("req", "-x509", "-key", key, "-subj", "/CN=self", "-days", 2, "-out", cert,
                         "-addext", "subjectAltName=DNS:localhost")  # fmt: skip
    proxy = make_waypost(sections={"listen": listen((cert, key), "require")})
    trusting = argparse.Namespace(cert=cert)
    done = psql(proxy.port, trusting, sslmode="verify-full")
    assert done.returncode == 0, done.stderr
    done = psql(proxy.port, trusting, sslmode="verify-full", channel_binding="require")
    assert (done.returncode == 0) == (kind == "RSA_PSS"), done.stderr


class Relay:
    """Ends TLS with a certificate of its own, and begins it anew towards `port`: a man in the middle."""

    def __init__(self, identity, port):
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(*identity)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client.check_hostname, self.client.verify_mode = False, ssl.CERT_NONE
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", waypost_process.free_port()))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.relay, args=(self.listener.accept()[0],), daemon=True).start()

    def relay(self, near):
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self.target)) as far:
            if near.recv(8) != SSL_REQUEST:
                return  # who gave up before he asked
            far.sendall(SSL_REQUEST)
            assert far.recv(1) == b"S"
            near.sendall(b"S")
            with self.server.wrap_socket(near, server_side=True) as one, self.client.wrap_socket(far) as other:
                while True:
                    for source, target in ((one, other), (other, one)):
                        source.settimeout(0.05)
                        with contextlib.suppress(TimeoutError):
                            data = source.recv(65536)
                            if not data:
                                return
                            target.sendall(data)


def test_a_man_in_the_middle_is_found_out(tls, authority, tmp_path):
    """By a client that does not look at certificates: the password itself says whose TLS this is."""
    stranger = certificates.Authority(tmp_path, "other").issue("stranger")
    with Relay(stranger, tls.port) as relay:
        done = psql(relay.port, authority, sslmode="require", sslrootcert="/dev/null/none")
        assert done.returncode == 2 and "channel binding check failed" in done.stderr, done.stderr
        done = psql(relay.port, authority, sslmode="require", sslrootcert="/dev/null/none", channel_binding="disable")
        assert done.returncode == 0, done.stderr  # it was the binding
