# SPDX-License-Identifier: Apache-2.0
"""Findings that need more than one workload: a person uses a key that was a service's."""
import subprocess

from case import S3, SystemCase
from rows import Acquisition, Use
from stage.world import PYTHON

CREDENTIALS = "/root/.aws/credentials"
PERSON = 4242  # a login that no passwd knows: shown by its number, and its home is not root's
SET_LOGIN = f"open('/proc/self/loginuid', 'w').write('{PERSON}')"


class PersonAndWorkload(SystemCase):
    def setUp(self):
        super().setUp()
        tried = subprocess.run([PYTHON, "-I", "-c", SET_LOGIN], capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            self.skipTest("this kernel lets root set no login: " + tried.stderr.strip().splitlines()[-1])
        self.key = self.maker.aws()
        self.plant(".aws/credentials", self.key.profile())

    def act(self, **who):
        return self.actor("read", CREDENTIALS, "call", S3, **who).wait()

    def rows_of(self, *processes):
        return ([Acquisition("file", CREDENTIALS, self.key.id, selector="default", pid=one.pid) for one in processes],
                [Use("inferred", "only_key_held", [self.key.id], pid=one.pid) for one in processes])

    def finding(self):
        return [row for row in self.rows() if row["type"] == "finding"][0]

    def test_a_person_uses_the_key_of_a_service(self):
        service = self.act(cgroups=self.unit("api"))
        self.agent.quiet()
        self.assertEqual([row for row in self.rows() if row["type"] == "finding"], [], "the service itself is none")
        person = self.act(login_uid=PERSON)
        self.expect(*self.rows_of(service, person), ["person_used_workload_key"])
        found = self.finding()
        self.assertEqual((found["actor"]["pid"], found["key"]["id"], found["severity"]),
                         (person.pid, self.key.id, "high"))
        self.assertEqual(found["attack"], ["T1552.001", "T1078.004"])
        self.assertEqual(found["state"], "open")
        self.assertIn(f"{PERSON} (as root) read key {self.key.id} and used it (inferred) (", found["text"])

    def test_a_key_that_only_a_person_had_is_no_finding(self):
        person = self.act(login_uid=PERSON)
        service = self.act(cgroups=self.unit("late"))
        self.act(login_uid=PERSON)  # once more: counted with the first, and no news
        acquisitions, uses = self.rows_of(person, service)
        for use in uses:
            use.connections = None
        self.expect(acquisitions, uses, [], truth={S3: 3})
