# SPDX-License-Identifier: Apache-2.0
"""A site's own entries in catalog.d. A company's own key, file place, service and reader need no code; refused
additions change nothing and are said."""
import os
import re
import signal
import time

from case import SystemCase
from rows import Acquisition, Use

PLACE, HOST = "/root/.acme/acme-headers", "api.acme.test"
GOOD = """kinds:
- {id: acme.token, title: Acme token, class: access_key, lifetime: long_lived}
files:
- {id: acme.headers, provider: acme, kinds: [acme.token], format: opaque, paths: [~/.acme/acme-headers],
   verified: opened, source: [our own client]}
endpoints:
- {id: ep.acme.api, provider: acme, service: api, suffix: [acme.test], verified: opened, source: [our own service]}
rules:
- {endpoints: [ep.acme.api], accepts: [acme.token], verified: opened, source: [our own service]}
readers:
- {id: acme.mirror, role: backup, names: [acme-mirror], reads: ['*'], verified: opened, source: [our own program]}
"""
HOSTILE = "a: &a [x, x]\nb: [*a, *a]\n"


class Additions(SystemCase):
    def make_agent(self):
        agent = self.own_agent()
        self.directory = agent.folder + "/catalog.d"
        os.makedirs(self.directory, mode=0o755)
        agent.configure(f"sampling:\n  slots_s: 2\ncatalog:\n  directory: {self.directory}\n")
        return agent

    def additions(self, text):
        with open(self.directory + "/acme.yaml", "w") as file:
            file.write(text)
        os.chmod(self.directory + "/acme.yaml", 0o644)

    def reload(self, said):
        """SIGHUP to the warden, as `systemctl reload` does; waits until the log says so once more."""
        before = self.agent.log().count(said)
        os.kill(self.agent.process.pid, signal.SIGHUP)
        limit = time.monotonic() + 10
        while self.agent.log().count(said) == before:
            self.assertLess(time.monotonic(), limit, "the reload was not said: " + self.agent.log()[-1500:])
            time.sleep(0.05)

    def remarks(self):
        """What the status says of the additions. (Without the user keytrail it says that as well.)"""
        return [remark for remark in self.agent.status()["remarks"] if "user keytrail" not in remark]

    def call(self):
        self.start(["/usr/bin/curl", "-s", "-o", "/dev/null", "-H", "@" + PLACE, f"https://{HOST}/v1/things"]).wait()

    def seen(self):
        """What one call must give, complete."""
        key = re.compile("fp:[0-9a-f]{32}")
        self.expect([Acquisition("file", PLACE, key, kind="acme.token", exe="/usr/bin/curl")],
                    [Use("inferred", "only_key_held", [key], provider="acme", service="api", region="global", host=HOST,
                         exe="/usr/bin/curl")])

    def test_a_companys_own_service_is_known_without_code(self):
        self.plant(".acme/acme-headers", "X-Acme-Token: " + self.maker.token(40) + "\n")
        self.additions(GOOD)
        self.agent.start()
        self.call()
        self.seen()
        self.assertEqual(self.remarks(), [])

    def test_refused_at_start_taken_over_by_a_reload_and_kept_by_a_bad_one(self):
        self.plant(".acme/acme-headers", "X-Acme-Token: " + self.maker.token(40) + "\n")
        self.additions(HOSTILE)
        self.agent.start()
        worker = self.agent.role("worker")
        remarks = self.remarks()
        self.assertIn("additions are REFUSED, the built-in catalog is used alone", remarks[0])
        self.assertIn("acme.yaml:1: anchors (&name) are not allowed here", remarks[1])
        self.assertIn("REFUSED", self.agent.cli("status", check=0)[1])
        self.call()
        self.expect([], [], truth={HOST: 1})
        self.additions(GOOD)
        self.reload("1 kind, 1 file, 1 endpoint, 1 rule, 1 reader")
        self.assertEqual(self.remarks(), [])
        self.additions(HOSTILE)
        self.reload("REFUSED, those read before stay in use")
        self.begin_ns = time.time_ns()
        self.call()
        self.seen()
        self.assertEqual(self.agent.role("worker"), worker, "the worker was not restarted")
