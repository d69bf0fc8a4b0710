"""PostgreSQL's own regression tests as a source of SQL: fetched as Debian's source package, and played into a database."""

import os
import pathlib
import re
import shutil
import subprocess

import cluster as clusters
import sqlsplit

DATABASE = "regression"
DROP_IMPLICIT_CASTS = """DO $$ DECLARE c record; BEGIN
  FOR c IN SELECT format_type(castsource, NULL) AS s, format_type(casttarget, NULL) AS t FROM pg_cast WHERE oid >= 16384 AND castcontext = 'i'
  LOOP EXECUTE format('DROP CAST (%s AS %s)', c.s, c.t); END LOOP; END $$"""
FILE_SECONDS = 300
# As pg_regress sets them; commits wait for nobody.
ENVIRONMENT = {
    "PGTZ": "PST8PDT",
    "PGDATESTYLE": "Postgres, MDY",
    "PGOPTIONS": "-c intervalstyle=postgres_verbose -c synchronous_commit=local -c extra_float_digits=0",
    "PG_DLSUFFIX": ".so",
}


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def archive():
    """Where this distribution has its sources, and its name there."""
    release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    name = release["ID"].strip('"')
    host = {"debian": "deb.debian.org"}.get(name, f"archive.{name}.com")
    return f"http://{host}/{name} {release['VERSION_CODENAME']}"


class Regression:
    """The tests in a directory of their own, which user postgres can read."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.tests = self.dir / "source/src/test/regress"

    def fetch(self):
        """Downloads and unpacks the source; builds the C functions that the tests call."""
        programs = clusters.programs()
        major = programs.parent.name
        lists = self.dir / "apt/lists/partial"
        lists.mkdir(parents=True)
        (self.dir / "apt/sources.list").write_text(f"deb-src {archive()} main\n")
        options = [f"Dir::Etc::sourcelist={self.dir}/apt/sources.list", "Dir::Etc::sourceparts=-",
                   f"Dir::State::Lists={self.dir}/apt/lists", "APT::Sandbox::User=root"]  # fmt: skip
        options = [word for option in options for word in ("-o", option)]
        run(["apt-get", *options, "-q", "update"], timeout=300)
        run(["apt-get", *options, "-q", "source", "--download-only", f"postgresql-{major}"], cwd=self.dir, timeout=600)
        archive = next(self.dir.glob(f"postgresql-{major}_*.orig.tar.*"))
        (self.dir / "source").mkdir()
        run(["tar", "xf", archive, "-C", self.dir / "source", "--strip-components=1",
             "--wildcards", "*/src/test/regress", "*/contrib/spi"], timeout=300)  # fmt: skip
        libraries = self.dir / "lib"
        libraries.mkdir()
        include = run([programs / "pg_config", "--includedir-server"]).strip()
        run(["gcc", "-O1", "-w", "-fPIC", "-shared", f"-I{include}", "-o", libraries / "regress.so", self.tests / "regress.c"], timeout=300)
        for name in ("autoinc.so", "refint.so"):
            shutil.copy(programs.parent / "lib" / name, libraries)
        shutil.rmtree(self.dir / "apt")
        run(["chown", "-R", "postgres:", self.dir])
        run(["chmod", "-R", "a+rX", self.dir])

    def files(self):
        """The SQL files in the order of the schedule."""
        schedule = (self.tests / "parallel_schedule").read_text()
        names = [name for line in re.findall(r"^test:(.*)$", schedule, re.M) for name in line.split()]
        return [path for name in names if (path := self.tests / "sql" / f"{name}.sql").exists()]

    def load(self, port):
        """Plays them all into a new database on the primary; the objects that they leave are what is wanted."""
        env = {**os.environ, **ENVIRONMENT, "PGPASSWORD": "secret", "PG_ABS_SRCDIR": str(self.tests),
               "PG_ABS_BUILDDIR": str(self.tests), "PG_LIBDIR": str(self.dir / "lib")}  # fmt: skip
        psql = ["psql", "-XqAt", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
        run([*psql, "-d", "postgres", "-c", f"CREATE DATABASE {DATABASE} TEMPLATE template0"], env=env, timeout=60)
        for setting in ("lc_messages TO 'C'", "lc_monetary TO 'C'", "lc_numeric TO 'C'", "lc_time TO 'C'",
                        "bytea_output TO 'hex'", "timezone_abbreviations TO 'Default'"):  # fmt: skip
            run([*psql, "-d", "postgres", "-c", f"ALTER DATABASE {DATABASE} SET {setting}"], env=env, timeout=60)
        for path in self.files():
            subprocess.run([*psql, "-d", DATABASE, "-f", path], env=env, cwd=self.tests, timeout=FILE_SECONDS,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # fmt: skip

        # A cast that applies by itself and runs who knows what may hide in any expression: with it nothing is safe.
        run([*psql, "-d", DATABASE, "-c", DROP_IMPLICIT_CASTS], env=env, timeout=60)

    def statements(self):
        """Every statement of every file, each text once."""
        seen = {}
        for path in self.files():
            for sql in sqlsplit.statements(path.read_text(encoding="utf-8", errors="replace")):
                seen.setdefault(sql, path.stem)
        return list(seen)


def prepare(cluster, tmp_path_factory):
    """The name of the database with all objects of the tests; made by the first who asks."""
    if not hasattr(cluster, "regression"):
        directory = tmp_path_factory.mktemp("regression")
        for parent in (directory, *directory.parents[:2]):
            parent.chmod(0o755)  # the servers read it as user postgres
        cluster.regression = Regression(directory)
        cluster.regression.fetch()
        cluster.regression.load(cluster.ports["pg0"])
    return DATABASE
