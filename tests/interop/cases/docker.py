# SPDX-License-Identifier: Apache-2.0
"""The agent beside the real dockerd: names, image and labels of containers by dockerd's own state files, without its
socket; a person who enters one; restarts, renames and reuse of names."""
import os
import unittest

import engines
from case import ACTOR, CREDENTIALS, HERE, PYTHON, S3, Run, needs
from engine_case import EngineCase
from rows import Acquisition, Use


class OnDocker(EngineCase):
    mapped = False

    def make_engine(self, folder):
        return engines.Docker(folder, Run.world.netns, self.mapped)


@needs(*engines.DOCKERS)
class Docker(OnDocker):
    def test_names_image_and_labels(self):
        container, key = self.run_reader("--name=web-1", "--label=com.docker.compose.service=web")
        _, workload, facts = self.workload_of(key)
        self.assertEqual((workload["id"], workload["name"]), ("container:" + container, "container: web-1 (web:1)"))
        self.assertEqual({name: value for name, value in facts.items() if name != "keytrail.cgroup.path"}, {
            "container.id": (container, "kernel"), "container.name": ("web-1", "runtime"),
            "container.runtime.name": ("docker", "runtime"), "container.image.name": (engines.IMAGE, "runtime"),
            "container.image.id": (self.engine.image_id, "runtime"),
            "keytrail.compose.project": ("of-the-image", "claimed"), "keytrail.compose.service": ("web", "claimed")})

    def test_a_key_that_is_read_and_used_inside(self):
        home, key = self.home()
        container = self.engine.run(home, PYTHON, "-I", ACTOR, "read", CREDENTIALS, "call", S3,
                                    options=["--name=caller", f"--volume={HERE}:{HERE}:ro"], binds=self.world.binds())
        self.addCleanup(self.engine.remove, container)
        self.assertEqual(self.engine("wait", container).stdout.strip(), "0", self.engine("logs", container).stderr)
        self.cgroup = "/docker/" + container
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])
        _, workload, _ = self.workload_of(key)
        self.assertEqual(workload["name"], "container: caller (web:1)")
        self.assertIn("caller", self.agent.cli("uses", "--workload", "container/caller", check=0)[1])

    def test_who_enters_by_docker_exec_is_in_an_exec_session(self):
        container, key = self.run_reader("--name=entered")
        self.workload_of(key)
        self.engine("exec", container, "cat", CREDENTIALS)
        self.assert_entered(container, key)

    def test_what_is_gone_at_once_has_its_names_or_says_why(self):
        """Docker removes all state when the program ends, and the mounts go with it: the key is told, or why it is not
        (`gone`), never nothing."""
        container, key = self.run_reader("--rm", "--name=short", then="true")
        row, workload, facts = self.workload_of(
            key, lambda facts: "container.name" in facts or "keytrail.runtime.unknown" in facts, unread_in=container)
        self.assertEqual((workload["id"], row["slot"]["place"]), ("container:" + container, CREDENTIALS))
        self.assertEqual(facts["container.id"], (container, "kernel"))

    def test_one_name_for_two_containers_in_turn(self):
        first, of_first = self.run_reader("--name=twice")
        self.workload_of(of_first)
        self.engine.remove(first)
        second, of_second = self.run_reader("--name=twice")
        for container, key in ((first, of_first), (second, of_second)):
            self.assert_named(key, container, "twice")

    def test_other_parents_of_the_cgroup(self):
        """From the root, and below the runtime's own."""
        for parent in (self.cgroup, "relative-" + self.world.name):
            self.engine.groups.append(parent.lstrip("/"))
            container, key = self.run_reader("--cgroup-parent=" + parent, "--name=parent-" + parent.strip("/")[:8])
            facts = self.assert_named(key, container, "parent-" + parent.strip("/")[:8])
            self.assertEqual(facts["keytrail.cgroup.path"], (f"/{parent.lstrip('/')}/{container}", "kernel"))
            self.engine.remove(container)

    def test_with_the_machines_processes_and_network(self):
        container, key = self.run_reader("--pid=host", "--uts=host", "--ipc=host", "--name=on-the-host")
        self.assertNotIn("keytrail.namespaces.of", self.assert_named(key, container, "on-the-host"))

    def test_dockerd_is_killed_and_comes_again(self):
        container, home, key = self.run_waiting("--name=through")
        self.engine.kill_daemon()
        try:
            open(home + "/go", "w").close()
            self.assert_named(key, container, "through")
        finally:
            self.engine.start()
        container, key = self.run_reader("--name=after")
        self.assert_named(key, container, "after")

    def test_a_container_that_is_older_than_the_agent(self):
        container, home, key = self.run_waiting("--name=older")
        self.agent.stop()
        self.agent.start()
        open(home + "/go", "w").close()
        self.assert_named(key, container, "older")

    def test_state_at_an_unknown_place_is_said_with_what_helps(self):
        self.agent.stop()
        self.agent.options = ["--containerd-state", self.engine.state]
        self.agent.start()
        container, key = self.run_reader("--name=hidden")
        _, _, facts = self.workload_of(key, lambda facts: "keytrail.runtime.unknown" in facts)
        self.assertEqual(facts["container.runtime.name"], ("docker", "runtime"))
        self.assertIn("--docker-root", facts["keytrail.runtime.unknown"][0])

    @unittest.skipUnless(os.environ.get("KEYTRAIL_FULL"), "a name is asked for again after a minute: KEYTRAIL_FULL=1")
    def test_a_container_that_is_renamed(self):
        container, key = self.run_reader("--name=old-name")
        self.assert_named(key, container, "old-name")
        self.engine("rename", "old-name", "new-name")
        _, workload, _ = self.workload_of(key, lambda facts: facts["container.name"][0] == "new-name", 80)
        self.assertEqual((workload["id"], workload["name"]), ("container:" + container, "container: new-name (web:1)"))


@needs(*engines.DOCKERS)
class MappedUsers(OnDocker):
    """userns-remap: root of a container is another user of the machine."""
    mapped = True

    def test_names_and_the_number_of_the_machine(self):
        container, key = self.run_reader("--name=mapped")
        self.assert_named(key, container, "mapped")
        row, _, _ = self.workload_of(key)
        self.assertEqual((row["actor"]["uid"], row["actor"]["user"]), (engines.MAPPED_USER, str(engines.MAPPED_USER)))
