# SPDX-License-Identifier: Apache-2.0
"""kill -9 of every role at random times while short processes read keys and use them, the collector failing in between:
what is not in the history lies in a gap, no answer calls a period complete in which something was lost, and what the
collector got is there. KEYTRAIL_KILLS=1000 makes it the long form."""
import os
import random
import signal
import threading
import time

from case import S3, SystemCase
from cases.restarts import seconds

KILLS = int(os.environ.get("KEYTRAIL_KILLS", "14"))
ROLES = ["worker"] * 9 + ["examiner"] * 5 + ["both"] * 3 + ["warden"] * 3


def stamp(unix):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix)) + f".{int(unix % 1 * 1e6):06d}Z"


class Kills(SystemCase):
    def make_agent(self):
        agent = self.own_agent()
        agent.start()
        return agent

    def setUp(self):
        super().setUp()
        self.done, self.called, self.stopping = [], set(), threading.Event()
        self.random = random.Random(self.seed())

    @staticmethod
    def seed():
        seed = os.environ.get("KEYTRAIL_SEED") or str(time.time_ns() % 10**6)
        print(f"kills: KEYTRAIL_SEED={seed}", flush=True)
        return seed

    def read_and_use(self):
        """A short process with a key of its own; in `done` when, who, which key."""
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        begin = time.time()
        actor = self.actor("read", "/root/.aws/credentials", "call", S3)
        try:
            actor.wait()
        except AssertionError:  # the case's own process failed: it says nothing
            return
        self.done.append((begin, time.time(), actor.pid, key.id))

    def generate(self):
        while not self.stopping.is_set():
            self.read_and_use()

    def kill(self, role):
        try:
            if role == "warden":
                os.kill(self.agent.process.pid, signal.SIGKILL)
                self.agent.stop()
                self.agent.start()
                return
            for name in ("worker", "examiner") if role == "both" else (role,):
                os.kill(self.agent.role(name, 20), signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.agent.status()  # waits for the next worker
        self.note_calls()

    def note_calls(self):
        """Uses without a key of one program to one place are one use, which names the newest of its processes only."""
        for edge in self.agent.edges("&evidence=unattributed"):
            self.called |= {one["pid"] for one in edge["instances"]}

    def gaps(self):
        """(from, to, cause, lost), Unix seconds, each once: the warden tells its own to every worker."""
        return sorted({(round(seconds(row["from"]), 3), round(seconds(row["to"]), 3), row["cause"], row["lost"])
                       for row in self.agent.rows(self.after, "gap") if row["from"]}, key=lambda gap: gap[:2])

    def test_nothing_is_lost_silently(self):
        generator = threading.Thread(target=self.generate)
        generator.start()
        try:
            for _ in range(KILLS):
                time.sleep(self.random.uniform(0.1, 1.5))
                self.agent.sink.manner = self.random.choice(["ok", "ok", "ok", "busy", "hang"])
                self.kill(self.random.choice(ROLES))
        finally:
            self.agent.sink.manner = "ok"
            time.sleep(1)
            self.stopping.set()
            generator.join()
        self.assertGreater(len(self.done), KILLS, "the generator hardly ran: the test shows nothing")
        self.settle_and_check()

    def test_what_ended_while_no_worker_ran(self):
        """The rings keep it all, and no event is lost; but when the next worker comes to it each file is gone."""
        for _ in range(6):  # it is started again later each time
            self.kill("worker")
            time.sleep(0.5)  # it has stored what it had
        os.kill(self.agent.role("worker", 20), signal.SIGKILL)
        for _ in range(4):
            self.read_and_use()
        self.agent.status()
        self.settle_and_check()

    def settle_and_check(self):
        self.agent.quiet(6)  # what is given up is told within 5 s
        self.settle_exports()
        self.check()

    def settle_exports(self):
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            if all(one["waiting"] == 0 for one in self.agent.status()["accounting"]["exporters"]):
                return
            time.sleep(0.2)
        self.fail(f"the collector did not get all within 30 s: {self.agent.status()['accounting']['exporters']}")

    def check(self):
        self.note_calls()
        rows, gaps = self.agent.rows(self.after, "acquisition,use"), self.gaps()
        numbers = [row["seq"] for row in rows]
        self.assertEqual(len(numbers), len(set(numbers)), "numbers are given once")
        # Of equal ones (workload, program, key) the first is a row: the stage's own reading may have been that. Of what
        # was gone before it was looked at, the first that each worker met; the others are a gap (files_unread).
        read = {row["key"]["id"] for row in rows if row["type"] == "acquisition"}
        unread = {row["actor"]["pid"] for row in rows if row["type"] == "acquisition" and row["unread"]}
        used = {(row["actor"]["pid"], one["key"]["id"]) for row in rows if row["type"] == "use" for one in row["keys"]}
        called = self.called | {row["actor"]["pid"] for row in rows if row["type"] == "use"}
        known = {one["key"]["id"] for row in rows for one in [row, *row.get("keys", [])] if "key" in one}
        sent, missing, silent, proud, false = self.agent.sink.bytes(), 0, [], [], []
        for begin, end, pid, key in self.done:
            has_read, has_use = key in read or pid in unread, (pid, key) in used or pid in called
            if key not in known and key.encode() in sent:
                false.append((pid, key))
            if has_read and has_use:
                continue
            missing += 1
            answer = self.agent.json(f"/v1/uses?since={stamp(begin)}&until={stamp(end)}")
            hidden = any(first <= end and last >= begin and lost != 0 for first, last, _, lost in gaps)
            if not hidden and not answer["coverage"]["unwatched"]:
                silent.append((pid, key, begin, end, has_read, has_use))
            if answer["complete"]:
                proud.append((pid, key, begin, end, has_read, has_use, answer["coverage"]))
        print(f"kills: processes {len(self.done)}, not seen whole {missing}, in no gap {len(silent)}", flush=True)
        self.assertEqual(false, [], "the collector acknowledged what the history does not have")
        shown = "\n".join(f"{first:.3f} to {last:.3f} {cause}, lost: {lost}" for first, last, cause, lost in gaps)
        self.assertEqual(silent, [], f"missing, and neither in a gap nor in time that was not watched. Gaps:\n{shown}")
        self.assertEqual(proud, [], "missing, and the answer about its time is complete")
