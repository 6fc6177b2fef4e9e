# SPDX-License-Identifier: Apache-2.0
"""Questions that cannot be answered say so (exit 3) and never "none seen"; who has a key is asked about now; clients of
the local API that are many, slow or careless cost nobody else an answer, and leave nothing in the log."""
import os
import signal
import socket
import subprocess
import time

from case import CREDENTIALS, S3, OneHolder, Run, SystemCase
from stage.world import PATH


class CannotBeTold(OneHolder):
    def refused(self, words, code, said):
        done = subprocess.run([Run.build.keytrail, *words, "--socket", self.agent.socket], capture_output=True,
                              text=True, env={"PATH": PATH}, check=False, timeout=30)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        self.assertIn(said, done.stdout + done.stderr, words)
        self.assertNotIn("No use", done.stdout, words)

    def test_an_unknown_key_and_periods_without_a_history(self):
        never = self.maker.aws().id
        for words in (["uses", never], ["keys", never], ["key", never], ["key", never, "--readers"],
                      ["key", never, "--copies"], ["uses", never, "-o", "json"]):
            self.refused(words, 3, "Never seen on ")
        self.refused(["key", never, "--holders"], 3, "never seen on this node")
        before = ["--since", "2020-01-01", "--until", "2020-01-02"]
        self.refused(["uses", self.key.id, *before], 3, "CANNOT TELL: the period ends 2020-01-02")
        self.refused(["findings", *before], 3, "CANNOT TELL: the period ends 2020-01-02")
        self.refused(["uses", "--since", "1m", "--until", "2m"], 3, "of an empty period nothing can be told")
        self.refused(["uses", "--since", "2099-01-01"], 3, "is in the future")
        answer = self.agent.json(f"/v1/uses?key={never}")
        self.assertEqual((answer["key_known"], answer["complete"]), (False, False))

    def test_holders_are_asked_about_now(self):
        for option in ("--since", "--until"):
            self.refused(["key", self.key.id, "--holders", option, "1h"], 2, "a question about now")
        status, body = self.agent.get(f"/v1/holders?key={self.key.id}&since=2025-01-01T00:00:00Z")
        self.assertEqual(status, 400)
        self.assertIn(b'"now_only"', body)

    def test_a_watch_ends_with_its_time(self):
        begin = time.monotonic()
        self.agent.cli("watch", "--until", "2s", check=0)
        self.assertTrue(1.5 < time.monotonic() - begin < 20)
        self.agent.cli("watch", "--until", "2020-01-01", check=0)

    def test_what_was_typed_is_not_in_the_log(self):
        typed = "hunter2-correct-horse"
        self.agent.cli("uses", typed, check=3)
        self.agent.get(f"/v1/uses?key={self.key.id}&workload={typed}")
        self.agent.get(f"/v1/{typed}?{typed}={typed}")
        log = self.agent.log()
        self.assertNotIn("hunter2", log)
        self.assertIn(f"/v1/uses?key={self.key.id}&workload", log)
        self.assertIn(f"uid=0 pid={os.getpid()} program=", log)


class ManyClients(SystemCase):
    """Seventy connections of one user that watch and read nothing, or ask nothing."""

    def make_agent(self):
        return self.own_agent().start()

    def connect(self, text):
        one = socket.socket(socket.AF_UNIX)
        self.addCleanup(one.close)
        one.settimeout(5)
        one.connect(self.agent.socket)
        try:
            one.sendall(text)
        except OSError:
            pass  # it was told that there are too many

    def test_idle_watchers(self):
        for _ in range(70):
            self.connect(b"GET /v1/watch HTTP/1.1\r\nHost: a\r\n\r\n")
        begin = time.monotonic()
        self.agent.cli("status", check=0)
        self.agent.cli("uses", check=0)
        self.assertLess(time.monotonic() - begin, 8)

    def test_clients_that_say_nothing(self):
        for _ in range(70):
            self.connect(b"GET /v1/st")
        begin = time.monotonic()
        self.agent.cli("status", check=0)
        self.assertLess(time.monotonic() - begin, 5, "the reserve is for this")
        time.sleep(6)  # queries.timeout_s
        self.agent.cli("uses", check=0)


class StoppedWarden(SystemCase):
    def make_agent(self):
        return self.own_agent()

    def test_nobody_is_told_clear_while_the_warden_is_stopped(self):
        key = self.maker.aws()
        self.agent.start()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS, "call", S3).wait()
        self.agent.quiet(1.5)
        os.kill(self.agent.process.pid, signal.SIGSTOP)
        try:
            limit = time.monotonic() + 14
            while not any("the warden gives no sign" in one for one in self.agent.status()["remarks"]):
                self.assertLess(time.monotonic(), limit, "noticed within ten seconds")
                time.sleep(0.2)
            _, text = self.agent.cli("key", key.id, "--holders", "--ignore-quiet", check=3)
            self.assertIn("not armed: open", text)
            _, text = self.agent.cli("status", check=1)
            self.assertTrue(text.startswith("PARTLY ARMED"), text)
        finally:
            os.kill(self.agent.process.pid, signal.SIGCONT)
