# SPDX-License-Identifier: Apache-2.0
"""Registries of containers and packages: skopeo with docker's config.json, npm with .npmrc, twine with .pypirc."""
import base64
import io
import json
import re
import tarfile

from case import SystemCase, needs
from rows import FINGERPRINT, Acquisition, Use, numbered
from stage.services import digest

SKOPEO, NPM, NODE, TWINE = "/usr/bin/skopeo", "/usr/bin/npm", "/usr/bin/node", "/usr/bin/twine"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


class Registries(SystemCase):
    @needs(SKOPEO)
    def test_skopeo(self):
        """The registry first says where tokens are to be had, then one is bought with the password, then used; each on
        a connection of its own.
        The first is anonymous, which the agent cannot see: it names the key there too."""
        token = self.maker.github()
        auth = lambda login: {"auth": base64.b64encode(login.encode()).decode()}
        other = self.maker.text(20)
        self.maker.secrets += [auth(f"robot:{token}")["auth"], auth(f"someone:{other}")["auth"]]
        self.plant(".docker/config.json", json.dumps({"auths": {"ghcr.io": auth(f"robot:{token}"),
                                                                "registry.test": auth(f"someone:{other}")}}))
        self.start([SKOPEO, "list-tags", "docker://ghcr.io/acme/app"]).wait()
        self.assertEqual(self.sent("ghcr.io"), ["", digest(token), digest(self.world.issued["tokens"]["registry"])])
        issued = re.compile("registry.bearer_token@" + FINGERPRINT.pattern)
        ghcr = {"provider": "github", "service": "registry", "region": "global", "host": "ghcr.io"}
        self.expect([Acquisition("file", "/root/.docker/config.json", FINGERPRINT,
                                 kind="github.token", lifetime="unknown", selector="ghcr.io"),
                     Acquisition("file", "/root/.docker/config.json",
                                 numbered("registry.password:someone@registry.test"),
                                 kind="registry.password", key_class="password", selector="registry.test")],
                    [Use("inferred", "only_key_held", [FINGERPRINT], **ghcr),
                     Use("possible", "parent_or_issued", [FINGERPRINT, issued], connections=2, **ghcr)])

    @needs(NPM, NODE)
    def test_npm(self):
        token = self.maker.npm()
        self.plant(".npmrc", f"//registry.npmjs.org/:_authToken={token}\nupdate-notifier=false\n")
        self.start([NPM, "whoami"], env={"NODE_EXTRA_CA_CERTS": BUNDLE}).wait()
        self.assertEqual(self.sent("registry.npmjs.org"), [digest(token)])
        self.expect([Acquisition("file", "/root/.npmrc",
                                 FINGERPRINT, kind="npm.token", lifetime="unknown", selector="registry.npmjs.org")],
                    [Use("inferred", "only_key_held", [FINGERPRINT], provider="npm", service="package", region="global",
                         host="registry.npmjs.org")])

    @needs(TWINE)
    def test_twine(self):
        token, other = self.maker.pypi(), self.maker.pypi()
        self.plant(".pypirc", "[distutils]\nindex-servers = pypi testpypi\n[pypi]\nusername = __token__\n"
                   f"password = {token}\n[testpypi]\nusername = __token__\npassword = {other}\n")
        self.start([TWINE, "upload", "--non-interactive", "--disable-progress-bar", "/srv/stage-1.0.tar.gz"],
                   trees={"/srv": self.package()}, env={"REQUESTS_CA_BUNDLE": BUNDLE}).wait()
        self.assertEqual(self.sent("upload.pypi.org"), [digest(token)])
        self.expect([Acquisition("file", "/root/.pypirc", FINGERPRINT, kind="pypi.token", selector=name)
                     for name in ("pypi", "testpypi")],
                    [Use("possible", "several_keys", [FINGERPRINT, FINGERPRINT], provider="pypi", service="package",
                         region="global", host="upload.pypi.org")])

    def package(self):
        """A folder with a source package that twine takes."""
        folder = self.filled("package", {})
        text = b"Metadata-Version: 2.1\nName: stage\nVersion: 1.0\n"
        with tarfile.open(folder + "/stage-1.0.tar.gz", "w:gz") as archive:
            entry = tarfile.TarInfo("stage-1.0/PKG-INFO")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        return folder
