# SPDX-License-Identifier: Apache-2.0
"""A Google service account under a free file name, given by GOOGLE_APPLICATION_CREDENTIALS: first oauth2, then storage
with what oauth2 issued."""
from case import PYTHON, SystemCase, needs
from rows import Acquisition, Use
from stage import fetch
from stage.services import digest

RCLONE = "/usr/bin/rclone"
PLACE = "/root/deploy/robot.json"
OAUTH2, STORAGE = "oauth2.googleapis.com", "storage.googleapis.com"
LIBRARY = (
    "import google.auth, google.auth.transport.requests as t\n"
    "credentials, _ = google.auth.default(['https://www.googleapis.com/auth/devstorage.read_only'])\n"
    "assert t.AuthorizedSession(credentials).get('https://storage.googleapis.com/storage/v1/b?project=stage').ok\n")


class ServiceAccount(SystemCase):
    def setUp(self):
        super().setUp()
        text, self.key = self.maker.google()
        self.plant("deploy/robot.json", text)
        self.issued = f"gcp.access_token@{self.key}"
        self.env = {"GOOGLE_APPLICATION_CREDENTIALS": PLACE}

    def check(self):
        self.assertEqual(self.sent(STORAGE), [digest(self.world.issued["tokens"]["gcp"])])
        google = {"provider": "gcp", "region": "global"}
        self.expect([Acquisition("file", PLACE, self.key, kind="gcp.service_account_key"),
                     Acquisition("issued", OAUTH2, self.issued, kind="gcp.access_token", key_class="session_token",
                                 lifetime="short_lived")],
                    [Use("inferred", "only_key_held", [self.key], host=OAUTH2, service="oauth2", **google),
                     Use("inferred", "only_key_held", [self.issued], host=STORAGE, service="storage", **google)])

    @needs(RCLONE)
    def test_rclone(self):
        self.start([RCLONE, "--config", "/root/none", "lsd", ":gcs:", "--gcs-project-number", "1"], env=self.env).wait()
        self.check()

    def test_library_of_google(self):
        site = self.fetched(fetch.pypi, "google-auth==2.40.3", "cachetools==5.5.2")
        self.start([PYTHON, "-c", LIBRARY],
                   env={**self.env, "PYTHONPATH": site, "REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",
                        "NO_GCE_CHECK": "true"}).wait()
        self.check()
