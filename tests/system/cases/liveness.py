# SPDX-License-Identifier: Apache-2.0
"""Roles that are stopped (SIGSTOP stands for a freezer and for a debugger): noticed within about ten seconds, told as a
gap and a finding, and ended and started again where that helps."""
import os
import signal
import time

from case import S3, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"


class Stopped(SystemCase):
    def make_agent(self):
        return self.own_agent()

    def role(self, name):
        return next(one for one in self.agent.status()["roles"] if one["name"] == name)

    def gaps(self, cause):
        return [row for row in self.agent.rows(kinds="gap") if row["cause"] == cause]

    def findings(self, subject):
        return [row for row in self.agent.rows(kinds="finding") if row["finding_type"] == "agent_silenced"
                and row["text"].startswith("the agent's " + subject)]

    def within(self, seconds, what, question):
        limit = time.monotonic() + seconds
        while not (got := question()):
            self.assertLess(time.monotonic(), limit, what)
            time.sleep(0.2)
        return got

    def test_examiner_and_worker_are_started_again_and_the_agent_works(self):
        self.agent.start()
        time.sleep(5)  # until both have said once that they are there
        examiner, worker = self.agent.role("examiner"), self.agent.role("worker")
        for pid in (examiner, worker):
            os.kill(pid, signal.SIGSTOP)
        self.within(14, "both have ended", lambda: not os.path.exists(f"/proc/{examiner}") and
                    not os.path.exists(f"/proc/{worker}"))
        self.within(10, "the API answers", self.agent.try_status)
        for name in ("examiner", "worker"):
            self.assertEqual(self.role(name)["note"], "it did not answer")
            gap = self.within(5, f"gap of the {name}", lambda: self.gaps(name + "_stalled"))[0]
            self.assertIsNone(gap["lost"])
            self.within(5, f"finding of the {name}", lambda: self.findings(name))
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS, "call", S3).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])], ["agent_silenced", "agent_silenced"])

    def test_a_stopped_warden_is_told_while_it_lasts_and_no_answer_is_complete(self):
        self.agent.start()
        time.sleep(3)
        os.kill(self.agent.process.pid, signal.SIGSTOP)
        try:
            self.within(14, "the gap", lambda: self.gaps("warden_silent"))
            self.within(2, "the finding", lambda: self.findings("warden"))
            self.assertTrue(any("the warden gives no sign" in one for one in self.agent.status()["remarks"]))
            self.assertFalse(self.agent.json("/v1/uses")["complete"])
        finally:
            os.kill(self.agent.process.pid, signal.SIGCONT)
        self.within(5, "the gap's end", lambda: len(self.gaps("warden_silent")) > 1)
        self.assertFalse(any("the warden gives no sign" in one for one in self.agent.status()["remarks"]))
