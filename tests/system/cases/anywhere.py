# SPDX-License-Identifier: Apache-2.0
"""Key files at no known place: what they hold says what they are."""
import os

from case import S3, SystemCase
from rows import Acquisition, Use


class FreePath(SystemCase):
    def test_a_file_with_a_keys_name_is_known_by_its_content(self):
        key = self.maker.aws()
        self.plant("srv/app/credentials", key.profile())
        self.actor("read", "/root/srv/app/credentials", "call", S3).wait()
        self.expect([Acquisition("file", "/root/srv/app/credentials", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_a_file_with_a_keys_name_and_no_key_is_no_row(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.plant("srv/app/token", "a list of words that is no token\n", mode=0o644)
        self.actor("read", "/root/srv/app/token", "read", "/root/.aws/credentials", "call", S3).wait()
        self.expect([Acquisition("file", "/root/.aws/credentials", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])


class FreeName(SystemCase):
    """Files under names that are no key's: their shape makes them candidates, their content decides. The home of a case
    is a tmpfs, where a small file of any mode is one; what lies in `disk` is on none."""
    def disk(self, text, mode):
        return {"/srv": self.filled("disk", {"stuff": (text, mode)})}

    def test_a_key_that_only_its_owner_may_read_is_found_whatever_its_name(self):
        key = self.maker.aws()
        self.actor("read", "/srv/stuff", "call", S3, binds=self.disk(key.profile(), 0o600)).wait()
        self.expect([Acquisition("file", "/srv/stuff", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_a_key_for_all_is_found_under_a_free_name_on_a_tmpfs_only(self):
        on_disk, in_memory = self.maker.aws(), self.maker.aws()
        self.plant("srv/app/stuff", in_memory.profile(), mode=0o644)
        # no name under which another case's agent found a key
        binds = {"/srv": self.filled("disk", {"open-to-all": (on_disk.profile(), 0o644)})}
        self.actor("read", "/srv/open-to-all", "read", "/root/srv/app/stuff", "call", S3, binds=binds).wait()
        self.expect([Acquisition("file", "/root/srv/app/stuff", in_memory.id, selector="default")],
                    [Use("inferred", "only_key_held", [in_memory.id])])

    def test_a_file_shaped_like_a_secret_that_is_not_identified_weakens_its_readers_claims(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", "/srv/stuff", "read", "/root/.aws/credentials", "call", S3,
                   binds=self.disk(self.maker.token(40) + "\n", 0o600)).wait()
        self.expect([Acquisition("file", "/root/.aws/credentials", key.id, selector="default")],
                    [Use("possible", "unidentified_file", [key.id])])

    def test_a_file_shaped_like_a_secret_that_is_gone_before_it_is_looked_at_is_a_gap_of_its_reader(self):
        made = self.disk(self.maker.aws().profile(), 0o600)
        before = self.agent.last_seq()
        reader = self.actor("read", "/srv/stuff", "spawn", "rm", "/srv/stuff", ";", binds=made).wait()
        self.agent.quiet()
        gaps = [row for row in self.agent.rows(before, "gap") if row["cause"] == "files_unread"]
        taken = [row for row in self.rows() if row["type"] == "acquisition" and row["actor"]["pid"] == reader.pid]
        self.assertTrue(taken or [gap for gap in gaps if gap["detail"] in ("gone", "changed") and gap["scope"]],
                        f"neither a row nor a gap: {gaps}")

    def test_a_file_that_held_a_key_is_seen_whatever_it_is_called_later_and_whoever_may_read_it(self):
        key = self.maker.aws()
        disk = self.disk(key.profile(), 0o600)
        self.actor("read", "/srv/stuff", "sleep", "0.5", binds=disk).wait()
        self.agent.quiet()
        folder = disk["/srv"]
        os.chmod(f"{folder}/stuff", 0o644)
        os.rename(f"{folder}/stuff", f"{folder}/page")
        self.actor("read", "/srv/page", binds=disk).wait()
        self.expect([Acquisition("file", f"/srv/{name}", key.id, selector="default") for name in ("stuff", "page")], [])

    def test_temporary_files_of_the_reader_weaken_nothing(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        before = self.agent.last_seq()
        steps = [step for n in range(20) for step in ("temporary", f"/root/part{n}")]
        # A compiler's child reads what its driver made, and the driver deletes it at once.
        steps += [step for n in range(20) for step in
                  ("temporary", f"/root/made{n}", "fork", "read", f"/root/made{n}", ";", "spawn", "rm",
                   f"/root/made{n}", ";")]
        self.actor(*steps, "read", "/root/.aws/credentials", "call", S3).wait()
        self.agent.quiet()
        self.assertEqual([row for row in self.agent.rows(before, "gap")
                          if row["cause"] == "files_unread" and self.tag in row["scope"]], [])
        self.expect([Acquisition("file", "/root/.aws/credentials", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])


class FoundBefore(SystemCase):
    def make_agent(self):
        return self.own_agent()

    def test_a_place_where_an_earlier_agent_found_a_key_is_watched_by_the_next(self):
        """Also for another key that was put there meanwhile, in a file that everybody may read."""
        first, second = self.maker.aws(), self.maker.aws()
        disk = {"/srv": self.filled("disk", {"stuff": (first.profile(), 0o600)})}
        self.agent.start()
        # A place that only its mounts had is forgotten with them.
        holder = self.actor("read", "/srv/stuff", "sleep", "60", binds=disk)
        holder.until("read")
        self.agent.quiet()
        self.agent.stop()
        holder.process.kill()
        holder.wait(code=None)
        place = disk["/srv"] + "/stuff"
        os.unlink(place)
        with open(place, "w") as file:
            file.write(second.profile())
        os.chmod(place, 0o644)
        self.agent.start()
        self.agent.quiet()
        reader = self.actor("read", "/srv/stuff", "sleep", "0.5", binds=disk).wait()
        self.expect([Acquisition("file", "/srv/stuff", first.id, selector="default"),
                     Acquisition("file", "/srv/stuff", second.id, selector="default", pid=reader.pid)], [])
