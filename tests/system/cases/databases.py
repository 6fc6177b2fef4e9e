# SPDX-License-Identifier: Apache-2.0
"""Database URLs with psql and a Redis client, a password file, and a dotenv file."""

from case import PYTHON, SystemCase, needs
from rows import ANY, FINGERPRINT, Acquisition, Use, numbered
from stage.services import digest

PSQL = "/usr/bin/psql"
PSQL_PROGRAM = "/usr/lib/postgresql/15/bin/psql"  # psql is a script that becomes this program
REDIS = ("import os, socket, time, urllib.parse; url = urllib.parse.urlsplit(os.environ['REDIS_URL']); "
         "server = socket.create_connection((os.environ.get('REDIS_HOST', url.hostname), url.port)); "
         "server.sendall(b'AUTH ' + url.password.encode() + b'\\r\\n'); server.recv(64); time.sleep(0.3)")
DOTENV = ("import dotenv, os, requests; dotenv.load_dotenv('/root/app/.env'); "
          "requests.get('https://api.github.com/user', "
          "headers={'Authorization': 'Bearer ' + os.environ['GITHUB_TOKEN']}).raise_for_status()")


@needs(PSQL)
class Postgres(SystemCase):
    def setUp(self):
        super().setUp()
        self.host, self.password = f"{self.maker.public(8)}.db.test", self.maker.text(24)

    @staticmethod
    def shadow():
        """Perl, in which Debian's psql is written, looks up root's own entry."""
        return Acquisition("file", "/etc/shadow", ANY, kind="host.password_hash", key_class="password",
                           exe="/usr/bin/perl")

    def use(self, evidence, reason, keys):
        return Use(evidence, reason, keys, provider="postgres", service="database", region="", host=self.host,
                   exe=PSQL_PROGRAM)

    def test_url_in_the_environment(self):
        """psql gets it as an argument, as most scripts do it; the variable stays in its environment."""
        url = f"postgres://robot:{self.password}@{self.host}/app?sslmode=disable"
        self.start([PSQL_PROGRAM, url, "-Atc", "select 1"], env={"DATABASE_URL": url}).wait()
        self.assertEqual(self.sent(self.host), [digest(self.password)])
        # in the variable and in the argument it tells its host: one key
        key = numbered(f"postgres.password:robot@{self.host}")
        held = [Acquisition(source, place, key, kind="postgres.password", key_class="password", exe=PSQL_PROGRAM)
                for source, place in (("environment", "DATABASE_URL"), ("argument", "argument 1"))]
        self.expect(held, [self.use("inferred", "only_key_held", [key])], ["key_in_arguments"])

    def test_password_file(self):
        self.from_file(".pgpass", {})

    def test_password_file_that_a_variable_names(self):
        """The variable says which file, not which entry of it."""
        self.from_file("db/stuff", {"PGPASSFILE": "/root/db/stuff"})

    def from_file(self, path, env):
        other = self.maker.text(24)
        self.plant(path, f"other.db.test:5432:app:someone:{other}\n{self.host}:5432:app:robot:{self.password}\n")
        self.start([PSQL, "-Atc", "select 1"], env={"PGHOST": self.host, "PGUSER": "robot", "PGDATABASE": "app",
                                                    "PGSSLMODE": "disable", **env}).wait()
        self.assertEqual(self.sent(self.host), [digest(self.password)])
        mine, others = (numbered(f"postgres.password:{login}:5432")
                        for login in (f"robot@{self.host}", "someone@other.db.test"))
        self.expect([
            Acquisition("file", "/root/" + path, key, kind="postgres.password", key_class="password", selector=selector)
            for key, selector in ((others, "other.db.test:5432:app:someone"), (mine, f"{self.host}:5432:app:robot"))],
                    [self.use("possible", "several_keys", [mine, others])])


class SecretUrls(SystemCase):
    """The examiner says where a URL with a password leads: there, and only there, its key is meant."""

    def setUp(self):
        super().setUp()
        self.host, self.password = f"{self.maker.public(8)}.cache.test", self.maker.text(24)
        self.url = f"redis://robot:{self.password}@{self.host}:6379/0"
        self.key = numbered(f"redis.password:robot@{self.host}:6379")
        self.held = Acquisition("environment", "REDIS_URL", self.key, kind="redis.password", key_class="password")

    def use(self, evidence, reason, host):
        return Use(evidence, reason, [self.key], provider="redis", service="redis", region="", host=host)

    def test_at_its_host_and_port(self):
        self.start([PYTHON, "-c", REDIS], env={"REDIS_URL": self.url}).wait()
        self.assertEqual(self.sent(self.host), [digest(self.password)])
        self.expect([self.held], [self.use("inferred", "only_key_held", self.host)])

    def test_at_another_host(self):
        other = f"{self.maker.public(8)}.cache.test"
        self.start([PYTHON, "-c", REDIS], env={"REDIS_URL": self.url, "REDIS_HOST": other}).wait()
        self.assertEqual(self.sent(other), [digest(self.password)])
        self.expect([self.held], [self.use("possible", "not_tied", other)])

    def test_two_passwords_of_one_variable_are_two_keys(self):
        first, second = self.maker.text(24), self.maker.text(24)
        for password in (first, second, first):
            self.start([PYTHON, "-c", "import time; time.sleep(1)"], env={"PGUSER": "robot", "PGPASSWORD": password})
        for one in self.started:
            one.wait()
        key = numbered("postgres.password:PGPASSWORD")
        held = Acquisition("environment", "PGPASSWORD", key, kind="postgres.password", key_class="password")
        self.expect([held, held], [])
        ids = {row["key"]["id"] for row in self.rows() if row["type"] == "acquisition"}
        self.assertEqual(len(ids), 2, ids)


class Dotenv(SystemCase):
    def test_python(self):
        """The variables are set by the program itself: they are in no environment that the kernel saw, but the file
        is."""
        token = self.maker.github()
        self.plant("app/.env", f"# settings\nDEBUG=1\nGITHUB_TOKEN={token}\n")
        self.start([PYTHON, "-c", DOTENV], env={"REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt"}).wait()
        self.assertEqual(self.sent("api.github.com"), [digest(token)])
        self.expect([Acquisition("file", "/root/app/.env", FINGERPRINT,
                                 kind="github.token", lifetime="unknown", selector="GITHUB_TOKEN")],
                    [Use("inferred", "only_key_held", [FINGERPRINT], provider="github", service="vcs", region="global",
                         host="api.github.com")])
