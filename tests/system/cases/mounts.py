# SPDX-License-Identifier: Apache-2.0
"""Key files that mounts, links and other roots show under another name, or nowhere at all."""
import os

from case import S3, SystemCase
from rows import Acquisition, Use

AT = "/root/.aws/credentials"


class Mounted(SystemCase):
    """What is mounted at a key's place lies somewhere else under a free name, where everybody may read it."""
    def disk(self, name, text):
        return self.filled("disk", {name: (text, 0o644)}) + "/" + name

    def expect_found(self, key, place, selector="default"):
        self.expect([Acquisition("file", place, key.id, selector=selector)],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_a_file_over_a_key_file(self):
        """docker -v ./prod:/root/.aws/credentials, a Kubernetes subPath"""
        key = self.maker.aws()
        self.plant(".aws/credentials", "")
        self.actor("read", AT, "call", S3, binds={AT: self.disk("prod-1", key.profile())}).wait()
        self.expect_found(key, AT)

    def test_a_file_over_a_file_that_is_mounted_there(self):
        key, below = self.maker.aws(), self.maker.aws()
        self.plant(".aws/credentials", "")
        files = self.filled("disk", {"prod-2": (below.profile(), 0o644), "prod-3": (key.profile(), 0o644)})
        both = {AT: files + "/prod-2", "/root/.aws/../.aws/credentials": files + "/prod-3"}
        self.actor("read", AT, "call", S3, binds=both).wait()
        self.expect_found(key, AT)

    def test_a_secret_of_compose(self):
        key = self.maker.aws()
        run = self.filled("run", {"secrets/aws": ("", 0o644)})
        self.actor("read", "/run/secrets/aws", "call", S3,
                   binds={"/run": run, "/run/secrets/aws": self.disk("prod-4", key.profile())}).wait()
        self.expect_found(key, "/run/secrets/aws", selector="")

    def test_a_directory_over_the_one_of_key_files(self):
        key = self.maker.aws()
        self.plant(".aws/unused", "")
        self.disk("credentials", key.profile())
        self.actor("read", AT, "call", S3, binds={"/root/.aws": self.folder + "/disk"}).wait()
        self.expect_found(key, AT)


class Linked(SystemCase):
    """The file at a key's place has another name, too, and everybody may read it."""
    def linked(self, text):
        """A home whose key file is a link to /srv/page."""
        disk = self.filled("disk", {"page": (text, 0o644)})
        home = self.filled("linked", {".aws/config": ("[default]\nregion = eu-west-1\n", 0o644)})
        os.symlink("/srv/page", home + "/.aws/credentials")
        return {"trees": {"/root": home}, "binds": {"/srv": disk}}

    def test_a_link_to_a_free_name(self):
        key = self.maker.aws()
        self.actor("sleep", "2", "read", AT, "call", S3, **self.linked(key.profile())).wait()
        self.expect([Acquisition("file", "/srv/page", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_the_free_name_itself(self):
        key = self.maker.aws()
        self.actor("sleep", "2", "read", "/srv/page", "call", S3, **self.linked(key.profile())).wait()
        self.expect([Acquisition("file", "/srv/page", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_a_hard_link_to_a_key_file_that_nobody_read_yet(self):
        key = self.maker.aws()
        disk = self.filled("disk", {"home/.aws/credentials": (key.profile(), 0o644), "free/x": ("", 0o644)})
        os.link(disk + "/home/.aws/credentials", disk + "/free/leaf")
        self.actor("sleep", "2", "read", "/srv/leaf", "call", S3,
                   binds={"/srv": disk + "/free", "/root": disk + "/home"}).wait()
        self.expect([Acquisition("file", "/srv/leaf", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])


class AnotherDoor(SystemCase):
    """A key file through a door that is not its own: the same key, the same result."""
    def read_through(self, victim, place, key):
        """The place in the root of a process with mounts of its own, a container as it were."""
        self.files = {}
        thief = self.actor("read", f"/proc/{victim.pid}/root{place}", "call", S3).wait()
        self.expect([Acquisition("file", place, key.id, selector="default", pid=thief.pid)],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_the_root_of_another_process_with_mounts_of_its_own(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.read_through(self.actor("sleep", "60"), AT, key)

    def test_a_free_name_there_too(self):
        key = self.maker.aws()
        self.plant("stuff", key.profile())
        self.read_through(self.actor("sleep", "60"), "/root/stuff", key)

    def test_another_root_that_is_mounted_here(self):
        key = self.maker.aws()
        host = self.filled("host", {"root/.aws/credentials": (key.profile(), 0o644)})
        self.actor("read", "/mnt/root/.aws/credentials", "call", S3, binds={"/mnt": host}).wait()
        self.expect([Acquisition("file", "/mnt/root/.aws/credentials", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_a_copy_of_a_mount_that_is_mounted_nowhere(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("clone", "/root/.aws", "credentials", "call", S3).wait()
        self.expect([Acquisition("file", "/.aws/credentials", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_a_file_system_that_is_mounted_nowhere(self):
        key = self.maker.aws()
        source = self.filled("disk", {"open-to-all": (key.profile(), 0o644)})
        self.actor("nowhere", "/srv/open-to-all", "free/stuff", "call", S3, binds={"/srv": source}).wait()
        self.expect([Acquisition("file", "/free/stuff", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_what_was_mounted_nowhere_and_is_gone_is_said_to_be_unread(self):
        held, key = self.maker.aws(), self.maker.aws()
        source = self.filled("disk", {"open-to-all": (key.profile(), 0o644)})
        self.actor("nowhere", "/srv/open-to-all", "free/stuff", "@drop", "call", S3, env=held.env(),
                   binds={"/srv": source}).wait()
        self.expect([Acquisition("environment", "AWS_ACCESS_KEY_ID", held.id),
                     Acquisition("file", "/free/stuff", "", unread="gone")],
                    [Use("possible", "unidentified_file", [held.id])])
