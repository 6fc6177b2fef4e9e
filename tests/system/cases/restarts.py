# SPDX-License-Identifier: Apache-2.0
"""Processes older than the agent, and what it knows after a restart of each role. Each case has an agent of its own."""
import calendar
import os
import signal
import time

import wire
from case import S3, SystemCase
from rows import ANY, Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"
OLDER = {"evidence": "possible", "reason": "exec_not_seen"}


def seconds(text):
    """Unix seconds of the API's time."""
    whole, part = text.rstrip("Z").split(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + part)


class OwnAgent(SystemCase):
    def make_agent(self):
        agent = self.own_agent()
        agent.configure("sampling:\n  slots_s: 2\n  sockets_s: 5\n")
        return agent


class BeforeTheAgent(OwnAgent):
    """Found by the baseline where they can be, `possible` because their start was not seen, never guessed."""

    def test_key_in_the_environment(self):
        key = self.maker.aws()
        actor = self.actor("mark", self.flag("runs"), "wait", self.flag("go"), "call", S3, env=key.env())
        actor.until("mark")
        self.agent.start()
        self.raise_flag("go")
        actor.wait()
        self.expect([Acquisition("environment", "AWS_ACCESS_KEY_ID", key.id, baseline=True, pid=actor.pid)],
                    [Use(keys=[key.id], pid=actor.pid, **OLDER)])

    def test_key_file_still_open(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        actor = self.actor("hold", CREDENTIALS, "wait", self.flag("go"), "call", S3)
        actor.until("hold")
        self.agent.start()
        self.raise_flag("go")
        actor.wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default", baseline=True, pid=actor.pid)],
                    [Use(keys=[key.id], pid=actor.pid, **OLDER)])

    def test_key_file_read_and_closed_is_not_guessed(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        actor = self.actor("read", CREDENTIALS, "wait", self.flag("go"), "call", S3)
        actor.until("read")
        self.agent.start()
        self.raise_flag("go")
        actor.wait()
        self.expect([], [Use("unattributed", "exec_not_seen", [], pid=actor.pid)])

    def connection(self, env):
        """An actor with a key in its environment and a connection that it opened, and used, before the agent started;
        it goes on with it."""
        actor = self.actor("open", S3, "c", "send", "c", "wait", self.flag("go"), "send", "c", "wait", self.flag("end"),
                           env=env)
        actor.until("send")
        self.agent.start()
        self.raise_flag("go")
        actor.until("send", 2)
        return actor

    def test_connection_already_open_to_a_place_that_nothing_names_any_more(self):
        """Its look-up and its ClientHello are over: an address alone is no provider. The key is known, the use is not
        guessed."""
        key = self.maker.aws()
        actor = self.connection(key.env())
        self.expect([Acquisition("environment", "AWS_ACCESS_KEY_ID", key.id, baseline=True, pid=actor.pid)], [],
                    truth={S3: 1})

    def test_connection_already_open_to_a_place_that_the_environment_names(self):
        key, address = self.maker.aws(), self.world.command(f"address {S3}")
        actor = self.connection({**key.env(), "AWS_ENDPOINT_URL": f"https://{address}"})
        self.expect([Acquisition("environment", "AWS_ACCESS_KEY_ID", key.id, baseline=True, pid=actor.pid)],
                    [Use(keys=[key.id], pid=actor.pid, service=ANY, region="", host=address, **OLDER)], truth={S3: 1})


class Restarts(OwnAgent):
    def setUp(self):
        super().setUp()
        self.key = self.maker.aws()
        self.plant(".aws/credentials", self.key.profile())
        self.agent.start()
        self.after = self.agent.last_seq()
        self.holder = self.actor("read", CREDENTIALS, "call", S3, "wait", self.flag("go"), "call", S3, "wait",
                                 self.flag("end"))
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

    def gaps(self, cause, count=1):
        """The gap rows of this cause; exactly `count` must come."""
        limit = time.monotonic() + 10
        found = []
        while len(found) < count and time.monotonic() < limit:
            time.sleep(0.1)
            found = [row for row in self.agent.rows(self.after, "gap") if row["cause"] == cause]
        self.assertEqual(len(found), count, f"gap rows with cause {cause}: {found}")
        return found

    def restarts(self):
        """What the status says of the three roles."""
        return {role["name"]: (role["restarts"], role["note"]) for role in self.agent.status()["roles"] if role["pid"]}

    def call_again(self):
        self.raise_flag("go")
        self.holder.until("call", 2)

    def after_restart(self, gaps):
        """The second use: as sure as before when the kernel's counters prove the gap empty, else `possible`."""
        proven = all(gap["lost"] == 0 for gap in gaps)
        again = ("inferred", "only_key_held") if proven else ("possible", "gap_in_life")
        if proven:
            return [Use(*again, [self.key.id], connections=2, pid=self.holder.pid)]
        return [Use("inferred", "only_key_held", [self.key.id], pid=self.holder.pid),
                Use(*again, [self.key.id], pid=self.holder.pid)]

    def test_examiner_killed(self):
        self.assertLess(self.kill("examiner"), 1.0)
        gaps = self.gaps("examiner_restart")
        self.assertEqual(self.restarts(), {"warden": (0, ""), "examiner": (1, "signal 9"), "worker": (0, "")})
        self.assertEqual(self.holders(), [self.holder.pid])
        other = self.maker.aws()
        self.plant(".aws/credentials", other.profile())
        reader = self.actor("read", CREDENTIALS).wait()
        self.call_again()
        self.expect([self.read, Acquisition("file", CREDENTIALS, other.id, selector="default", pid=reader.pid)],
                    self.after_restart(gaps))

    def test_worker_killed(self):
        self.assertLess(self.kill("worker"), 1.0)
        self.agent.status()
        gaps = self.gaps("worker_restart")
        self.assertEqual(self.restarts(), {"warden": (0, ""), "examiner": (0, ""), "worker": (1, "signal 9")})
        self.assertIsNotNone(gaps[0]["lost"], "the kernel's counters tell the exact count")
        self.assertEqual(self.holders(), [self.holder.pid])
        self.call_again()
        self.expect([self.read], self.after_restart(gaps))

    def test_worker_killed_again_and_again(self):
        """One row may tell of several restarts (a worker that lived 20 ms stored nothing), but every moment without a
        worker lies in one, with its count."""
        killed = []
        for _ in range(5):
            killed.append(time.time())
            self.kill("worker")
            self.agent.status()
        self.agent.quiet()
        gaps = [row for row in self.agent.rows(self.after, "gap") if row["cause"] == "worker_restart"]
        for moment in killed:
            self.assertTrue(any(seconds(row["from"]) <= moment + 0.1 and seconds(row["to"]) >= moment for row in gaps),
                            f"no gap covers {moment}: {gaps}")
        self.assertFalse([row for row in gaps if row["lost"] is None], "the kernel's counters tell the exact count")
        self.assertEqual(self.holders(), [self.holder.pid])

    def exported(self, count):
        """The spans of the key, when the sink has so many, in the order in which they were sent."""
        limit = time.monotonic() + 15
        while True:
            found = {}
            for path, body, _ in list(self.agent.sink.bodies):
                for span in wire.spans(body) if path.endswith("/traces") else ():
                    if span.attributes.get("keytrail.key.id") == self.key.id:
                        self.assertEqual(found.setdefault(span.span, span), span, "sent again, it is the same")
            if len(found) >= count or time.monotonic() > limit:
                self.assertEqual(len(found), count, found)
                return list(found.values())
            time.sleep(0.1)

    def test_a_trace_goes_on_with_its_root_when_the_worker_is_killed(self):
        before = self.exported(2)
        self.kill("worker")
        self.agent.status()
        self.call_again()
        after = self.exported(3)
        self.assertEqual(after[:2], before)
        self.assertEqual({span.trace for span in after}, {before[0].trace})
        self.assertEqual([span.parent for span in after], [b""] + 2 * [before[0].span], "one root")
        for use in after[1:]:
            self.assertGreaterEqual(use.attributes["keytrail.count"], 1)
            self.assertGreaterEqual(use.end, use.begin)

    def test_all_restarted(self):
        self.agent.stop()
        self.agent.start()
        gaps = self.gaps("agent_restart")
        self.assertEqual(self.holders(), [self.holder.pid])
        self.call_again()
        self.expect([self.read], [Use("inferred", "only_key_held", [self.key.id], pid=self.holder.pid),
                                  Use("possible", "gap_in_life", [self.key.id], pid=self.holder.pid)])

    def test_holder_that_ended_meanwhile_is_none_after_a_restart(self):
        self.agent.stop()
        self.raise_flag("go")
        self.raise_flag("end")
        self.holder.wait()
        self.agent.start()
        self.assertEqual(self.holders(), [])
