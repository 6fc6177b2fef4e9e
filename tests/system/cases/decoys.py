# SPDX-License-Identifier: Apache-2.0
"""What looks like a use and is none, or a use whose key nobody saw."""
import time

from case import PYTHON, S3, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"


class Decoys(SystemCase):
    def one_key(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        return key, Acquisition("file", CREDENTIALS, key.id, selector="default")

    def test_reads_a_key_and_never_calls(self):
        _, read = self.one_key()
        self.start(["/bin/sh", "-c", f"cat {CREDENTIALS}; sleep 0.3"]).wait()
        self.expect([read], [])

    def test_reader_that_is_gone_at_once(self):
        """Nothing of its mount namespace is left when the file is looked at: the key is told, or why it is not
        (`gone`), never nothing."""
        _, read = self.one_key()
        self.start(["/usr/bin/cat", CREDENTIALS]).wait()
        got, limit = [], time.monotonic() + 10
        while not got and time.monotonic() < limit:
            self.agent.quiet()
            got = self.rows()
        unread = Acquisition("file", CREDENTIALS, "", unread="gone")
        self.assertTrue(len(got) == 1 and (read.matches(got[0]) or unread.matches(got[0])), got)

    def test_call_without_a_key_is_unattributed(self):
        _, host = self.bucket()
        self.start(["/usr/bin/curl", "-s", f"https://{host}/"]).wait()
        self.expect([], [Use("unattributed", "no_key_seen", [], host=host)])

    def test_two_keys_that_fit_are_both_listed(self):
        first, second = self.maker.aws(), self.maker.aws()
        self.plant(".aws/credentials", first.profile() + second.profile("other"))
        self.actor("read", CREDENTIALS, "call", S3).wait()
        self.expect([Acquisition("file", CREDENTIALS, first.id, selector="default"),
                     Acquisition("file", CREDENTIALS, second.id, selector="other")],
                    [Use("possible", "several_keys", [first.id, second.id])])

    def test_two_processes_with_different_keys_on_one_destination_at_the_same_time(self):
        one, two = self.maker.aws(), self.maker.aws()
        steps = ("open", S3, "c", "wait", self.flag("go"), "send", "c", "call", S3)
        first, second = self.actor(*steps, env=one.env()), self.actor(*steps, env=two.env())
        first.until("connect")
        second.until("connect")
        self.raise_flag("go")
        first.wait()
        second.wait()
        self.expect([Acquisition("environment", "AWS_ACCESS_KEY_ID", one.id, pid=first.pid),
                     Acquisition("environment", "AWS_ACCESS_KEY_ID", two.id, pid=second.pid)],
                    [Use("inferred", "only_key_held", [one.id], connections=2, pid=first.pid),
                     Use("inferred", "only_key_held", [two.id], connections=2, pid=second.pid)])

    def test_backup_of_the_home_directory_is_a_bulk_reader_without_use(self):
        _, read = self.one_key()
        read.bulk = True
        private, shown = self.maker.ssh()
        self.plant(".ssh/id_ed25519", private)
        self.plant("notes.txt", "nothing\n", 0o644)
        self.start(["/bin/sh", "-c", "tar -cf /root/backup --exclude=./backup -C /root .; sleep 0.3"]).wait()
        self.expect([read, Acquisition("file", "/root/.ssh/id_ed25519", shown, kind="ssh.private_key", bulk=True)], [])

    def test_key_set_by_the_program_itself_is_unattributed(self):
        key, (name, host) = self.maker.aws(), self.bucket()
        self.plant("code.py", f"import boto3\nboto3.client('s3', aws_access_key_id='{key.id}', "
                   f"aws_secret_access_key='{key.secret}').list_objects_v2(Bucket='{name}')\n")
        self.start([PYTHON, "/root/code.py"]).wait()
        self.expect([], [Use("unattributed", "no_key_seen", [], host=host)])

    def test_key_set_by_the_program_with_another_key_read_is_the_stated_limit_of_inferred(self):
        """A key built in code crosses no watched boundary. With one other key held, `inferred` names that one: README
        and `explain` state this limit."""
        built = self.maker.aws()
        held, read = self.one_key()
        self.plant("code.py", f"import boto3\nopen('{CREDENTIALS}').read()\nboto3.client('s3', "
                   f"aws_access_key_id='{built.id}', aws_secret_access_key='{built.secret}').list_buckets()\n")
        self.start([PYTHON, "/root/code.py"]).wait()
        self.expect([read], [Use("inferred", "only_key_held", [held.id])])
        truth = [row["key"] for row in self.world.truth(self.begin_ns) if row["kind"] == "request" and row["key"]]
        self.assertEqual(truth, [built.id], "the call was made with the other key: this test is about the limit")
