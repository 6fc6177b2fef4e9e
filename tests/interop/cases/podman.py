# SPDX-License-Identifier: Apache-2.0
"""The agent beside the real Podman: of root, and of a user."""
import engines
from case import CREDENTIALS, Run, needs
from engine_case import EngineCase

USER = 424242


@needs(*engines.PODMANS)
class Podman(EngineCase):
    def make_engine(self, folder):
        return engines.Podman(folder, Run.world.netns)

    def test_names_and_image(self):
        container, key = self.run_reader("--name=web-1")
        facts = self.assert_named(key, container, "web-1")
        self.assertEqual({name: facts.get(name) for name in ("container.id", "container.runtime.name",
                                                             "container.image.name")},
                         {"container.id": (container, "kernel"), "container.runtime.name": ("podman", "runtime"),
                          "container.image.name": (engines.IMAGE, "runtime")})
        self.assertRegex(facts["container.image.id"][0], "^sha256:[0-9a-f]{64}$")

    def test_containers_of_a_pod(self):
        """The pod's own name stands in Podman's database only."""
        self.engine("pod", "create", "--name=shop", "--infra=false")
        container, key = self.run_reader("--pod=shop", "--name=api")
        facts = self.assert_named(key, container, "api")
        self.assertNotIn("k8s.pod.name", facts)

    def test_an_annotation_names_no_pod(self):
        container, key = self.run_reader("--annotation=io.kubernetes.pod.name=victim", "--name=forger",
                                         "--annotation=io.kubernetes.cri.sandbox-name=victim")
        self.assertNotIn("k8s.pod.name", self.assert_named(key, container, "forger"))

    def test_who_enters_by_podman_exec_is_in_an_exec_session(self):
        container, key = self.run_reader("--name=entered")
        self.workload_of(key)
        self.engine("exec", container, "cat", CREDENTIALS)
        self.assert_entered(container, key)

    def test_what_removes_itself_has_its_names_or_says_why(self):
        container, key = self.run_reader("--rm", "--name=short", then="sleep 1")
        _, workload, facts = self.workload_of(
            key, lambda facts: "container.name" in facts or "keytrail.runtime.unknown" in facts)
        self.assertEqual(workload["id"], "container:" + container)


@needs(*engines.PODMANS)
class OfAUser(EngineCase):
    """Without a cgroup of its own (cgroup v1 beside v2) it is whoever is in that of its starter, and nobody else."""

    def make_engine(self, folder):
        return engines.Podman(folder, Run.world.netns, USER)

    def test_it_has_nobodys_name(self):
        container, key = self.run_reader("--name=web-1")
        row, workload, facts = self.workload_of(key, lambda facts: True)
        self.assertEqual((workload["kind"], workload["container_id"]), ("host", ""))
        self.assertEqual((row["actor"]["uid"], row["actor"]["user"]), (USER, str(USER)))
