# SPDX-License-Identifier: Apache-2.0
"""Every take of a key can be found later: who read it, from where, how often, in which session or container."""
import os
import subprocess
import uuid

from case import SystemCase
from rows import Acquisition
from stage.world import PYTHON

CREDENTIALS = "/root/.aws/credentials"
CAT = "/usr/bin/cat"
PERSON = 4242


class Taken(SystemCase):
    def setUp(self):
        super().setUp()
        self.key = self.maker.aws()
        self.plant(".aws/credentials", self.key.profile())

    def cat(self, times=1, **options):
        """A shell in which somebody reads the key."""
        line = f"cat {CREDENTIALS} >/dev/null; " * times
        return self.start(["/bin/sh", "-c", line + "sleep 0.3"], **options).wait()

    def taken(self, exe=CAT):
        return Acquisition("file", CREDENTIALS, self.key.id, selector="default", exe=exe)

    def readers(self):
        """(program, session, count, processes) of each reader, sorted."""
        self.agent.quiet(0.6)
        rows = self.agent.json(f"/v1/readers?key={self.key.id}")["rows"]
        return sorted((row["actor"]["program"], row["actor"]["session"], row["count"], len(row["instances"]))
                      for row in rows if row["slot"]["place"] == CREDENTIALS)

    def pod(self):
        """The cgroups of a new container of a new pod."""
        path = f"kubepods/besteffort/pod{uuid.uuid4()}/{os.urandom(32).hex()}"
        groups = self.world.group_at(path)
        self.addCleanup(self.world.clear, groups)
        self.cgroup = "/" + path
        return groups


class Readers(Taken):
    def test_the_second_cat_in_one_shell_is_counted(self):
        self.cat(times=2)
        self.expect([self.taken()])
        self.assertEqual(self.readers(), [("cat", "", 2, 2)])
        text = self.agent.cli("key", self.key.id, "--readers", check=0)[1]
        for part in ("1 reader, taken 2 times", "cat[", f"file {CREDENTIALS} [default]"):
            self.assertIn(part, text)
        copies = self.agent.cli("key", self.key.id, "--copies", check=0)[1]
        self.assertIn("cat[", copies)

    def test_hundreds_of_reads_are_one_reader_and_one_row(self):
        self.start(["/bin/sh", "-c", f"for i in $(seq 200); do cat {CREDENTIALS}; done >/dev/null; sleep 0.3"]).wait()
        self.expect([self.taken()])
        self.assertEqual(self.readers(), [("cat", "", 200, 16)])

    def test_another_login_session_is_another_reader(self):
        write = f"open('/proc/self/loginuid', 'w').write('{PERSON}')"
        tried = subprocess.run([PYTHON, "-I", "-c", write], capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            self.skipTest("this kernel lets root set no login: " + tried.stderr.strip().splitlines()[-1])
        self.cat(login_uid=PERSON)
        self.cat(times=2, login_uid=PERSON)
        self.expect([self.taken(), self.taken()])
        (_, first, once, _), (_, second, twice, _) = sorted(self.readers(), key=lambda one: one[2])
        self.assertEqual((once, twice), (1, 2))
        self.assertTrue(first.startswith("login ") and second.startswith("login ") and first != second, (first, second))

    def test_another_container_of_the_same_program_is_another_reader(self):
        for _ in range(2):
            self.cat(cgroups=self.pod())
            self.expect([self.taken()])
        self.assertEqual(self.readers(), [("cat", "", 1, 1)] * 2)

    def test_who_enters_a_container_is_told_from_what_it_runs(self):
        groups = self.pod()
        self.cat(cgroups=groups)
        self.cat(cgroups=groups)
        self.expect([self.taken(), self.taken()])
        self.assertEqual(self.readers(), [("cat", "", 1, 1), ("cat", "exec", 1, 1)])


class Programs(Taken):
    """Which file a program was: its path says it of one moment."""
    TOOL = "/root/tool"

    def run_shell(self, *lines):
        script = "\n".join(("set -e", f"cp {CAT} {self.TOOL}", *lines, "sleep 0.3"))
        return self.start(["/bin/sh", "-c", script]).wait()

    def program_files(self):
        """The file of the program of each acquisition, in the order of the rows."""
        return [row["actor"]["exe_file"] for row in self.rows() if row["type"] == "acquisition"]

    def test_another_file_under_one_path_is_another_taker(self):
        take = f"{self.TOOL} {CREDENTIALS} >/dev/null"
        self.run_shell(take, take, f"cp {CAT} {self.TOOL}.next", f"mv {self.TOOL}.next {self.TOOL}", take, take)
        self.expect([self.taken(self.TOOL), self.taken(self.TOOL)])
        before, after = self.program_files()
        self.assertNotEqual(0, before["inode"])
        self.assertNotEqual((before["device"], before["inode"]), (after["device"], after["inode"]))
        self.assertEqual((before["deleted"], after["deleted"]), (False, False))
        self.assertEqual(self.readers(), [("tool", "", 4, 4)], "an update of a program is no other reader")

    def test_a_program_whose_file_has_no_name_any_more_is_said_to_be_deleted(self):
        self.run_shell(f"exec 3<{self.TOOL}", f"rm {self.TOOL}", f"/proc/self/fd/3 {CREDENTIALS} >/dev/null")
        self.expect([self.taken(exe=None)])
        self.assertTrue(self.program_files()[0]["deleted"], self.program_files())


class Restarted(Taken):
    def make_agent(self):
        return self.own_agent()

    def test_what_was_taken_outlives_the_agent(self):
        self.agent.start()
        self.cat()
        self.assertEqual(self.readers(), [("cat", "", 1, 1)])
        self.agent.stop()
        self.agent.start()
        self.cat()
        self.assertEqual(self.readers(), [("cat", "", 2, 2)])
