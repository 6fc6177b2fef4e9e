# SPDX-License-Identifier: Apache-2.0
"""Group 7: processes older than the agent, and what it knows after a restart of each role. Each case has an agent of its own."""
import os
import signal
import time

from case import S3, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"
OLDER = {"evidence": "possible", "reason": "exec_not_seen"}


class OwnAgent(SystemCase):
    def make_agent(self):
        return self.own_agent()


class BeforeTheAgent(OwnAgent):
    """Found by the baseline where they can be, `possible` because their start was not seen, never guessed."""

    def test_key_in_the_environment(self):
        key = self.maker.aws()
        actor = self.actor("mark", self.flag("runs"), "wait", self.flag("go"), "call", S3, env=key.env())
        actor.until("mark")
        self.agent.start()
        self.raise_flag("go")
        actor.wait()
        self.expect([Acquisition("environment", "AWS_ACCESS_KEY_ID", key.id, baseline=True, pid=actor.pid)], [Use(keys=[key.id], pid=actor.pid, **OLDER)])

    def test_key_file_still_open(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        actor = self.actor("hold", CREDENTIALS, "wait", self.flag("go"), "call", S3)
        actor.until("hold")
        self.agent.start()
        self.raise_flag("go")
        actor.wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default", baseline=True, pid=actor.pid)], [Use(keys=[key.id], pid=actor.pid, **OLDER)])

    def test_key_file_read_and_closed_is_not_guessed(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        actor = self.actor("read", CREDENTIALS, "wait", self.flag("go"), "call", S3)
        actor.until("read")
        self.agent.start()
        self.raise_flag("go")
        actor.wait()
        self.expect([], [Use("unattributed", "exec_not_seen", [], pid=actor.pid)])

    def test_connection_already_open(self):
        key = self.maker.aws()
        actor = self.actor("open", S3, "c", "send", "c", "wait", self.flag("go"), "send", "c", "wait", self.flag("end"), env=key.env())
        actor.until("send")
        self.agent.start()
        self.raise_flag("go")
        actor.until("send", 2)
        self.expect([Acquisition("environment", "AWS_ACCESS_KEY_ID", key.id, baseline=True, pid=actor.pid)],
                    [Use(keys=[key.id], pid=actor.pid, **OLDER)], truth={S3: 1})


class Restarts(OwnAgent):
    def setUp(self):
        super().setUp()
        self.key = self.maker.aws()
        self.plant(".aws/credentials", self.key.profile())
        self.agent.start()
        self.after = self.agent.last_seq()
        self.holder = self.actor("read", CREDENTIALS, "call", S3, "wait", self.flag("go"), "call", S3, "wait", self.flag("end"))
        self.holder.until("call")
        self.agent.quiet()
        self.read = Acquisition("file", CREDENTIALS, self.key.id, selector="default", pid=self.holder.pid)

    def holders(self):
        return [row["actor"]["pid"] for row in self.agent.json(f"/v1/holders?key={self.key.id}")["rows"]]

    def kill(self, role):
        """kill -9; the time until the next one runs."""
        old = self.agent.role(role)
        begin = time.monotonic()
        os.kill(old, signal.SIGKILL)
        while self.agent.role(role) == old:
            time.sleep(0.005)
        return time.monotonic() - begin

    def gaps(self, cause):
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            found = [row for row in self.agent.rows(self.after, "gap") if row["cause"] == cause]
            if found:
                return found
            time.sleep(0.1)
        self.fail(f"no gap row with cause {cause} within 10 s")

    def call_again(self):
        self.raise_flag("go")
        self.holder.until("call", 2)

    def after_restart(self, gaps):
        """The second use: as sure as before when the kernel's counters prove the gap empty, else `possible`."""
        proven = all(gap["lost"] == 0 for gap in gaps)
        again = ("inferred", "only_key_held") if proven else ("possible", "gap_in_life")
        if proven:
            return [Use(*again, [self.key.id], connections=2, pid=self.holder.pid)]
        return [Use("inferred", "only_key_held", [self.key.id], pid=self.holder.pid), Use(*again, [self.key.id], pid=self.holder.pid)]

    def test_examiner_killed(self):
        self.assertLess(self.kill("examiner"), 1.0)
        gaps = self.gaps("examiner_restart")
        self.assertEqual(len(gaps), 1)
        self.assertEqual(self.holders(), [self.holder.pid])
        other = self.maker.aws()
        self.plant(".aws/credentials", other.profile())
        reader = self.actor("read", CREDENTIALS).wait()
        self.call_again()
        self.expect([self.read, Acquisition("file", CREDENTIALS, other.id, selector="default", pid=reader.pid)], self.after_restart(gaps))

    def test_worker_killed(self):
        self.assertLess(self.kill("worker"), 1.0)
        self.agent.status()
        gaps = self.gaps("worker_restart")
        self.assertEqual(len(gaps), 1)
        self.assertIsNotNone(gaps[0]["lost"], "the kernel's counters tell the exact count")
        self.assertEqual(self.holders(), [self.holder.pid])
        self.call_again()
        self.expect([self.read], self.after_restart(gaps))

    def test_worker_killed_again_and_again(self):
        for _ in range(5):
            self.kill("worker")
            self.agent.status()
        self.assertEqual(len(self.gaps("worker_restart")), 5)
        self.assertEqual(self.holders(), [self.holder.pid])

    def test_all_restarted(self):
        self.agent.stop()
        self.agent.start()
        gaps = self.gaps("agent_restart")
        self.assertEqual(len(gaps), 1)
        self.assertEqual(self.holders(), [self.holder.pid])
        self.call_again()
        self.expect([self.read], [Use("inferred", "only_key_held", [self.key.id], pid=self.holder.pid), Use("possible", "gap_in_life", [self.key.id], pid=self.holder.pid)])

    def test_holder_that_ended_meanwhile_is_none_after_a_restart(self):
        self.agent.stop()
        self.raise_flag("go")
        self.raise_flag("end")
        self.holder.wait()
        self.agent.start()
        self.assertEqual(self.holders(), [])
