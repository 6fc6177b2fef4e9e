# SPDX-License-Identifier: Apache-2.0
"""The agent and a real kube-apiserver: pods are named by it, through all that a cluster does to a client."""
import os
import time

from case import S3, Run, SystemCase
from go_build import Missing
from kube_server import KubeServer, built

CREDENTIALS = "/root/.aws/credentials"
NODE = "node-1"
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}
OWNERS = {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get"]}


class Cluster(SystemCase):
    """A cluster with namespaces "keytrail" and "shop", and an agent with a token of a service account of it."""
    rules = [PODS, OWNERS]

    def make_agent(self):
        self.made_groups = []
        try:
            programs = built(Run.build.folder)
        except Missing as why:
            self.skipTest(str(why))
        self.server = KubeServer(programs, self.folder + "/cluster")
        self.addCleanup(self.server.close)
        self.server.start()
        for name in ("keytrail", "shop"):
            self.server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        for name in (NODE, "node-2"):
            self.server.ask("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        self.server.grant("agent", self.rules)
        self.token_file, self.tokens = self.folder + "/token", []
        self.renew_token()
        self.web = self.server.deployment("shop", "web", "7d4b9c")
        agent = self.own_agent(sink=False)
        agent.configure("identity:\n  cloud: off\n  kubernetes:\n    mode: api\n"
                        f"    api_server: {self.server.url}\n    ca_file: {self.server.ca_file}\n"
                        f"    token_file: {self.token_file}\n    node_name: {NODE}\n")
        return agent.start()

    def _cleanup(self):
        self.world.clear(self.made_groups)
        super()._cleanup()

    def finish(self, secrets=()):
        super().finish(secrets)
        # The agent's own token, which its worker shows the API server, is in that one's memory and nowhere else.
        self.assertEqual(self.agent.leaks(self.tokens, memory=False), [])

    def renew_token(self):
        """As the kubelet does it: another file takes its place."""
        token = self.server.token("agent")
        self.tokens.append(token.rsplit(".", 1)[1])  # the signature: what makes it one
        with open(self.token_file + ".new", "w") as file:
            file.write(token)
        os.chmod(self.token_file + ".new", 0o644)
        os.rename(self.token_file + ".new", self.token_file)

    def pod(self, name, node=NODE, **more):
        """(uid, container) of a new pod of the Deployment."""
        container = os.urandom(32).hex()
        return self.server.pod("shop", f"web-7d4b9c-{name}", node, container, owner=self.web, **more), container

    def act_in(self, uid, container):
        """A process in a pod's container reads a key and calls; returns the workload of its rows."""
        path = f"kubepods/besteffort/pod{uid}/{container}"
        self.groups, self.cgroup = self.world.group_at(path), "/" + path
        self.made_groups += self.groups
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        actor = self.actor("read", CREDENTIALS, "call", S3).wait()
        self.agent.quiet()
        return actor

    def workload_of(self, actor, name, seconds=60):
        """The workload of its rows, once it is called so."""
        limit = time.monotonic() + seconds
        while True:
            found = [row["actor"]["workload"] for row in self.agent.rows(self.after, "acquisition,use")
                     if row["actor"]["pid"] == actor.pid]
            if found and all(one["name"] == name for one in found):
                return found[0]
            self.assertLess(time.monotonic(), limit, [one["name"] for one in found])
            time.sleep(0.2)

    def identity(self, name):
        return self.agent.status()["tracking"]["kubernetes_" + name]

    def until(self, what, seconds=60):
        limit = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), limit, self.agent.status()["tracking"])
            time.sleep(0.2)

    def remark(self):
        return " ".join(self.agent.status()["remarks"])


class Named(Cluster):
    def test_a_pod_has_its_names_and_those_of_its_owners(self):
        uid, container = self.pod("abcde", labels={"app": "web", "pod-template-hash": "7d4b9c"},
                                  annotations={"keytrail/team": "payments"})
        self.pod("other", node="node-2")
        actor = self.act_in(uid, container)
        workload = self.workload_of(actor, "shop/deploy/web")
        self.assertEqual((workload["id"], workload["known_by"]), (f"pod:{uid}/{container}", "cluster"))
        facts = {one["name"]: one["value"] for one in workload["facts"] if one["known_by"] == "cluster"}
        wanted = {"k8s.namespace.name": "shop", "k8s.pod.name": "web-7d4b9c-abcde", "k8s.node.name": NODE,
                  "k8s.replicaset.name": "web-7d4b9c", "k8s.deployment.name": "web",
                  "keytrail.k8s.serviceaccount.name": "web", "k8s.pod.label.app": "web", "keytrail.team": "payments",
                  "k8s.container.name": "app", "container.image.name": "registry.test/web:1",
                  "container.image.repo_digests": f"registry.test/web@sha256:{'2' * 64}",
                  "container.runtime.name": "containerd"}
        self.assertEqual(facts, wanted)
        self.assertEqual((self.identity("pods"), self.identity("lists"), self.identity("errors")), (1, 1, 0))
        self.assertEqual(self.identity("pods_elsewhere"), 0, "only this node's are asked for")

    def test_a_name_that_comes_later_is_that_of_earlier_rows_too(self):
        """The process runs before the API server can tell of its pod."""
        self.server.ask("POST", "/api/v1/namespaces/shop/pods", {
            "metadata": {"name": "slow"},
            "spec": {"containers": [{"name": "app", "image": "registry.test/web:1"}]}})
        uid = self.server.ask("GET", "/api/v1/namespaces/shop/pods/slow")["metadata"]["uid"]
        container = os.urandom(32).hex()
        actor = self.act_in(uid, container)
        before = self.workload_of(actor, f"pod: {uid}/{container[:12]}")
        self.assertEqual(before["known_by"], "kernel")
        self.server.ask("POST", "/api/v1/namespaces/shop/pods/slow/binding",
                        {"metadata": {"name": "slow"}, "target": {"kind": "Node", "name": NODE}})
        after = self.workload_of(actor, "shop/slow")
        self.assertEqual((after["id"], after["known_by"]), (before["id"], "cluster"))


class Faults(Cluster):
    def test_restart_compaction_and_a_token_that_ends(self):
        first = self.act_in(*self.pod("first"))
        self.workload_of(first, "shop/deploy/web")
        # What the watch would go on from may be gone (410): then everything is asked for again.
        for number in range(20):
            self.server.ask("PATCH", "/api/v1/namespaces/shop/pods/web-7d4b9c-first",
                            {"metadata": {"annotations": {"n": str(number)}}}, "application/merge-patch+json")
        self.server.kill()
        self.until(lambda: "names of new pods are not learnt" in self.remark())
        self.server.start()
        self.server.compact()
        second = self.act_in(*self.pod("second"))
        self.workload_of(second, "shop/deploy/web", 90)
        self.until(lambda: "not learnt" not in self.remark())
        # The account is gone, and with it every token of it; then there is a new one.
        self.server.ask("DELETE", "/api/v1/namespaces/keytrail/serviceaccounts/agent")
        self.server.kill()  # an open watch would go on to its end
        self.server.start()
        self.until(lambda: "401" in self.remark(), 90)
        self.server.ask("POST", "/api/v1/namespaces/keytrail/serviceaccounts", {"metadata": {"name": "agent"}})
        self.renew_token()
        third = self.act_in(*self.pod("third"))
        self.workload_of(third, "shop/deploy/web", 90)
        # A deleted pod keeps its name in the history.
        self.server.ask("DELETE", "/api/v1/namespaces/shop/pods/web-7d4b9c-first", {"gracePeriodSeconds": 0})
        self.until(lambda: self.identity("pods") == 2)
        self.workload_of(first, "shop/deploy/web")


class NoRights(Cluster):
    rules = []

    def test_the_missing_right_is_named_and_identity_stays_the_kernels(self):
        uid, container = self.pod("abcde")
        actor = self.act_in(uid, container)
        self.assertEqual(self.workload_of(actor, f"pod: {uid}/{container[:12]}")["known_by"], "kernel")
        self.until(lambda: "profile standard" in self.remark())
        self.assertIn("403", self.remark())
        self.assertIn("profile standard", self.agent.cli("doctor")[1])


class NoOwners(Cluster):
    rules = [PODS]

    def test_the_names_rule_stands_in_and_is_marked(self):
        actor = self.act_in(*self.pod("abcde", labels={"pod-template-hash": "7d4b9c"}))
        workload = self.workload_of(actor, "shop/deploy/web")
        known = {one["name"]: (one["value"], one["known_by"]) for one in workload["facts"]}
        self.assertEqual(known["k8s.deployment.name"], ("web", "claimed"))
        self.assertEqual(known["k8s.replicaset.name"], ("web-7d4b9c", "cluster"))
        self.until(lambda: "jobs (Helm: profile standard)" in self.remark())
