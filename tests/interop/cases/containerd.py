# SPDX-License-Identifier: Apache-2.0
"""The agent beside the real containerd: whose a container is stands in what the runtime wrote down, without any API."""
import time
import uuid

import container_runtime
from case import CREDENTIALS, Run, SystemCase, needs

PREFIX = "io.kubernetes.cri."


@needs(*container_runtime.PROGRAMS)
class Pod(SystemCase):
    def make_agent(self):
        self.runtime = container_runtime.Containerd(f"{self.world.dir}/c{next(Run.numbers)}")
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
