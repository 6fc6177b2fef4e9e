# SPDX-License-Identifier: Apache-2.0
"""The base of cases beside a container engine (engines.py) that they share, as they share the agent beside it."""
import os
import time

from case import CREDENTIALS, Run, SystemCase

READ = f"cat {CREDENTIALS} >/dev/null; "


class EngineCase(SystemCase):
    _engines = {}

    def make_engine(self, folder):
        """The engine of this class, all of it in this folder."""
        raise NotImplementedError

    def make_agent(self):
        name = type(self).__name__
        if name not in EngineCase._engines:
            EngineCase._engines[name] = self.make_engine(f"{Run.world.dir}/e{len(EngineCase._engines)}")
            Run.agents.append(EngineCase._engines[name])  # closed at the end of the run
        self.engine = EngineCase._engines[name]
        return Run.agent(self.engine.options())

    def home(self):
        """A container's /root with a key in it, and that key."""
        key = self.maker.aws()
        return self.filled(f"home{len(os.listdir(self.folder))}", {".aws/credentials": (key.profile(), 0o644)}), key

    def run_reader(self, *options, then="sleep 1000"):
        """A container that reads its key; (container's id, key)."""
        home, key = self.home()
        container = self.engine.run(home, "/bin/sh", "-c", READ + then, options=options)
        if "--rm" not in options:
            self.addCleanup(self.engine.remove, container)
        return container, key

    def run_waiting(self, *options):
        """One that reads its key when `go` is in its home; (container's id, home, key)."""
        home, key = self.home()
        container = self.engine.run(home, "/bin/sh", "-c",
                                    f"while [ ! -e /root/go ]; do sleep 0.1; done; {READ} sleep 99",
                                    options=options)
        self.addCleanup(self.engine.remove, container)
        return container, home, key

    def workload_of(self, key, until=lambda facts: "container.name" in facts, seconds=15, unread_in=""):
        """(row, workload, {fact: (value, known by)}) of who read this key, once its facts are so. `unread_in`: or of
        who read a file in this container that was gone before its key was seen."""
        limit = time.monotonic() + seconds
        while True:
            found = [row for row in self.agent.rows(self.after, "acquisition")
                     if row["key"]["id"] == key.id or (unread_in and row["unread"] == "gone"
                                                       and row["actor"]["workload"]["container_id"] == unread_in)]
            for row in found:
                workload, facts = row["actor"]["workload"], {}
                for fact in workload.get("facts", []):
                    facts.setdefault(fact["name"], (fact["value"], fact["known_by"]))
                if until(facts):
                    return row, workload, facts
            self.assertLess(time.monotonic(), limit, f"not within {seconds} s: {found}")
            time.sleep(0.1)

    def assert_named(self, key, container, name):
        """This container read the key, and has this name by its runtime; its facts."""
        _, workload, facts = self.workload_of(key)
        self.assertEqual((workload["id"], facts["container.name"]), ("container:" + container, (name, "runtime")))
        return facts

    def assert_entered(self, container, key):
        """This key was read by what the container runs, and by somebody who came in."""
        limit = time.monotonic() + 10
        while True:
            rows = self.agent.json(f"/v1/readers?key={key.id}")["rows"]
            said = sorted((row["actor"]["workload"]["id"], row["actor"]["session"]) for row in rows)
            if len(said) == 2 or time.monotonic() > limit:
                break
            time.sleep(0.1)
        self.assertEqual(said, [("container:" + container, ""), ("container:" + container, "exec")])
        self.assertIn("person not visible on the node", self.agent.cli("key", key.id, "--readers", check=0)[1])
