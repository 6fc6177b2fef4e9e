# SPDX-License-Identifier: Apache-2.0
"""ssh with a key file, with two, and with an agent."""
from case import SystemCase, needs
from rows import Acquisition, Use

SSH, AGENT, ADD = "/usr/bin/ssh", "/usr/bin/ssh-agent", "/usr/bin/ssh-add"
OPTIONS = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
           "-o", "BatchMode=yes"]


@needs(SSH, AGENT, ADD)
class Ssh(SystemCase):
    def setUp(self):
        super().setUp()
        self.host = f"{self.maker.public(8)}.login.test"
        self.text, self.key = self.maker.ssh()
        self.plant(".ssh/id_deploy", self.text)

    def read(self, exe, place="/root/.ssh/id_deploy", key=None):
        return Acquisition("file", place, key or self.key, kind="ssh.private_key", exe=exe)

    def use(self, evidence, reason, keys):
        return Use(evidence, reason, keys, provider="ssh", service=self.host, region="", host=self.host, exe=SSH)

    def test_key_file(self):
        self.start([SSH, *OPTIONS, "-i", "/root/.ssh/id_deploy", f"robot@{self.host}", "true"]).wait()
        self.assertEqual(self.sent(self.host), [self.key])
        self.expect([self.read(SSH)], [self.use("inferred", "only_key_held", [self.key])])

    def test_key_file_under_a_free_name(self):
        """Only the argument tells that this is a key."""
        self.plant("backup/robot", self.text)
        self.start([SSH, *OPTIONS, "-i", "/root/backup/robot", f"robot@{self.host}", "true"]).wait()
        self.assertEqual(self.sent(self.host), [self.key])
        self.expect([self.read(SSH, "/root/backup/robot")], [self.use("inferred", "only_key_held", [self.key])])

    def test_usual_file(self):
        self.plant(".ssh/id_ed25519", self.text)
        self.start([SSH, *OPTIONS, f"robot@{self.host}", "true"]).wait()
        self.assertEqual(self.sent(self.host), [self.key])
        self.expect([self.read(SSH, "/root/.ssh/id_ed25519")], [self.use("inferred", "only_key_held", [self.key])])

    def test_agent(self):
        """ssh never sees the key: the agent signs. Which one that is, is known from ssh-add."""
        socket = "/run/user/0/openssh_agent"
        script = (f"mkdir -p /run/user/0; {AGENT} -D -a {socket} >/dev/null & until [ "
                  f"-S {socket} ]; do sleep 0.05; done; "
                  f"{ADD} -q /root/.ssh/id_deploy; {SSH} {' '.join(OPTIONS)} robot@{self.host} true; kill $!")
        self.start(["/bin/sh", "-c", script], env={"SSH_AUTH_SOCK": socket},
                   trees={"/run": self.filled("run", {})}).wait(code=None)
        self.assertEqual(self.sent(self.host), [self.key])
        self.expect([self.read(ADD), Acquisition("broker", socket, self.key, kind="ssh.private_key", exe=SSH)],
                    [self.use("possible", "local_broker", [self.key])])
