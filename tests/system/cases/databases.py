# SPDX-License-Identifier: Apache-2.0
"""A database URL with psql, its password file, and a dotenv file."""
import re

from case import PYTHON, SystemCase, needs
from rows import ANY, FINGERPRINT, Acquisition, Use, numbered
from stage.services import digest

PSQL = "/usr/bin/psql"
PSQL_PROGRAM = "/usr/lib/postgresql/15/bin/psql"  # psql is a script that becomes this program
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
        self.start(["/bin/sh", "-c", 'exec psql "$DATABASE_URL" -Atc "select 1"'],
                   env={"DATABASE_URL": f"postgres://robot:{self.password}@{self.host}/app?sslmode=disable"}).wait()
        self.assertEqual(self.sent(self.host), [digest(self.password)])
        # a password has no id of its own: the place and the workload name it
        key = re.compile("db\\.password:DATABASE_URL@.* #1")
        held = [Acquisition("environment", "DATABASE_URL", key, kind="db.password", key_class="password", exe=exe)
                for exe in ("/usr/bin/dash", "/usr/bin/perl", PSQL_PROGRAM)]
        # The host inside a secret URL is not told yet, and another database's password would look the same.
        self.expect([*held, self.shadow()], [self.use("possible", "not_tied", [key])])

    def test_password_file(self):
        other = self.maker.text(24)
        self.plant(".pgpass", f"other.db.test:5432:app:someone:{other}\n{self.host}:5432:app:robot:{self.password}\n")
        self.start([PSQL, "-Atc", "select 1"],
                   env={"PGHOST": self.host, "PGUSER": "robot", "PGDATABASE": "app", "PGSSLMODE": "disable"}).wait()
        self.assertEqual(self.sent(self.host), [digest(self.password)])
        mine, others = (numbered(f"postgres.password:{login}:5432")
                        for login in (f"robot@{self.host}", "someone@other.db.test"))
        self.expect([
            Acquisition("file", "/root/.pgpass", key, kind="postgres.password", key_class="password", selector=selector)
            for key, selector in ((others, "other.db.test:5432:app:someone"), (mine, f"{self.host}:5432:app:robot"))],
                    [self.use("possible", "several_keys", [mine, others])])


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
