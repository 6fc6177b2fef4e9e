# SPDX-License-Identifier: Apache-2.0
"""A process goes on with the old key after its slot was rotated; the uses name the old key, and the holders answer is
that process."""
import os
import time

from case import S3, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"


class Rotation(SystemCase):
    def setUp(self):
        super().setUp()
        self.old, self.new = self.maker.aws(), self.maker.aws()
        self.plant(".aws/credentials", self.old.profile())
        self.holder = self.actor("read", CREDENTIALS, "call", S3, "wait", self.flag("rotated"), "call", S3, "wait",
                                 self.flag("end"))
        self.holder.until("call")
        self.agent.quiet()

    def rotate(self):
        """A new file takes the old one's name, as tools do it."""
        place = self.holder.path(CREDENTIALS)
        with open(os.open(place + ".tmp", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(self.new.profile())
        os.rename(place + ".tmp", place)

    def holders(self, key):
        return [(row["actor"]["pid"], row["slot_changed"])
                for row in self.agent.json(f"/v1/holders?key={key.id}")["rows"]]

    def wait_for_change(self, seconds=10):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if self.holders(self.old) == [(self.holder.pid, True)]:
                return
            time.sleep(0.2)
        self.fail(f"the change of the slot was not noticed within {seconds} s: holders {self.holders(self.old)}")

    def end(self):
        self.raise_flag("rotated")
        self.holder.until("call", 2)
        self.agent.quiet()
        self.assertEqual(self.holders(self.old), [(self.holder.pid, True)])

    def use_of_old(self):
        return Use("inferred", "only_key_held", [self.old.id], connections=2, pid=self.holder.pid)

    def test_when_another_process_reads_the_new_key(self):
        self.rotate()
        reader = self.actor("read", CREDENTIALS, "call", S3, mount_of=self.holder.pid).wait()
        self.wait_for_change()
        self.end()
        self.expect([Acquisition("file", CREDENTIALS, self.old.id, selector="default", pid=self.holder.pid),
                     Acquisition("file", CREDENTIALS, self.new.id, selector="default", pid=reader.pid)],
                    [self.use_of_old(), Use("inferred", "only_key_held", [self.new.id], pid=reader.pid)],
                    ["old_key_in_use"])
        self.assertEqual(self.holders(self.new), [], "the reader of the new key has ended")

    def test_when_nobody_reads_the_new_key(self):
        self.rotate()
        self.wait_for_change()
        self.end()
        self.expect([Acquisition("file", CREDENTIALS, self.old.id, selector="default", pid=self.holder.pid)],
                    [self.use_of_old()], ["old_key_in_use"])

    def test_the_command_says_what_is_left_until_the_holder_ends(self):
        asked = ("rotation", self.old.id, self.new.id)
        _, text = self.agent.cli(*asked, check=1)
        self.assertIn("the file still has this key", text)
        self.rotate()
        self.actor("read", CREDENTIALS, "call", S3, mount_of=self.holder.pid).wait()
        self.wait_for_change()
        _, text = self.agent.cli(*asked, check=1)
        for part in ("NOT DONE", f"[{self.holder.pid}]", "has not read it again", "1 process to go"):
            self.assertIn(part, text)
        self.agent.cli(*asked, "--wait", "1s", check=6)
        self.raise_flag("rotated")
        self.raise_flag("end")
        self.holder.wait()
        self.agent.quiet()
        code, text = self.agent.cli(*asked, "--wait", "5s")
        self.assertNotIn(f"[{self.holder.pid}]", text)
        self.assertIn(code, (0, 3), "done, or a gap elsewhere leaves it open")

    def test_without_a_rotation_nothing_is_found(self):
        self.raise_flag("rotated")
        self.holder.until("call", 2)
        self.agent.quiet()
        self.assertEqual(self.holders(self.old), [(self.holder.pid, False)])
        self.expect([Acquisition("file", CREDENTIALS, self.old.id, selector="default")], [self.use_of_old()])

    def test_another_file_of_that_name_in_other_mounts_is_no_rotation(self):
        self.plant(".aws/credentials", self.new.profile())
        other = self.actor("read", CREDENTIALS, "call", S3, "wait", self.flag("end"))
        other.until("call")
        self.raise_flag("rotated")
        self.holder.until("call", 2)
        time.sleep(10.5)  # the agent looks at known files every 10 s
        self.agent.quiet()
        self.assertEqual((self.holders(self.old), self.holders(self.new)),
                         ([(self.holder.pid, False)], [(other.pid, False)]))
        self.expect([Acquisition("file", CREDENTIALS, self.old.id, selector="default", pid=self.holder.pid),
                     Acquisition("file", CREDENTIALS, self.new.id, selector="default", pid=other.pid)],
                    [self.use_of_old(), Use("inferred", "only_key_held", [self.new.id], pid=other.pid)])

    def test_the_holder_that_ends_is_no_holder(self):
        self.raise_flag("rotated")
        self.raise_flag("end")
        self.holder.wait()
        self.agent.quiet()
        self.assertEqual(self.holders(self.old), [])
