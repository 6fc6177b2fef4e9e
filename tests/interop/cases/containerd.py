# SPDX-License-Identifier: Apache-2.0
"""The agent beside the real containerd: whose a container is stands in what the runtime wrote down, without any API.
The same for both generations of containerd."""
import time
import uuid

import container_runtime
import go_build
from case import CREDENTIALS, Run, SystemCase, needs

PREFIX = "io.kubernetes.cri."


@needs(*container_runtime.PROGRAMS)
class Pod(SystemCase):
    generation = 1

    def make_agent(self):
        folder = f"{self.world.dir}/c{next(Run.numbers)}"
        try:
            path = container_runtime.programs_path(self.generation, Run.build.folder, folder + "-bin")
        except go_build.Missing as why:
            self.skipTest(str(why))
        self.runtime = container_runtime.Containerd(folder, path)
        self.addCleanup(self.runtime.close)
        return self.own_agent(options=["--containerd-state", self.runtime.state]).start()

    def root(self, name):
        """A container's root with a key in it, and that key."""
        key = self.maker.aws()
        folder = container_runtime.rootfs(f"{self.folder}/{name}", "sh", "sleep", "cat", "true")
        with open(folder + CREDENTIALS, "w") as file:
            file.write(key.profile())
        return folder, key

    def read_in_cgroup(self, group):
        """A process of no container reads a key in a cgroup that is named like one's; the key."""
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.runtime.groups.append(group)
        self.actor("read", CREDENTIALS, cgroups=container_runtime.make_cgroups(group)).wait()
        return key

    def workload_of(self, key, until, seconds=15):
        """The workload of the row that tells of this key, once it is as told. Facts: {name: (value, known by)}."""
        limit = time.monotonic() + seconds
        while True:
            found = [row["actor"]["workload"] for row in self.agent.rows(self.after, "acquisition")
                     if row.get("key", {}).get("id") == key.id]
            for workload in found:
                facts = {}
                for fact in workload.get("facts", []):
                    facts.setdefault(fact["name"], (fact["value"], fact["known_by"]))
                if until(workload, facts):
                    return workload, facts
            self.assertLess(time.monotonic(), limit, f"not within {seconds} s: {found}")
            time.sleep(0.1)

    def test_a_pods_names_are_the_runtimes(self):
        pod, container = str(uuid.uuid4()), uuid.uuid4().hex * 2
        folder, key = self.root("root")
        directory = f"/kubepods/besteffort/pod{pod}/{container}"
        self.runtime.run(container, folder, directory, {
            PREFIX + "container-type": "container", PREFIX + "sandbox-namespace": "shop",
            PREFIX + "sandbox-name": "web-6d4cf56db6-abcde", PREFIX + "sandbox-uid": pod,
            PREFIX + "container-name": "app", PREFIX + "image-name": "registry.test/web:1"},
            "/bin/sh", "-c", f"cat {CREDENTIALS}; sleep 60")
        workload, facts = self.workload_of(key, lambda workload, facts: "k8s.pod.name" in facts)
        self.assertEqual(workload["id"], f"pod:{pod}/{container}")
        self.assertEqual(workload["name"], "shop/web-6d4cf56db6-abcde")
        self.assertEqual({name: facts.get(name) for name in
                          ("k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "container.image.name",
                           "container.runtime.name", "k8s.pod.uid", "container.id")},
                         {"k8s.namespace.name": ("shop", "runtime"),
                          "k8s.pod.name": ("web-6d4cf56db6-abcde", "runtime"),
                          "k8s.container.name": ("app", "runtime"),
                          "container.image.name": ("registry.test/web:1", "runtime"),
                          "container.runtime.name": ("containerd", "runtime"),
                          "k8s.pod.uid": (pod, "kernel"), "container.id": (container, "kernel")})

    def test_a_container_whose_state_names_another_cgroup_is_not_believed(self):
        """The bundle of one container, and a cgroup that is named like it elsewhere."""
        pod, container = str(uuid.uuid4()), uuid.uuid4().hex * 2
        victim, _ = self.root("victim")
        self.runtime.run(container, victim, f"/kubepods/pod{uuid.uuid4()}/{container}",
                         {PREFIX + "sandbox-namespace": "shop", PREFIX + "sandbox-name": "victim"},
                         "/bin/sleep", "60")
        key = self.read_in_cgroup(f"/kubepods/pod{pod}/{container}")
        workload, facts = self.workload_of(key, lambda workload, facts: "keytrail.runtime.unknown" in facts)
        self.assertEqual(workload["id"], f"pod:{pod}/{container}")
        self.assertNotIn("k8s.pod.name", facts)
        self.assertEqual(facts["keytrail.runtime.unknown"][0], "the runtime has this container in another cgroup")

    def test_what_is_gone_keeps_the_kernels_facts_and_says_why(self):
        pod, container = str(uuid.uuid4()), uuid.uuid4().hex * 2
        key = self.read_in_cgroup(f"/kubepods/pod{pod}/{container}")
        workload, facts = self.workload_of(key, lambda workload, facts: "keytrail.runtime.unknown" in facts)
        self.assertEqual(workload["id"], f"pod:{pod}/{container}")
        self.assertEqual(facts["keytrail.runtime.unknown"][0], "gone before the runtime's state was read")
        self.assertEqual(facts["k8s.pod.uid"], (pod, "kernel"))

    def test_the_next_container_of_an_id_has_its_own_names(self):
        """Ids that people give come again, with the same cgroup."""
        for pod in ("first", "second"):
            folder, key = self.root(pod)
            self.runtime.run("web", folder, "/k8s.io/web", {PREFIX + "sandbox-namespace": "shop",
                                                            PREFIX + "sandbox-name": pod},
                             "/bin/sh", "-c", f"cat {CREDENTIALS}; sleep 60")
            workload, facts = self.workload_of(key, lambda _, facts: facts.get("k8s.pod.name", ("",))[0] == pod)
            self.assertEqual((workload["id"], facts["k8s.pod.name"]), ("container:web", (pod, "runtime")))
            self.runtime.remove("web")

    def test_what_is_no_name_is_left_out(self):
        pod, container = str(uuid.uuid4()), uuid.uuid4().hex * 2
        folder, key = self.root("root")
        self.runtime.run(container, folder, f"/kubepods/pod{pod}/{container}", {
            PREFIX + "sandbox-namespace": "shop\n[fake]", PREFIX + "sandbox-name": "\x1b[31mroot\x1b[0m",
            PREFIX + "container-name": "app", PREFIX + "image-name": "x" * 100_000},
            "/bin/sh", "-c", f"cat {CREDENTIALS}; sleep 60")
        workload, facts = self.workload_of(key, lambda workload, facts: "k8s.container.name" in facts)
        self.assertEqual(workload["name"], f"pod: {pod}/{container[:12]}")
        for name in ("k8s.namespace.name", "k8s.pod.name", "container.image.name"):
            self.assertNotIn(name, facts)

    def test_a_bundle_that_is_too_large_says_so(self):
        pod, container = str(uuid.uuid4()), uuid.uuid4().hex * 2
        folder, key = self.root("root")
        self.runtime.run(container, folder, f"/kubepods/pod{pod}/{container}", {
            PREFIX + "sandbox-name": "web", **{f"flood-{number}": "x" * 100_000 for number in range(12)}},
            "/bin/sh", "-c", f"cat {CREDENTIALS}; sleep 60")
        workload, facts = self.workload_of(key, lambda workload, facts: "keytrail.runtime.unknown" in facts)
        self.assertEqual((workload["id"], facts["keytrail.runtime.unknown"][0]),
                         (f"pod:{pod}/{container}", "the runtime's state cannot be read: too large"))


class PodOfContainerd2(Pod):
    generation = 2
