# SPDX-License-Identifier: Apache-2.0
"""Keys that short-lived clients get as arguments: headers, logins, addresses, and curl's signature for AWS. The clients
are gone, or have wiped their arguments, before anybody could read them from /proc."""
import json

from case import SystemCase, needs
from rows import FINGERPRINT, Acquisition, Use, numbered
from stage.services import digest

CURL, WGET = "/usr/bin/curl", "/usr/bin/wget"
GITHUB = "api.github.com"
FINDING = ["key_in_arguments"]


def github(keys, evidence="inferred", reason="only_key_held"):
    return Use(evidence, reason, keys, provider="github", service="vcs", region="global", host=GITHUB)


def password(place, login, host=GITHUB):
    return Acquisition("argument", place, numbered(f"http.basic_password:{login}@{host}"), kind="http.basic_password",
                       key_class="password", lifetime="long_lived")


@needs(CURL)
class Curl(SystemCase):
    def curl(self, *words, env=None):
        self.start([CURL, "-sf", "-o", "/dev/null", *words], env=env).wait()

    def test_a_token_that_shows_what_it_is(self):
        token = self.maker.github()
        self.curl("-H", f"Authorization: token {token}", f"https://{GITHUB}/user")
        self.assertEqual(self.sent(GITHUB), [digest(token)])
        self.expect([Acquisition("argument", "-H", FINGERPRINT, kind="github.token", lifetime="unknown",
                                 selector="Authorization")], [github([FINGERPRINT])], FINDING)

    def test_a_token_that_does_not(self):
        """Another token of the service in the environment is not what curl sends."""
        token, other = self.maker.token(), self.maker.github()
        self.curl("-H", f"Authorization: Bearer {token}", f"https://{GITHUB}/user", env={"GITHUB_TOKEN": other})
        self.assertEqual(self.sent(GITHUB), [digest(token)])
        self.expect([Acquisition("argument", "-H", FINGERPRINT, kind="generic.secret", lifetime="unknown",
                                 selector="Authorization"),
                     Acquisition("environment", "GITHUB_TOKEN", FINGERPRINT, kind="github.token", lifetime="unknown")],
                    [github([FINGERPRINT])], FINDING)

    def test_a_login(self):
        """curl wipes it in its own memory as soon as it runs."""
        secret = self.maker.text(9)
        self.curl("-u", f"robot:{secret}", f"https://{GITHUB}/user")
        self.assertEqual(self.sent(GITHUB), [digest(secret)])
        self.expect([password("-u", "robot")], [github([numbered(f"http.basic_password:robot@{GITHUB}")])], FINDING)

    def test_a_login_in_the_address_of_a_host_that_nobody_knows(self):
        secret, host = self.maker.text(20), f"{self.maker.public(8)}.internal.test"
        self.curl(f"https://robot:{secret}@{host}/x")
        key = numbered(f"http.basic_password:robot@{host}")
        self.expect([password("argument 4", "robot", host)], self.nobody_knows(host, key), FINDING)

    def nobody_knows(self, host, key, provider="multi"):
        return [Use("inferred", "only_key_held", [key], provider=provider, service="", region="", host=host)]

    def test_a_token_in_a_json_body(self):
        token, host = self.maker.token(), f"{self.maker.public(8)}.internal.test"
        self.curl("--json", json.dumps({"user": {"token": token, "name": "robot"}}), f"https://{host}/login")
        self.expect([Acquisition("argument", "--json", FINGERPRINT, kind="generic.secret", lifetime="unknown",
                                 selector="token")], self.nobody_knows(host, FINGERPRINT, "generic"), FINDING)

    def test_a_body_beside_a_token_is_payload(self):
        token, secret = self.maker.github(), self.maker.text(9)
        self.curl("-H", f"Authorization: token {token}", "-d", json.dumps({"config": {"password": secret}}),
                  f"https://{GITHUB}/repos/a/b/hooks")
        self.expect([Acquisition("argument", "-H", FINGERPRINT, kind="github.token", lifetime="unknown",
                                 selector="Authorization"),
                     Acquisition("argument", "-d", numbered("http.basic_password"), kind="http.basic_password",
                                 key_class="password", lifetime="long_lived", selector="password")],
                    [github([FINGERPRINT])], FINDING * 2)

    def test_a_session_in_a_cookie(self):
        session, host = self.maker.token(), f"{self.maker.public(8)}.internal.test"
        self.curl("-b", f"theme=dark; sessionid={session}", f"https://{host}/")
        self.expect([Acquisition("argument", "-b", FINGERPRINT, kind="http.session_cookie", key_class="session_token",
                                 lifetime="short_lived", selector="sessionid")],
                    self.nobody_knows(host, FINGERPRINT), FINDING)

    def test_a_signature_is_made_with_the_login(self):
        """The key in the environment is none of curl's."""
        bucket, host = self.bucket()
        key, other = self.maker.aws(), self.maker.aws()
        self.curl("--aws-sigv4", "aws:amz:eu-west-1:s3", "--user", f"{key.id}:{key.secret}", f"https://{host}/",
                  env=other.env())
        self.expect([Acquisition("argument", "--user", key.id),
                     Acquisition("environment", "AWS_ACCESS_KEY_ID", other.id)],
                    [Use("inferred", "only_key_held", [key.id], host=host)], FINDING)

    def test_more_arguments_than_are_kept(self):
        """What was cut off may hold the key that is sent: nothing is sure."""
        token = self.maker.github()
        self.curl("-H", "X-Filler: " + "x" * 4096, "-H", f"Authorization: token {token}", f"https://{GITHUB}/user",
                  env={"GITHUB_TOKEN": token})
        self.assertEqual(self.sent(GITHUB), [digest(token)])
        self.expect([Acquisition("environment", "GITHUB_TOKEN", FINGERPRINT, kind="github.token", lifetime="unknown")],
                    [github([FINGERPRINT], "possible", "not_seen_whole")])

    def test_a_reference_is_no_key(self):
        self.curl("-H", "Authorization: Bearer ${GITHUB_TOKEN}", f"https://{GITHUB}/user")
        self.expect([], [github([], "unattributed", "no_key_seen")])


@needs(WGET)
class Wget(SystemCase):
    def wget(self, *words):
        self.start([WGET, "-q", "-O", "/dev/null", *words, f"https://{GITHUB}/user"]).wait()

    def test_a_header(self):
        token = self.maker.github()
        self.wget(f"--header=Authorization: Bearer {token}")
        self.assertEqual(self.sent(GITHUB), [digest(token)])
        self.expect([Acquisition("argument", "--header", FINGERPRINT, kind="github.token", lifetime="unknown",
                                 selector="Authorization")], [github([FINGERPRINT])], FINDING)

    def test_a_password(self):
        secret = self.maker.text(9)
        self.wget("--auth-no-challenge", "--user=robot", "--password", secret)
        self.assertEqual(self.sent(GITHUB), [digest(secret)])
        self.expect([password("--password", "robot")], [github([numbered(f"http.basic_password:robot@{GITHUB}")])],
                    FINDING)
