# SPDX-License-Identifier: Apache-2.0
"""The agent and a real kube-apiserver: pods are named by it, through all that a cluster does to a client."""
import contextlib
import os
import threading
import time
import unittest
import urllib.error
import urllib.request

from case import S3, Run, SystemCase
from go_build import Missing
from kube_server import KubeServer, built
from relay import Relay

CREDENTIALS = "/root/.aws/credentials"
NODE = "node-1"
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}
OWNERS = {"apiGroups": ["apps"], "resources": ["replicasets", "statefulsets", "daemonsets"], "verbs": ["get"]}
JOBS = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]}


class Cluster(SystemCase):
    """A cluster with namespaces "keytrail" and "shop", and an agent with a token of a service account of it."""
    rules = [PODS, OWNERS, JOBS]
    options = ()  # of the API server
    relayed = False

    def make_agent(self):
        self.made_groups = []
        try:
            programs = built(Run.build.folder)
        except Missing as why:
            self.skipTest(str(why))
        self.server = KubeServer(programs, self.folder + "/cluster")
        self.addCleanup(self.server.close)
        self.server.start(*self.options)
        for name in ("keytrail", "shop"):
            self.server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        for name in (NODE, "node-2"):
            self.server.ask("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        self.server.grant("agent", self.rules)
        self.token_file, self.tokens = self.folder + "/token", []
        self.renew_token()
        self.web = self.server.deployment("shop", "web", "7d4b9c")
        self.relay = Relay(self.server.port)
        self.addCleanup(self.relay.close)
        asked = f"https://127.0.0.1:{self.relay.port}" if self.relayed else self.server.url
        self.before_agent()
        agent = self.own_agent(sink=False)
        agent.configure("identity:\n  cloud: off\n  kubernetes:\n    mode: api\n"
                        f"    api_server: {asked}\n    ca_file: {self.server.ca_file}\n"
                        f"    token_file: {self.token_file}\n    node_name: {NODE}\n")
        return agent.start()

    def before_agent(self):
        """What the cluster is when the agent comes."""

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

    def pod(self, name, node=NODE, owner=None, **more):
        """(uid, container) of a new pod, of the Deployment or of another owner."""
        container = os.urandom(32).hex()
        uid = self.server.pod("shop", f"web-7d4b9c-{name}", node, container, owner=owner or self.web, **more)
        return uid, container

    def facts(self, workload):
        return {one["name"]: (one["value"], one["known_by"]) for one in workload["facts"]}

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


    def test_an_owner_is_what_the_server_has_and_not_what_the_pod_says(self):
        template = {"metadata": {"labels": {"app": "x"}},
                    "spec": {"containers": [{"name": "app", "image": "registry.test/web:1"}],
                             "restartPolicy": "Always"}}
        selector = {"matchLabels": {"app": "x"}}
        made = [self.server.ask("POST", f"/apis/{version}/namespaces/shop/{resource}",
                                {"metadata": {"name": "own"}, "spec": spec})
                for version, resource, spec in (
                    ("apps/v1", "statefulsets", {"selector": selector, "serviceName": "x", "template": template}),
                    ("apps/v1", "daemonsets", {"selector": selector, "template": template}),
                    ("batch/v1", "jobs", {"template": {**template, "spec": {**template["spec"],
                                                                            "restartPolicy": "Never"}}}))]
        for number, (one, (kind, word)) in enumerate(zip(made, (("StatefulSet", "sts"), ("DaemonSet", "ds"),
                                                                ("Job", "job")))):
            true = {"apiVersion": one.get("apiVersion", "batch/v1" if kind == "Job" else "apps/v1"), "kind": kind,
                    "metadata": one["metadata"]}
            false = {**true, "metadata": {**one["metadata"], "uid": self.web["metadata"]["uid"]}}
            for owner, known_by in ((true, "cluster"), (false, "claimed")):
                actor = self.act_in(*self.pod(f"{number}{known_by}", owner=owner))
                workload = self.workload_of(actor, f"shop/{word}/own")
                self.assertEqual(workload["known_by"], known_by, kind)

    def test_a_label_that_is_taken_away_is_no_fact_any_more(self):
        uid, container = self.pod("abcde", labels={"app": "web"}, annotations={"keytrail/team": "red"})
        actor = self.act_in(uid, container)
        path = "/api/v1/namespaces/shop/pods/web-7d4b9c-abcde"

        def team():
            workload = self.workload_of(actor, "shop/deploy/web")
            return self.facts(workload).get("keytrail.team", ("", ""))[0]

        self.until(lambda: team() == "red")
        key = "ghp_" + "a" * 36
        for value, shown in ((None, ""), ("blue", "blue"), (key, "")):
            self.server.ask("PATCH", path, {"metadata": {"annotations": {"keytrail/team": value}}},
                            "application/merge-patch+json")
            self.until(lambda: team() == shown)
        self.assertEqual(self.agent.status()["tracking"]["facts_like_keys"], 1)
        told = " ".join(row["value"] for row in self.agent.rows(self.after, "revision"))
        self.assertIn("keytrail.team no longer red (cluster)", told)
        self.assertIn("keytrail.team no longer blue (cluster)", told)
        self.assertNotIn(key, told)


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


class Relayed(Cluster):
    relayed = True

    def test_a_watch_that_is_cut_or_hangs_goes_on_where_it_was(self):
        first = self.act_in(*self.pod("first"))
        self.workload_of(first, "shop/deploy/web")
        self.relay.cut()
        second = self.act_in(*self.pod("second"))
        self.workload_of(second, "shop/deploy/web")
        self.assertEqual(self.identity("lists"), 1, "the watch goes on from its version")
        self.assertNotIn("not learnt", self.remark())

    def test_a_slow_server_delays_names_and_no_rows(self):
        self.relay.held.set()
        self.relay.cut()
        uid, container = self.pod("slow")
        actor = self.act_in(uid, container)
        self.workload_of(actor, f"pod: {uid}/{container[:12]}", seconds=5)
        self.relay.pause = 0.3
        self.relay.held.clear()
        self.workload_of(actor, "shop/deploy/web", 90)

    def test_a_server_that_says_nothing_holds_up_no_end(self):
        self.workload_of(self.act_in(*self.pod("first")), "shop/deploy/web")
        self.relay.held.set()
        self.relay.cut()
        time.sleep(2.5)  # it is connected again, and waits
        begin = time.monotonic()
        self.agent.stop()
        self.assertLess(time.monotonic() - begin, 2.5)
        self.agent.start()

    def test_another_authority_signs(self):
        self.workload_of(self.act_in(*self.pod("first")), "shop/deploy/web")
        self.server.kill()
        self.server.rotate_authority()
        self.server.start()
        self.relay.cut()
        self.workload_of(self.act_in(*self.pod("second")), "shop/deploy/web", 90)
        self.until(lambda: "not learnt" not in self.remark())


@contextlib.contextmanager
def flooded(server, token):
    """Lists from 16 threads until the end."""
    ended, tls = threading.Event(), server.tls

    def loop():
        while not ended.is_set():
            request = urllib.request.Request(server.url + "/api/v1/pods?limit=500",
                                             headers={"Authorization": "Bearer " + token})
            with contextlib.suppress(OSError, urllib.error.URLError):
                with urllib.request.urlopen(request, timeout=10, context=tls) as answer:
                    answer.read()

    threads = [threading.Thread(target=loop, daemon=True) for _ in range(16)]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        ended.set()
        for one in threads:
            one.join(15)


@unittest.skipUnless("KEYTRAIL_FULL" in os.environ, "with tests/run.sh --full")
class Limited(Cluster):
    """One request at a time, and no list by a watch, which would not be counted."""
    options = ("--enable-priority-and-fairness=false", "--max-requests-inflight=1", "--feature-gates=WatchList=false")

    def before_agent(self):
        self.server.grant("flood", [PODS])
        self.server.many_pods("shop", "other", 200, "node-2", self.web)
        flood = contextlib.ExitStack()
        self.addCleanup(flood.close)
        flood.enter_context(flooded(self.server, self.server.token("flood")))
        self.flood = flood

    def test_429_is_obeyed(self):
        actor = self.act_in(*self.pod("first"))
        self.until(lambda: "429" in self.remark() or self.identity("errors") > 0)
        self.flood.close()
        # Retry-After is 1 s; then owners that could not be asked for, a minute later
        self.workload_of(actor, "shop/deploy/web", 120)
        self.until(lambda: self.identity("lists") >= 1 and "not learnt" not in self.remark())


@unittest.skipUnless("KEYTRAIL_FULL" in os.environ, "with tests/run.sh --full")
class Crowded(Cluster):
    def before_agent(self):
        self.server.many_pods("shop", "other", 4_500, "node-2", self.web)
        self.mine = self.server.many_pods("shop", "mine", 500, NODE, self.web)

    def test_500_pods_of_5000(self):
        self.until(lambda: self.identity("pods") == 500)
        for name in ("mine-0", "mine-250", "mine-499"):
            workload = self.workload_of(self.act_in(*self.mine[name]), "shop/deploy/web")
            self.assertEqual(self.facts(workload)["k8s.pod.name"], (name, "cluster"))
        self.assertEqual((self.identity("lists"), self.identity("pods_elsewhere"), self.identity("errors")), (1, 0, 0))
        self.assertEqual(self.agent.status()["tracking"]["identity_posts_dropped"], 0)


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
        known = self.facts(workload)
        self.assertEqual(known["k8s.deployment.name"], ("web", "claimed"))
        self.assertEqual(known["k8s.replicaset.name"], ("web-7d4b9c", "claimed"))
        self.assertEqual(known["k8s.pod.name"], ("web-7d4b9c-abcde", "cluster"))
        self.until(lambda: "to get replicasets (Helm: profile standard)" in self.remark())
        self.assertIn("marked as claimed", self.agent.cli("doctor")[1])
