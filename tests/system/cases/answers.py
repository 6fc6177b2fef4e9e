# SPDX-License-Identifier: Apache-2.0
"""What people get: command line and exit status, and the rows at the collector."""
import subprocess
import time

from case import S3, OneHolder, Run
from stage.world import PATH


class Answers(OneHolder):
    def test_uses_of_a_key(self):
        _, text = self.agent.cli("uses", self.key.id, check=0)
        for part in ("inferred", "s3", "eu-west-1", f"[{self.holder.pid}]"):
            self.assertIn(part, text)
        _, keys = self.agent.cli("keys", check=0)
        self.assertIn(self.key.id, keys)

    def test_holders_until_the_last_one_ends(self):
        _, text = self.agent.cli("key", self.key.id, "--holders", check=1)
        self.assertIn(f"[{self.holder.pid}]", text)
        self.raise_flag("end")
        self.holder.wait()
        self.agent.quiet()
        code, text = self.agent.cli("key", self.key.id, "--holders")
        self.assertNotIn(f"[{self.holder.pid}]", text)
        self.assertIn(code, (0, 3), "clear, or a gap elsewhere leaves it open")

    def test_explain(self):
        use = next(row for row in self.rows() if row["type"] == "use")
        _, text = self.agent.cli("explain", str(use["seq"]), check=0)
        self.assertIn(self.key.id, text)
        self.assertIn("inferred", text)

    def test_a_secret_that_is_typed_is_refused(self):
        self.agent.cli("uses", self.key.secret, check=2)

    def test_a_user_who_may_not_ask_is_refused(self):
        done = subprocess.run([Run.build.keytrail, "status", "--socket", self.agent.socket], capture_output=True,
                              user=65534, group=65534, extra_groups=[], env={"PATH": PATH}, check=False)
        self.assertEqual(done.returncode, 5, done.stderr)

    def test_what_was_mistyped_is_named(self):
        for words, said in ((["--bogus"], "keytrail has no option --bogus"),
                            (["--config", "/x", "status"], "options stand behind the command"),
                            (["uses", "--sinse", "2h"], "did you mean --since?"),
                            (["status", "--config", "/nonexistent"], "/nonexistent: there is no such file")):
            done = subprocess.run([Run.build.keytrail, *words], capture_output=True, text=True, env={"PATH": PATH},
                                  check=False)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(said, done.stderr)

    def test_no_agent(self):
        done = subprocess.run([Run.build.keytrail, "status", "--socket", self.agent.socket + "x"], capture_output=True,
                              env={"PATH": PATH}, check=False)
        self.assertEqual(done.returncode, 4, done.stderr)

    def test_doctor_without_an_agent_tries_the_hooks(self):
        done = subprocess.run([Run.build.keytrail, "doctor", "--socket", self.agent.socket + "x"], capture_output=True,
                              text=True, env={"PATH": PATH}, check=False)
        self.assertEqual(done.returncode, 4, done.stderr)
        with_agent = self.agent.cli("doctor", check=0)[1].splitlines()
        without = done.stdout.splitlines()
        for title in ("Programs, environment", "Key files that are opened", "Calls: connections", "Host names of calls",
                      "Ends of processes"):
            words = [[line.split() for line in lines if line.startswith(title)] for lines in (with_agent, without)]
            self.assertEqual(words[0], words[1], "what an agent would see is what this one sees")
        done = subprocess.run([Run.build.keytrail, "doctor", "--socket", self.agent.socket + "x"], capture_output=True,
                              text=True, user=65534, group=65534, extra_groups=[], env={"PATH": PATH}, check=False)
        self.assertIn("can be tried by root only: sudo keytrail doctor", done.stdout)

    def test_rows_reach_the_collector(self):
        limit = time.monotonic() + 15
        while self.agent.status()["accounting"]["exporters"][0]["waiting"] and time.monotonic() < limit:
            time.sleep(0.1)
        sent = self.agent.sink.bytes()
        for text in (self.key.id, "key.acquire", "keytrail.use", "keytrail.evidence", S3):
            self.assertIn(text.encode(), sent)
