# SPDX-License-Identifier: Apache-2.0
"""Roles that are stopped (SIGSTOP stands for a freezer and for a debugger), hooks that are detached, tables that are
changed, histories that are damaged: noticed within about ten seconds, told as a gap and a finding, put right where that
helps."""
import os
import signal
import subprocess
import time

import kernel_side
from case import S3, SystemCase, needs
from rows import Acquisition, Use
from stage.world import die_with_runner

CREDENTIALS = "/root/.aws/credentials"


class Liveness(SystemCase):
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


class Stopped(Liveness):
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

    def test_an_agent_that_was_frozen_as_a_whole_says_so(self):
        self.agent.start()
        time.sleep(3)
        everyone = [self.agent.process.pid, *self.agent.children()]
        worker = self.agent.role("worker")
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(13)
        for pid in reversed(everyone):
            os.kill(pid, signal.SIGCONT)
        gap = self.within(8, "the gap", lambda: self.gaps("worker_stalled"))[0]
        self.assertIn("The agent itself did not run", gap["text"])
        self.within(5, "the finding", lambda: self.findings("worker"))
        self.assertEqual(self.agent.role("worker"), worker, "nobody was accused")


@needs("/usr/sbin/bpftool")
class Changed(Liveness):
    """By whoever is root: noticed and put right within 10 s."""

    def test_a_detached_hook_is_attached_again(self):
        self.agent.start()
        warden = self.agent.process.pid
        before = kernel_side.links(warden, "cgroup_inet4_connect", "connect4")
        self.assertEqual(len(before), 1)
        kernel_side.detach(before[0])
        gap = self.within(10, "the gap", lambda: self.gaps("hook_detached"))[0]
        self.assertEqual(gap["family"], "connect")
        self.assertIn("attached again", gap["text"])
        self.within(2, "the finding", lambda: self.findings("hooks (connect) were tampered with"))
        self.within(2, "the remark", lambda: any("was detached by somebody" in one
                                                 for one in self.agent.status()["remarks"]))
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS, "call", S3).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])], ["agent_silenced"])

    def test_deleted_entries_of_a_table_are_written_again(self):
        self.agent.start()
        warden = self.agent.process.pid
        for name, family in (("names", "open"), ("env_names", "exec")):
            table = kernel_side.table(warden, name)
            before = sorted(map(tuple, kernel_side.keys(table)))
            for key in before[:3]:
                kernel_side.delete(table, key)
            gap = self.within(12, f"the gap of {name}",
                              lambda: [one for one in self.gaps("map_changed") if one["family"] == family])[0]
            self.assertIn("written again", gap["text"])
            self.within(10, f"{name} is whole",
                        lambda: sorted(map(tuple, kernel_side.keys(table))) == before)
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")], [],
                    ["agent_silenced", "agent_silenced"])

    def test_nobody_is_told_while_nothing_is_changed(self):
        self.agent.start()
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS).wait()
        time.sleep(12)  # all of it was looked at
        self.assertEqual(self.gaps("hook_detached") + self.gaps("map_changed"), [])
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")], [])


class Damaged(Liveness):
    def make_agent(self):
        return self.own_agent(sink=False)

    def aside(self):
        return sorted(name for name in os.listdir(self.agent.state) if name.startswith("history.db.damaged-")
                      and name.endswith("Z"))

    def test_a_damaged_history_is_put_aside_and_a_new_one_begins(self):
        self.agent.start()
        self.agent.stop()
        with open(self.agent.state + "/history.db", "r+b") as file:
            file.write(b"x" * 8192)
        self.agent.start()
        self.assertEqual(len(self.aside()), 1)
        gap = self.within(5, "the gap", lambda: self.gaps("history_damaged"))[0]
        self.assertIn(self.aside()[0], gap["text"])
        self.assertIn(self.aside()[0], self.agent.log())
        self.assertTrue(any(self.aside()[0] in one for one in self.agent.status()["remarks"]))
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS, "call", S3).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_damage_in_use_ends_the_worker_and_the_next_one_begins_anew(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.agent.start()
        self.actor("read", CREDENTIALS).wait()
        self.agent.quiet()
        self.agent.stop()  # all of it is in the file, nothing in the log
        self.agent.start()
        size = os.path.getsize(self.agent.state + "/history.db")
        with open(self.agent.state + "/history.db", "r+b") as file:
            file.seek(4096)
            file.write(b"x" * (size - 4096))
        for path in ("/v1/keys", "/v1/uses", "/v1/readers"):
            try:
                self.agent.get(path)
            except OSError:
                pass  # it ends meanwhile
        self.within(15, "a new history", lambda: self.aside() and self.agent.try_status())
        self.within(5, "the gap", lambda: self.gaps("history_damaged"))


class PartlyArmed(Liveness):
    """Never a quiet "armed"."""

    def test_without_a_capability(self):
        self.agent.within = ["setpriv", "--bounding-set=-sys_ptrace"]
        self.agent.start()
        said = [one for one in self.agent.status()["remarks"] if one.startswith("PARTLY ARMED: CAP_SYS_PTRACE")]
        self.assertEqual(len(said), 1)
        self.assertIn("Fix: ", said[0])
        self.assertIn(said[0], self.agent.log())
        code, text = self.agent.cli("status")
        self.assertEqual(code, 1)
        self.assertTrue(text.startswith("PARTLY ARMED"), text)
        self.assertEqual(self.agent.cli("doctor")[0], 1)

    def test_in_a_pid_namespace_of_its_own(self):
        """Who asks must live where the agent can see him: in its container, not on the node."""
        self.agent.within = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with open(self.agent.log_path, "ab") as log:
            self.agent.process = subprocess.Popen(self.agent.command(), stdin=subprocess.DEVNULL, stdout=log,
                                                  stderr=log, start_new_session=True, preexec_fn=die_with_runner)
        self.within(20, "a worker", lambda: "; history " in self.agent.log())
        self.assertIn("hostPID: true", self.agent.log())
        warden = self.agent.children()[0]
        inside = ["nsenter", f"--pid=/proc/{warden}/ns/pid", f"--mount=/proc/{warden}/ns/mnt"]
        done = subprocess.run([*inside, self.agent.build.keytrail, "status", "--socket", self.agent.socket],
                              capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, "hostPID: true" in done.stdout), (1, True), done.stdout + done.stderr)
        self.assertEqual(self.agent.cli("status")[0], 5)
        os.kill(warden, signal.SIGTERM)  # unshare itself takes no signal, and ends with it
        self.agent.stop()

    def test_the_whole_machine_is_armed(self):
        self.agent.start()
        self.assertEqual([one for one in self.agent.status()["remarks"] if one.startswith("PARTLY ARMED")], [])
        self.assertEqual(self.agent.cli("status")[0], 0)
