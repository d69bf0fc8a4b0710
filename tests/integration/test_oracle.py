"""Classification against the truth: whatever Waypost calls safe for a replica is run on a real hot standby and on the
primary. It must not be refused, must change nothing, and must get the same answer on both."""

import pathlib
import shutil

import older
import oracle as oracles
import pytest
import regression
import sqlsplit
import waypost as waypost_process

pytestmark = [pytest.mark.proxy, pytest.mark.majors]

CORPUS = pathlib.Path(__file__).resolve().parents[1] / "corpus" / "sql"
DATABASE, USER = "corpus", "openfire"


@pytest.fixture(scope="module")
def files(cluster):
    """A directory that the servers may write to."""
    made = cluster.dir / "files"
    made.mkdir()
    shutil.chown(made, "postgres")
    return made


@pytest.fixture(scope="module")
def read(cluster, files):
    def statements(name):
        text = (CORPUS / name).read_text().replace("@PORT@", str(cluster.ports["pg0"])).replace("@DIR@", str(files))
        return sqlsplit.statements(text)

    return statements


@pytest.fixture(scope="module")
def corpus(cluster, read):
    """The database with the objects of the corpus."""
    cluster.sql(f"CREATE DATABASE {DATABASE} OWNER {USER}", database="postgres")
    for name, user, password in (("objects_superuser.sql", "postgres", "secret"), ("objects.sql", USER, USER)):
        with cluster.connect("pg0", user, password, DATABASE) as conn:
            for statement in read(name):
                conn.rows(older.for_major(statement, cluster.major))
    cluster.sql("VACUUM ANALYZE", database=DATABASE)
    return DATABASE


@pytest.fixture(scope="module")
def route(cluster, corpus):
    """route(sql) -> the program's own answer, with the catalogue of the corpus loaded."""
    made = waypost_process.Waypost(cluster).start()
    ask = lambda sql: made.route(sql, database=corpus, user=USER)  # noqa: E731
    waypost_process.eventually(lambda: safe(ask("SELECT * FROM plain")), 20, "the catalogue of the corpus")
    yield ask
    made.close()


def safe(answer):
    return answer["class"] == "read"


@pytest.fixture
def oracle(cluster, corpus, files):
    with oracles.Oracle(cluster, USER, corpus, files) as made:
        yield made


def check(statements, route, oracle):
    """(faults as text, how many were called safe, how many of those had an answer that could be compared)"""
    faults, called_safe, compared = [], 0, 0
    for sql in statements:
        answer = route(sql)
        if not safe(answer):
            continue
        called_safe += 1
        wrong, comparable = oracle.faults(sql)
        compared += comparable
        faults += [f"{sql}\n  {w}" for w in wrong]
    return faults, called_safe, compared


def test_what_changes_anything_is_never_called_safe(cluster, read, route, oracle):
    statements = [sql for sql in read("writers.sql") if cluster.major >= 15 or not sql.startswith("MERGE")]
    called_safe = [sql for sql in statements if safe(route(sql))]
    # The eye that the other tests rely on sees each of these.
    unseen = [f"{sql}: {oracle.primary.answer(sql)}" for sql in statements if not oracle.changes(sql, keep=False)]
    assert not unseen, "\n".join(unseen)
    assert not called_safe, "\n".join(called_safe)


@pytest.mark.parametrize("name", ["reads.sql", "local.sql"])
def test_what_is_called_safe_is_safe(read, route, oracle, name):
    statements = read(name)
    faults, called_safe, compared = check(statements, route, oracle)
    print(f"{name}: {len(statements)} statements, {called_safe} called safe, {compared} compared")
    assert not faults, f"{len(faults)} of {called_safe} wrong:\n" + "\n".join(faults)
    # A read that is sent to the primary is right, but what splitting is for is lost; more may only be found safe.
    assert called_safe >= {"reads.sql": 190, "local.sql": 0}[name], called_safe


@pytest.mark.long
@pytest.mark.headers
@pytest.mark.timeout(3600)
def test_postgresql_regression_tests(cluster, tmp_path_factory, make_waypost):
    """The same with all statements of PostgreSQL's own regression tests, on the objects that these leave behind."""
    regression.prepare(cluster, tmp_path_factory)
    proxy = make_waypost(users=[{"name": "postgres", "password": "secret"}])

    def ask(sql):
        return proxy.route(sql, database=regression.DATABASE, user="postgres")

    waypost_process.eventually(lambda: safe(ask("SELECT * FROM int4_tbl")), 60, "the catalogue of the regression database")
    statements = cluster.regression.statements()
    with oracles.Oracle(cluster, "postgres", regression.DATABASE) as oracle:
        faults, called_safe, compared = check(statements, ask, oracle)
    print(f"regression: {len(statements)} statements, {called_safe} called safe, {compared} compared, {len(faults)} faults")
    assert not faults, f"{len(faults)} of {called_safe} wrong:\n" + "\n".join(faults)
    assert called_safe > 1000
