# SPDX-License-Identifier: Apache-2.0
"""A process goes on with the old key after its slot was rotated; the uses name the old key, and the holders answer is
that process."""
import os
import subprocess
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
        """But for the runner: it has key files copied, and may have them from that child's pipe."""
        return [(row["actor"]["pid"], row["slot_changed"])
                for row in self.agent.json(f"/v1/holders?key={key.id}")["rows"] if row["actor"]["pid"] != os.getpid()]

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
        code, text = self.agent.cli(*asked, "--wait", "5s", "--ignore-quiet")
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


class OlderThanTheAgent(SystemCase):
    """A process that read the key before the agent began, and calls afterwards: nobody can say what it holds."""

    def make_agent(self):
        return None

    def test_it_is_named_until_it_ends(self):
        old, new = self.maker.aws(), self.maker.aws()
        self.plant(".aws/credentials", old.profile())
        older = self.actor("read", CREDENTIALS, "wait", self.flag("armed"), "call", S3, "wait", self.flag("end"))
        older.until("read")
        self.agent = self.own_agent().start()
        for key in (old, new):
            self.plant(".aws/credentials", key.profile())
            self.actor("read", CREDENTIALS, "call", S3).wait()
        self.agent.quiet(1.5)
        _, text = self.agent.cli("key", old.id, "--holders", check=3)
        self.assertIn("connected to nobody since", text)
        self.assertNotIn(f"[{older.pid}]", text, "it called nobody yet")
        quiet = self.agent.json(f"/v1/holders?key={old.id}")["cannot_tell"]["quiet_programs"]
        self.assertIn("python3 actor.py", [one["program"] for one in quiet])
        self.raise_flag("armed")
        older.until("call")
        self.agent.quiet(1.5)
        asked = ("rotation", old.id, new.id)
        _, text = self.agent.cli(*asked, check=3)
        for part in ("CANNOT TELL: no process was seen that holds " + old.id, f"[{older.pid}]", "older than the agent"):
            self.assertIn(part, text)
        _, text = self.agent.cli("key", old.id, "--holders", check=3)
        self.assertIn(f"[{older.pid}]", text)
        self.raise_flag("end")
        older.wait()
        self.agent.quiet(1.5)
        code, text = self.agent.cli(*asked, "--ignore-quiet")
        self.assertNotIn(f"[{older.pid}]", text)
        self.assertIn(code, (0, 3), "done, or another process of this machine is older and calls")


class SeveralServices(SystemCase):
    """Three services and two other programs, each with mounts of its own, read one path. Their keys are rotated
    one after the other, each in another way, and none of them reads again."""

    def write(self, place, key, flags=os.O_CREAT | os.O_EXCL):
        with open(os.open(place, flags | os.O_WRONLY, 0o600), "w") as file:
            file.write(key.profile())

    def by_rename(self, folder, key):
        self.write(f"{folder}/credentials.new", key)
        os.rename(f"{folder}/credentials.new", f"{folder}/credentials")

    def in_place(self, folder, key):
        self.write(f"{folder}/credentials", key, os.O_TRUNC)

    def by_link(self, folder, key):
        """As kubelet does it: another generation, and ..data leads there."""
        os.mkdir(f"{folder}/..2026_11_29")
        self.write(f"{folder}/..2026_11_29/credentials", key)
        os.symlink("..2026_11_29", f"{folder}/..data_tmp")
        os.rename(f"{folder}/..data_tmp", f"{folder}/..data")

    def by_copy(self, folder, key):
        self.write(f"{self.folder}/new", key)
        subprocess.run(["/bin/cp", "-f", f"{self.folder}/new", f"{folder}/credentials"], check=True)

    def holders(self, key):
        """But for the runner: it has key files copied, and may have them from that child's pipe."""
        return [(row["actor"]["pid"], row["slot_changed"])
                for row in self.agent.json(f"/v1/holders?key={key.id}")["rows"] if row["actor"]["pid"] != os.getpid()]

    def service(self, name, key, linked, cgroups):
        if linked:
            self.files = {".aws/..2026_11_28/credentials": (key.profile(), 0o600)}
        else:
            self.files = {".aws/credentials": (key.profile(), 0o600)}
        home = self.filled(f"of-{name}", self.files)
        if linked:
            os.symlink("..2026_11_28", f"{home}/.aws/..data")
            os.symlink("..data/credentials", f"{home}/.aws/credentials")
        actor = self.actor("read", CREDENTIALS, "wait", self.flag("go"), "call", S3, "wait", self.flag("end"),
                           trees={"/root": home}, cgroups=cgroups)
        actor.until("read")
        return actor

    def test_each_rotation_of_one_path_is_noticed(self):
        ways = [self.by_rename, self.in_place, self.by_link, self.by_copy, self.by_rename]
        old, new = [self.maker.aws() for _ in ways], [self.maker.aws() for _ in ways]
        services = [self.service(f"svc{i}", key, i == 2, self.unit(f"svc{i}") if i < 3 else None)
                    for i, key in enumerate(old)]
        self.agent.quiet()
        for i, rotate in enumerate(ways):
            rotate(services[i].path("/root/.aws"), new[i])
            limit = time.monotonic() + 11  # a look at every 10 s
            while self.holders(old[i]) != [(services[i].pid, True)] and time.monotonic() < limit:
                time.sleep(0.2)
            now = [self.holders(key) for key in old]
            self.assertEqual(now, [[(one.pid, k <= i)] for k, one in enumerate(services)], f"after {rotate.__name__}")
        self.assertEqual([row for row in self.rows() if row["type"] == "finding"], [], "nobody has called yet")
        self.raise_flag("go")
        for one in services:
            one.until("call")
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default", pid=one.pid)
                     for key, one in zip(old, services)],
                    [Use("inferred", "only_key_held", [key.id], pid=one.pid) for key, one in zip(old, services)],
                    ["old_key_in_use"] * len(ways))
        self.raise_flag("end")
