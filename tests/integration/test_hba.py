"""[auth] hba_file: who may come in from where, beside what PostgreSQL says to the same file."""

import contextlib
import getpass
import itertools
import os
import shutil
import subprocess

import certificates
import pytest
import test_tls
import wire
from waypost import eventually

pytestmark = pytest.mark.proxy

USERS = ["hba_a", "hba_b", "all"]
DATABASES = ["openfire", "postgres"]
SOURCES = ["127.0.0.1", "127.0.0.2", "127.0.1.1"]

FILES = {
    "nobody": "# nobody\n",
    "all": "host all all all scram-sha-256\n",
    "first": """
        host  all       hba_b   127.0.0.0/8     reject
        host  openfire  all     127.0.0.1/32    scram-sha-256
        host  all       hba_a   127.0.1.1       255.255.255.0 md5
    """,
    "words": """
        # "all" is a name here
        host  postgres,openfire   "all"          all  scram-sha-256   # a comment
        host  "openfire"          hba_b          all  reject
        host  template1, postgres hba_a,hba_b \\
              127.0.0.2/31 scram-sha-256
    """,
    "keywords": """
        host  replication               all       all  scram-sha-256
        host  sameuser                  all       all  scram-sha-256
        host  "sameuser","replication"  all       all  scram-sha-256
        host  "samerole","all"          all       all  scram-sha-256
        host  postgres                  "+hba_b"  all  scram-sha-256
        host  postgres                  hba_b     all  scram-sha-256
    """,
    "encrypted": """
        hostssl   all  hba_a  all  scram-sha-256
        hostnossl all  hba_b  all  scram-sha-256
        host      sameuser all all reject
        local     all  all         peer
    """,
}

# Of those who come by a Unix socket; the maps stand in IDENT.
LOCAL_FILES = {
    "network alone": "host all all all scram-sha-256\n",
    "password": "local all all scram-sha-256\n",
    "peer": "local all all peer\n",
    "mapped": """
        local  openfire  hba_a,all  peer  map=staff
        local  openfire  hba_b      ident map=nobody
        local  postgres  hba_a      trust
        local  postgres  hba_b      reject
    """,
}
IDENT = f"""
    # map    system     PostgreSQL
    staff    {getpass.getuser()}  hba_a
    staff    "no body"  all
    nobody   nobody     hba_b
"""

# Of those who show a certificate, by the name of its files; the maps stand in CERTIFICATE_IDENT.
SUBJECTS = {"a": "/O=staff/CN=hba_a", "b": "/CN=hba_b", "comma": "/CN=hba_a, hba_b", "two": "/CN=hba_a/CN=hba_b", "nobody": "/O=staff",
            "other": "/CN=hba_c"}  # fmt: skip
CERTIFICATE_FILES = {
    "cert": "hostssl all all all cert\n",
    "mapped": """
        hostssl  openfire  all  all  cert  map=staff
        hostssl  postgres  all  all  cert  map=whole  clientname=DN
    """,
    "password too": """
        hostssl  openfire  all  all  scram-sha-256  clientcert=verify-ca
        hostssl  postgres  all  all  scram-sha-256  clientcert=verify-full
    """,
    "mixed": """
        hostssl  openfire  hba_a  all  reject          clientcert=verify-ca
        hostssl  openfire  hba_b  all  md5             clientcert=verify-full clientname=DN
        hostssl  postgres  hba_a  all  scram-sha-256
        hostssl  all       all    all  cert            clientcert=verify-full clientname=CN
    """,
}
CERTIFICATE_IDENT = """
    staff  hba_c            hba_a
    staff  "hba_a, hba_b"   hba_b
    whole  "CN=hba_a,O=staff"  hba_a
    whole  CN=hba_b         hba_a
    whole  CN=hba_b         hba_b
"""


def answer(port, user, database, source):
    """What a log-in comes to: None, or the SQLSTATE and the message. `source`: an address, or the directory of a Unix socket."""
    way = {"host": source} if source.startswith("/") else {"source": source}
    try:
        with wire.connect(port, user, user, database, **way) as conn:
            assert conn.value("SELECT current_user") == user
        return None
    except wire.ServerError as error:
        return error.sqlstate, error.fields["M"]


def encrypted_answer(port, context, user, database):
    """The same over TLS."""
    with test_tls.tls_wire(port, context) as conn:
        try:
            conn.login(user, user, database)
            assert conn.value("SELECT current_user") == user
        except wire.ServerError as error:
            return error.sqlstate, error.fields["M"]
    return None


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def shown(authority):
    """What clients may show, by name: (certificate, key), or None."""
    return {None: None, **{name: authority.issue(name, subject=subject) for name, subject in SUBJECTS.items()}}


@pytest.fixture(scope="module")
def listen(authority):
    """A listener that asks for certificates, and takes clients without."""
    return test_tls.listen(authority.issue("server"), "allow", tls_client_ca=str(authority.cert), tls_client_verify="optional")


@pytest.fixture(scope="module")
def roles(cluster):
    for user in USERS:
        cluster.sql(f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{user}'", database="postgres")
    yield
    for user in USERS:
        cluster.terminate(f"usename = '{user}'")
        cluster.sql(f'DROP ROLE "{user}"', database="postgres")


@pytest.fixture
def postgresql(cluster):
    """postgresql(entries): a server whose pg_hba.conf has these; its port."""
    file = cluster.dir / "pg2" / "pg_hba.conf"
    before = file.read_text()

    def load(text):
        loaded = cluster.sql("SELECT pg_conf_load_time()", server="pg2")
        file.write_text(text)
        cluster.sql("SELECT pg_reload_conf()", server="pg2")
        eventually(lambda: cluster.sql("SELECT pg_conf_load_time()", server="pg2") != loaded, what="the reload")

    def give(entries):
        load("local all postgres trust\nhost all postgres 127.0.0.1/32 trust\n" + entries)
        return cluster.ports["pg2"]

    yield give
    load(before)


@pytest.mark.parametrize("file", FILES)
def test_a_file_means_what_it_means_to_postgresql(cluster, roles, make_waypost, postgresql, tmp_path, file):
    hba = tmp_path / "hba.conf"
    hba.write_text(FILES[file])
    made = make_waypost(users=[{"name": user, "password": user} for user in USERS], sections={"auth": {"hba_file": str(hba)}})
    asked = list(itertools.product(USERS, DATABASES, SOURCES))
    ours = {who: answer(made.port, *who) for who in asked}
    port = postgresql(FILES[file])
    theirs = {who: answer(port, *who) for who in asked}
    assert ours == theirs
    admitted = sum(said is None for said in ours.values())
    assert (admitted == 0) == (file == "nobody") and (admitted == len(asked)) == (file == "all")


@pytest.mark.parametrize("file", LOCAL_FILES)
def test_lines_of_type_local_mean_what_they_mean_to_postgresql(cluster, roles, make_waypost, postgresql, tmp_path, file):
    hba, ident = tmp_path / "hba.conf", tmp_path / "ident.conf"
    hba.write_text(LOCAL_FILES[file])
    ident.write_text(IDENT)
    made = make_waypost(
        users=[{"name": user, "password": user} for user in USERS],
        sections={"auth": {"hba_file": str(hba), "ident_file": str(ident)}, "listen": {"socket": str(tmp_path)}},
    )
    asked = list(itertools.product(USERS, DATABASES))
    ours = {who: answer(made.port, *who, str(tmp_path)) for who in asked}
    map_file = cluster.dir / "pg2" / "pg_ident.conf"
    before = map_file.read_text()
    map_file.write_text(IDENT)
    try:
        port = postgresql(LOCAL_FILES[file])
        theirs = {who: answer(port, *who, str(cluster.dir)) for who in asked}
    finally:
        map_file.write_text(before)
    assert ours == theirs
    admitted = [who for who, said in ours.items() if said is None]
    assert admitted == {"password": asked, "mapped": [("hba_a", "openfire"), ("hba_a", "postgres")]}.get(file, [])


@contextlib.contextmanager
def encrypting(cluster, authority):
    """pg2 speaks TLS, and verifies certificates."""
    settings = {"ssl_cert_file": authority.issue("pg2")[0], "ssl_key_file": authority.folder / "pg2.key", "ssl_ca_file": authority.cert}
    for setting, source in settings.items():
        target = cluster.dir / f"hba_{source.name}"
        target.write_bytes(source.read_bytes())
        os.chmod(target, 0o600)
        shutil.chown(target, "postgres")
        cluster.sql(f"ALTER SYSTEM SET {setting} = '{target}'", "pg2", "postgres")
    cluster.sql("ALTER SYSTEM SET ssl = on", "pg2", "postgres")
    try:
        yield
    finally:
        for setting in ("ssl", *settings):
            cluster.sql(f"ALTER SYSTEM RESET {setting}", "pg2", "postgres")


@pytest.mark.parametrize("file", CERTIFICATE_FILES)
def test_certificates_mean_what_they_mean_to_postgresql(
    cluster, roles, make_waypost, postgresql, authority, shown, listen, tmp_path, file
):
    hba, ident = tmp_path / "hba.conf", tmp_path / "ident.conf"
    hba.write_text(CERTIFICATE_FILES[file])
    ident.write_text(CERTIFICATE_IDENT)
    made = make_waypost(users=[{"name": user, "password": user} for user in USERS],
                        sections={"auth": {"hba_file": str(hba), "ident_file": str(ident)}, "listen": listen})  # fmt: skip
    asked = [(name, *who) for name in shown for who in itertools.product(USERS, DATABASES)]
    contexts = {name: authority.client_context(identity=identity) for name, identity in shown.items()}

    def answers(port):
        return {(name, *who): encrypted_answer(port, contexts[name], *who) for name, *who in asked}

    ours = answers(made.port)
    map_file = cluster.dir / "pg2" / "pg_ident.conf"
    before = map_file.read_text()
    map_file.write_text(CERTIFICATE_IDENT)
    try:
        with encrypting(cluster, authority):
            theirs = answers(postgresql(CERTIFICATE_FILES[file]))
    finally:
        map_file.write_text(before)
    assert ours == theirs
    assert {"28000"} <= {said[0] for said in ours.values() if said}
    admitted = [who for who, said in ours.items() if said is None]
    assert admitted and (None not in [name for name, *_ in admitted] or file == "mixed")


def psql(port, authority, identity, **params):
    cert, key = identity or ("/nowhere", "/nowhere")
    info = {"hostaddr": "127.0.0.1", "host": "localhost", "port": port, "user": "openfire", "dbname": "openfire", "sslmode": "verify-full",
            "sslrootcert": authority.cert, "sslcert": cert, "sslkey": key, "gssencmode": "disable", **params}  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "PGPASSWORD"}
    return subprocess.run(["psql", "-wXAtq", "-d", " ".join(f"{k}='{v}'" for k, v in info.items()), "-c", "SELECT current_user"],
                          capture_output=True, text=True, timeout=60, check=False, env=environment)  # fmt: skip


def test_psql_comes_in_by_its_certificate_alone(make_waypost, authority, listen, shown, tmp_path):
    hba = tmp_path / "hba.conf"
    hba.write_text("hostssl all all all cert\n")
    made = make_waypost(sections={"auth": {"hba_file": str(hba)}, "listen": listen})
    own = authority.issue("own", subject="openfire")
    done = psql(made.port, authority, own)
    assert done.stdout == "openfire\n", done.stderr
    done = psql(made.port, authority, shown["a"])
    assert 'FATAL:  certificate authentication failed for user "openfire"' in done.stderr, done
    made.logged("certificate_is_another", "certificate=hba_a")
    done = psql(made.port, authority, None)
    assert "FATAL:  connection requires a valid client certificate" in done.stderr, done
    stranger = certificates.Authority(tmp_path, "other").issue("stranger", subject="openfire")
    done = psql(made.port, authority, stranger)
    assert done.returncode == 2 and "unknown ca" in done.stderr, done
    # Nobody unencrypted comes by a line that asks for a certificate.
    done = psql(made.port, authority, own, sslmode="disable")
    assert "no pg_hba.conf entry" in done.stderr, done


def test_who_shows_a_certificate_needs_a_password_for_the_servers(cluster, make_waypost, authority, listen, tmp_path):
    [[verifier]] = cluster.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'openfire'", database="postgres")
    hba = tmp_path / "hba.conf"
    hba.write_text("hostssl all all all cert\nhost all all all scram-sha-256\n")
    made = make_waypost(sections={"auth": {"hba_file": str(hba)}, "listen": listen}, users=[{"name": "openfire", "scram": verifier}])
    own = authority.client_context(identity=authority.issue("own", subject="openfire"))
    sqlstate, message = encrypted_answer(made.port, own, "openfire", "openfire")
    assert sqlstate == "28000" and message.startswith("Waypost has no password or key yet to log in to server"), message
    unknown = authority.client_context(identity=authority.issue("unknown"))
    assert encrypted_answer(made.port, unknown, "unknown", "openfire") == ("28000", 'role "unknown" does not exist')
    with made.connect() as conn:  # its proof is the key
        assert conn.value("SELECT 1") == "1"
    eventually(lambda: encrypted_answer(made.port, own, "openfire", "openfire") is None, what="it comes in by its certificate")


def test_lines_that_ask_for_certificates_need_a_ca(make_waypost, authority, listen, tmp_path):
    hba = tmp_path / "hba.conf"
    hba.write_text("hostssl all all all scram-sha-256 clientcert=verify-ca\n")
    without = {key: value for key, value in listen.items() if not key.startswith("tls_client")}
    made = make_waypost(sections={"auth": {"hba_file": str(hba)}, "listen": without})
    said = encrypted_answer(made.port, authority.client_context(), "openfire", "openfire")
    assert said == ("F0000", "client certificates can only be checked if a root certificate store is available")
    assert "listen.tls_client_ca: not set for" in test_tls.check(made.config).stdout
    made.sections["listen"] = listen
    made.write_config()
    assert "listen.tls_client" not in test_tls.check(made.config).stdout
    made.sections["auth"] = {}
    made.write_config()
    assert 'listen.tls_client_verify: "optional" for' in test_tls.check(made.config).stdout


def test_an_ipv4_address_is_shown_as_one_where_ipv6_listens_too(make_waypost, tmp_path):
    hba = tmp_path / "hba.conf"
    hba.write_text("host all all 10.0.0.0/8 scram-sha-256\nhost all openfire 127.0.0.0/8 scram-sha-256\n")
    made = make_waypost(sections={"auth": {"hba_file": str(hba)}, "listen": {"address": "::"}})
    said = 'no pg_hba.conf entry for host "127.0.0.2", user "other", database "openfire", no encryption'
    assert answer(made.port, "other", "openfire", "127.0.0.2") == ("28000", said)
    assert answer(made.port, "openfire", "openfire", "127.0.0.1") is None


def test_a_reload_reads_the_file_again_and_keeps_it_if_the_new_one_is_wrong(roles, make_waypost, tmp_path):
    hba = tmp_path / "hba.conf"
    hba.write_text("host all all all scram-sha-256\n")
    made = make_waypost(users=[{"name": user, "password": user} for user in USERS], sections={"auth": {"hba_file": str(hba)}})
    with made.connect("hba_a") as stays:
        hba.write_text("host all hba_a all reject\nhost all all all scram-sha-256\n")
        made.hangup()
        eventually(lambda: answer(made.port, "hba_a", "openfire", "127.0.0.1"), what="it is refused")
        assert answer(made.port, "hba_b", "openfire", "127.0.0.1") is None
        assert stays.value("SELECT 1") == "1"
        hba.write_text("host all all all trust\n")
        made.hangup()
        eventually(lambda: "reload_failed" in made.log(), what="the fault")
        made.logged(f"auth.hba_file: {hba}:1: found the method trust, expected scram-sha-256 or reject: only local lines may have it")
        assert answer(made.port, "hba_a", "openfire", "127.0.0.1")[0] == "28000"
        assert answer(made.port, "hba_b", "openfire", "127.0.0.1") is None
    refused = [line for line in made.logged("pg_hba.conf rejects").splitlines() if "client_refused" in line and "pg_hba.conf rejects" in line]
    assert refused and "user=hba_a" in refused[0] and "sqlstate=28000" in refused[0]
