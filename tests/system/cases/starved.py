# SPDX-License-Identifier: Apache-2.0
"""An agent that gets hardly any processor, beside programs of more weight. What it comes too late for is lost, but not
silently: each key that was read has its row, or is counted in a gap of its reader's workload."""
import os
import subprocess
import time

from case import SystemCase
from stage.world import PATH, PYTHON, die_with_runner

FILES = 120
# sched(7): what has a session of its own shares the processors by its autogroup's weight
HOG = "open('/proc/self/autogroup', 'w').write('-10')\nwhile True: pass"


class Starved(SystemCase):
    def make_agent(self):
        return self.own_agent()

    def hogs(self):
        if not os.path.exists("/proc/self/autogroup"):
            self.skipTest("this kernel has no autogroups: nothing here can starve the agent")
        for _ in range(os.cpu_count()):
            hog = subprocess.Popen([PYTHON, "-I", "-c", HOG], env={"PATH": PATH}, start_new_session=True,
                                   preexec_fn=die_with_runner)
            self.addCleanup(hog.wait)
            self.addCleanup(hog.kill)
            yield hog

    def test_what_it_comes_too_late_for_is_told(self):
        made = [self.maker.aws() for _ in range(FILES)]
        disk = self.filled("disk", {f"{number}/.aws/credentials": (key.profile(), 0o600)
                                    for number, key in enumerate(made)})
        self.agent.start()
        self.agent.quiet()
        before, hogs = self.agent.last_seq(), list(self.hogs())
        steps = [word for number in range(FILES) for word in ("read", f"/srv/{number}/.aws/credentials")]
        reader = self.actor(*steps, binds={"/srv": disk}).wait(0, 120)
        time.sleep(2)
        for hog in hogs:
            hog.kill()
        self.agent.quiet(2.0, 60)
        rows = [row for row in self.agent.rows(before) if row["type"] == "gap" or row["actor"]["pid"] == reader.pid]
        taken = {row["key"]["id"] for row in rows if row["type"] == "acquisition"}
        missing = {key.id for key in made} - taken
        whose = {row["actor"]["workload"]["name"] for row in rows if row["type"] == "acquisition"}
        told = sum(row["lost"] or 0 for row in rows
                   if row["type"] == "gap" and row["family"] == "open" and row["scope"] in {*whose, ""})
        self.assertTrue(whose, f"nothing of its reader: {rows}")
        self.assertLessEqual(len(missing), told, f"{len(missing)} of {FILES} keys are in no row; gaps tell of {told}")
