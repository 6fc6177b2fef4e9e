# SPDX-License-Identifier: Apache-2.0
"""git over HTTPS with its credential store, .netrc with curl and wget, a bearer token that a shell took from a file.
git and wget speak TLS through GnuTLS."""
from case import SystemCase, needs
from rows import FINGERPRINT, Acquisition, Use, numbered
from stage.services import digest

GIT, CURL, WGET = "/usr/bin/git", "/usr/bin/curl", "/usr/bin/wget"
TOKEN = "/run/secrets/kubernetes.io/serviceaccount/token"
GITHUB = {"provider": "github", "region": "global"}


def github(evidence, reason, keys, host="api.github.com", service="vcs", **more):
    return Use(evidence, reason, keys, host=host, service=service, **GITHUB, **more)


class Web(SystemCase):
    def setUp(self):
        super().setUp()
        self.token = self.maker.github()

    def in_file(self, place, selector, **more):
        return Acquisition("file", place, FINGERPRINT, kind="github.token", lifetime="unknown", selector=selector,
                           **more)


@needs(GIT)
class Git(Web):
    def test_credential_store(self):
        """git asks first without a key; its helper reads the file while that connection is open. After its success git
        reads the file again and puts another in its place."""
        self.plant(".git-credentials", f"https://someone:{self.maker.text(20)}@git.test\n"
                   f"https://robot:{self.token}@github.com\n")
        self.plant(".gitconfig", "[credential]\n\thelper = store\n")
        self.start(["/bin/sh", "-c", f"{GIT} ls-remote https://github.com/acme/app.git; sleep 0.5"],
                   env={"GIT_TERMINAL_PROMPT": "0"}).wait()
        self.assertEqual(self.sent("github.com"), ["", digest(self.token)])
        self.expect([self.in_file("/root/.git-credentials", "github.com"),
                     Acquisition("file", "/root/.git-credentials", numbered("git.password:someone@git.test"),
                                 kind="git.password", key_class="password", selector="git.test")],
                    [github("inferred", "helper", [FINGERPRINT], "github.com", "vcs",
                            exe="/usr/lib/git-core/git-remote-http")])

    def test_netrc(self):
        self.plant(".netrc", f"machine github.com login robot password {self.token}\n")
        self.start([GIT, "ls-remote", "https://github.com/acme/app.git"], env={"GIT_TERMINAL_PROMPT": "0"}).wait()
        self.assertEqual(self.sent("github.com"), ["", digest(self.token)])
        self.expect([self.in_file("/root/.netrc", "github.com")], [github("inferred", "only_key_held", [
            FINGERPRINT], "github.com", "vcs", exe="/usr/lib/git-core/git-remote-http")])


class Netrc(Web):
    def setUp(self):
        super().setUp()
        self.plant(".netrc", f"machine git.test login someone password {self.maker.text(20)}\n"
                   f"machine api.github.com login robot password {self.token}\n")
        self.read = [Acquisition("file", "/root/.netrc", numbered("http.basic_password:someone@git.test"),
                                 kind="http.basic_password", key_class="password", selector="git.test"),
                     self.in_file("/root/.netrc", "api.github.com")]

    @needs(CURL)
    def test_curl(self):
        self.start([CURL, "-sf", "--netrc", "https://api.github.com/user"]).wait()
        self.assertEqual(self.sent("api.github.com"), [digest(self.token)])
        self.expect(self.read, [github("inferred", "only_key_held", [FINGERPRINT])])

    @needs(WGET)
    def test_wget(self):
        """wget reads .netrc unasked and speaks TLS through GnuTLS; it is no program whose overrides are all known."""
        self.start([WGET, "-q", "-O", "/dev/null", "--auth-no-challenge", "https://api.github.com/user"]).wait()
        self.assertEqual(self.sent("api.github.com"), [digest(self.token)])
        self.expect(self.read, [github("inferred", "only_key_held", [FINGERPRINT])])

    @needs(CURL)
    def test_curl_that_is_not_told_to_read_it(self):
        self.start([CURL, "-sf", "https://api.github.com/user"]).wait()
        self.assertEqual(self.sent("api.github.com"), [""])
        self.expect([], [github("unattributed", "no_key_seen", [])])


@needs(CURL)
class Bearer(SystemCase):
    """A shell takes the token from a file and gives it to curl as an argument: there it is found again, however it got
    there."""

    def setUp(self):
        super().setUp()
        self.token, jti, kid = self.maker.jwt()
        self.key = f"{kid}/{jti}"
        self.host = "kubernetes.default.svc.cluster.test"

    def call(self, take):
        pods = f"https://{self.host}:6443/api/v1/namespaces/default/pods"
        script = f'{take}; curl -sf -H "Authorization: Bearer $T" {pods}; true'
        self.start(["/bin/bash", "-c", script],
                   env={"KUBERNETES_SERVICE_HOST": self.host, "KUBERNETES_SERVICE_PORT": "6443"},
                   trees={"/run": self.filled("run", {TOKEN.removeprefix("/run/"): (self.token, 0o644)})}).wait()
        self.assertEqual(self.sent(self.host), [digest(self.token)])

    def expect_both(self, reader):
        known = {"kind": "k8s.service_account_token", "key_class": "identity_token", "lifetime": "short_lived"}
        self.expect([Acquisition("file", TOKEN, self.key, exe=reader, **known),
                     Acquisition("argument", "-H", self.key, selector="Authorization", exe=CURL, **known)],
                    [Use("inferred", "only_key_held", [self.key], provider="kubernetes", service="api", region="local",
                         host=self.host, exe=CURL)], ["key_in_arguments"])

    def test_read_by_the_shell_itself(self):
        self.call(f"read -r T < {TOKEN}")
        self.expect_both("/usr/bin/bash")

    def test_read_by_cat(self):
        """The token comes through a pipe from a program that is no known helper."""
        self.call(f"T=$(cat {TOKEN})")
        self.expect_both("/usr/bin/cat")
