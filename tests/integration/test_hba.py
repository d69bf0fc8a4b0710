"""[auth] hba_file: who may come in from where, beside what PostgreSQL says to the same file."""

import getpass
import itertools

import pytest
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


def answer(port, user, database, source):
    """What a log-in comes to: None, or the SQLSTATE and the message. `source`: an address, or the directory of a Unix socket."""
    way = {"host": source} if source.startswith("/") else {"source": source}
    try:
        with wire.connect(port, user, user, database, **way) as conn:
            assert conn.value("SELECT current_user") == user
        return None
    except wire.ServerError as error:
        return error.sqlstate, error.fields["M"]


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
