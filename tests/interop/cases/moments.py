# SPDX-License-Identifier: Apache-2.0
"""The agent beside the real containerd, asked as a kubelet asks: who it was in hard moments. The same for both
generations of containerd."""
import json
import os
import subprocess
import time
import uuid

import container_runtime
import go_build
import node as nodes
from case import CREDENTIALS, Run, SystemCase

READ = f"cat {CREDENTIALS} >/dev/null; "
WAIT = f"while [ ! -e /root/go ]; do sleep 0.1; done; {READ}"


class Moments(SystemCase):
    generation = 1
    _nodes = {}

    def make_agent(self):
        if self.generation not in Moments._nodes:
            folder = f"{Run.world.dir}/n{self.generation}"
            try:
                path = container_runtime.programs_path(self.generation, Run.build.folder, folder + "-bin")
                Moments._nodes[self.generation] = nodes.Node(folder, self.generation, path)
                Run.agents.append(Moments._nodes[self.generation])  # closed at the end of the run
                Moments._nodes[self.generation].start()
            except (nodes.Missing, go_build.Missing) as why:
                Moments._nodes[self.generation] = str(why)
        self.node = Moments._nodes[self.generation]
        if isinstance(self.node, str):
            self.skipTest(self.node)
        return self.own_agent(options=["--containerd-state", self.node.state]).start()

    # ---- acting

    def pod(self, name="web-6d4cf56db6-abcde", uid=None, **options):
        """A pod of namespace shop; (sandbox, uid)."""
        uid = uid or str(uuid.uuid4())
        sandbox = self.node.pod(name, "shop", uid, **options)
        self.addCleanup(self.node.remove_pod, sandbox)
        return sandbox, uid

    def home(self):
        """A folder with a key for a container's /root, and that key."""
        key = self.maker.aws()
        return self.filled(f"home{len(os.listdir(self.folder))}", {".aws/credentials": (key.profile(), 0o644)}), key

    def reader(self, sandbox, name, script=READ + "sleep 1000", **options):
        """A container of this pod that runs a script and has a key; (its id, its home, the key)."""
        home, key = self.home()
        context = options.pop("context", {})
        mounts = [{"container_path": "/root", "host_path": home}, *options.pop("mounts", ())]
        container = {"image": nodes.BOX, "command": ["/bin/sh", "-c", script], "securityContext": context}
        made = self.node.container(sandbox, name, container, mounts, **options)
        return made, home, key

    # ---- asking

    def rows_of(self, key):
        return [row for row in self.agent.rows(self.after, "acquisition") if row["key"]["id"] == key.id]

    def row_of(self, key, until=lambda facts: "k8s.pod.name" in facts, seconds=15):
        """(row, {fact: (value, known by)}) of who read this key, once its facts are so."""
        limit = time.monotonic() + seconds
        while True:
            found = self.rows_of(key)
            for row in found:
                facts = {}
                for fact in row["actor"]["workload"].get("facts", []):
                    facts.setdefault(fact["name"], (fact["value"], fact["known_by"]))
                if until(facts):
                    return row, facts
            self.assertLess(time.monotonic(), limit, f"not within {seconds} s: {found}")
            time.sleep(0.1)

    def assert_in_pod(self, key, uid, container, name, pod="web-6d4cf56db6-abcde"):
        """This container of that pod read the key; its facts."""
        row, facts = self.row_of(key)
        self.assertEqual(row["actor"]["workload"]["id"], f"pod:{uid}/{container}")
        self.assertEqual({what: facts.get(what) for what in ("k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid",
                                                             "k8s.container.name", "container.id")},
                         {"k8s.namespace.name": ("shop", "runtime"), "k8s.pod.name": (pod, "runtime"),
                          "k8s.pod.uid": (uid, "kernel"), "k8s.container.name": (name, "runtime"),
                          "container.id": (container, "kernel")})
        return facts

    # ---- cases

    def test_init_and_ephemeral_containers(self):
        sandbox, uid = self.pod()
        init, _, of_init = self.reader(sandbox, "migrate", READ + "sleep 1")
        main, _, of_main = self.reader(sandbox, "app")
        self.assert_in_pod(of_main, uid, main, "app")
        # kubectl debug --target=app: the other's processes, and through them the other's files
        debug, _, of_debug = self.reader(sandbox, "debugger-x7x2k", f"{READ} cat /proc/1/root{CREDENTIALS} >/dev/null; "
                                         "sleep 1000", beside=main, context={"capabilities": {"add": ["SYS_PTRACE"]}})
        self.assert_in_pod(of_debug, uid, debug, "debugger-x7x2k")
        self.assert_in_pod(of_init, uid, init, "migrate")
        limit = time.monotonic() + 10
        while len(self.rows_of(of_main)) < 2 and time.monotonic() < limit:
            time.sleep(0.1)
        rows = self.rows_of(of_main)
        self.assertEqual({row["actor"]["workload"]["container_id"] for row in rows}, {main, debug}, rows)

    def test_a_static_pod(self):
        """It runs under the hash of its manifest, by which the API server has it in an annotation only."""
        digest = uuid.uuid4().hex
        sandbox, _ = self.pod("etcd-node-1", digest, host_pid=True, annotations={
            "kubernetes.io/config.source": "file", "kubernetes.io/config.hash": digest})
        container, _, key = self.reader(sandbox, "etcd")
        self.assert_in_pod(key, digest, container, "etcd", "etcd-node-1")

    def test_a_pod_with_the_nodes_processes_and_network(self):
        sandbox, uid = self.pod(host_pid=True)
        container, _, key = self.reader(sandbox, "agent")
        self.assertNotIn("keytrail.namespaces.of", self.assert_in_pod(key, uid, container, "agent"))

    def test_who_comes_from_the_node_by_nsenter(self):
        """The cgroup says the node, the namespaces say the pod."""
        sandbox, uid = self.pod()
        container, home, key = self.reader(sandbox, "app", "sleep 1000")
        pid = self.node.status(container)[2]
        time.sleep(0.3)  # a program is seen in its namespaces when it begins
        subprocess.run(["nsenter", f"--target={pid}", "--mount", "/bin/cat", CREDENTIALS], check=True,
                       stdout=subprocess.DEVNULL)
        row, facts = self.row_of(key, lambda facts: "keytrail.namespaces.of" in facts)
        self.assertEqual(row["actor"]["workload"]["pod_uid"], "")
        self.assertIn(row["actor"]["session"], ("namespaces of shop/web-6d4cf56db6-abcde",
                                                f"namespaces of pod: {uid}/{container[:12]}"))

    def test_who_leaves_a_pod_for_the_node_by_nsenter(self):
        sandbox, uid = self.pod(host_pid=True)
        home, key = self.home()
        container, _, _ = self.reader(
            sandbox, "app",
            f"sleep 1; nsenter -t {os.getpid()} -m /bin/cat {home}/.aws/credentials >/dev/null; sleep 99",
            context={"capabilities": {"add": ["SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT"]}})
        row, facts = self.row_of(key, lambda facts: "keytrail.namespaces.of" in facts)
        self.assertEqual(row["actor"]["workload"]["id"], f"pod:{uid}/{container}")
        self.assertEqual((row["actor"]["session"], facts["keytrail.namespaces.of"]),
                         ("namespaces of host", ("host", "kernel")))

    def test_older_than_the_agent_while_the_runtime_is_down(self):
        sandbox, uid = self.pod()
        container, home, key = self.reader(sandbox, "app", WAIT + "sleep 1000")
        self.agent.stop()
        self.node.kill_runtime()
        try:
            self.agent.start()
            open(home + "/go", "w").close()
            self.assert_in_pod(key, uid, container, "app")
        finally:
            self.node.start_runtime()
        container, _, key = self.reader(sandbox, "another")
        self.assert_in_pod(key, uid, container, "another")

    def test_state_that_is_missing_malformed_or_huge(self):
        """The kernel's facts stay, with the reason."""
        harms = {"missing": (os.unlink, "gone before the runtime's state was read"),
                 "cut": (lambda path: self.write(path, '{"annotations": ['), "cannot be read: unknown format"),
                 "deep": (lambda path: self.write(path, "[" * 300 + "]" * 300), "cannot be read: unknown format"),
                 "huge": (lambda path: self.write(path, json.dumps({"a": "x" * 10_000_000})), "too large")}
        self.agent.stop()  # it would have read it at once
        sandbox, uid = self.pod()
        made = {}
        for name, (harm, _) in harms.items():
            made[name] = self.reader(sandbox, name, WAIT + "sleep 1000")
            harm(f"{self.node.state}/io.containerd.runtime.v2.task/k8s.io/{made[name][0]}/config.json")
        self.agent.start()
        for name, (_, reason) in harms.items():
            container, home, key = made[name]
            open(home + "/go", "w").close()
            row, facts = self.row_of(key, lambda facts: "keytrail.runtime.unknown" in facts)
            self.assertIn(reason, facts["keytrail.runtime.unknown"][0])
            self.assertEqual(row["actor"]["workload"]["id"], f"pod:{uid}/{container}")
            self.assertEqual(facts["container.id"], (container, "kernel"))
            self.assertNotIn("k8s.container.name", facts)

    @staticmethod
    def write(path, text):
        with open(path, "w") as file:
            file.write(text)


class MomentsOfContainerd2(Moments):
    generation = 2
