# SPDX-License-Identifier: Apache-2.0
"""kubectl with a kubeconfig of two contexts, by name and by address; the pod's own token, found through the
environment, and its rotation."""
import base64
import json
import os
import time
import uuid

from case import S3, SystemCase, needs
from rows import FINGERPRINT, Acquisition, Use
from stage.services import digest

KUBECTL = "/usr/bin/kubectl"
PODS = "/api/v1/namespaces/default/pods"
TOKEN = "/run/secrets/kubernetes.io/serviceaccount"


def use(evidence, reason, keys, host):
    return Use(evidence, reason, keys, provider="kubernetes", service="api", region="", host=host)


@needs(KUBECTL)
class Kubeconfig(SystemCase):
    def setUp(self):
        super().setUp()
        self.one, self.two = (f"{self.maker.public(8)}.cluster.test" for _ in range(2))
        self.token = self.maker.text(40)
        self.certificate = self.world.client("admin")
        self.maker.secrets += self.certificate.secrets

    def plant_config(self, one, two, current="one", name=".kube/config"):
        """Two clusters, two users; context "one" with a token, "two" with a client certificate."""
        encode = lambda text: base64.b64encode(text.encode()).decode()
        with open(self.world.bundle) as file:
            authority = encode(file.read())
        clusters = "".join(f"- name: {name}\n  cluster: {{server: 'https://{where}', certificate-authority-data: "
                           f"{authority}}}\n" for name, where in (("one", one), ("two", two)))
        self.plant(name, f"apiVersion: v1\nkind: Config\ncurrent-context: {current}\nclusters:\n{clusters}"
                   "contexts:\n- name: one\n  context: {cluster: one, user: robot}\n- name: two\n"
                   "  context: {cluster: two, user: admin}\n"
                   f"users:\n- name: robot\n  user: {{token: {self.token}}}\n- name: admin\n"
                   f"  user: {{client-certificate-data: {encode(self.certificate.public)}, "
                   f"client-key-data: {encode(self.certificate.private)}}}\n")
        place = "/root/" + name
        return [Acquisition("file", place, FINGERPRINT, kind="k8s.static_token", selector="one"),
                Acquisition("file", place, self.certificate.id, kind="k8s.client_certificate", key_class="certificate",
                            lifetime="unknown", selector="two")]

    def kubectl(self, *words):
        self.start([KUBECTL, *words, "get", "--raw", PODS]).wait()

    def test_current_context_by_name(self):
        read = self.plant_config(self.one + ":6443", self.two + ":6443")
        self.kubectl()
        self.assertEqual(self.sent(self.one), [digest(self.token)])
        self.expect(read, [use("inferred", "selector", [FINGERPRINT], self.one)])

    def test_context_argument_by_name(self):
        read = self.plant_config(self.one + ":6443", self.two + ":6443")
        self.kubectl("--context", "two")
        self.assertEqual(self.sent(self.two), [self.certificate.sent])
        self.expect(read, [use("inferred", "selector", [self.certificate.id], self.two)])

    def test_config_under_a_free_name(self):
        """--kubeconfig tells that it is one, and beats no key of the file that it names."""
        read = self.plant_config(self.one + ":6443", self.two + ":6443", name="clusters/of-the-team")
        self.kubectl("--kubeconfig", "/root/clusters/of-the-team", "--context=two")
        self.kubectl("--kubeconfig=/root/clusters/of-the-team")
        self.expect(read, [use("inferred", "selector", [self.certificate.id], self.two),
                           use("inferred", "selector", [FINGERPRINT], self.one)])

    def test_both_contexts_by_address(self):
        where = [self.world.command("address " + name) for name in (self.one, self.two)]
        read = self.plant_config(where[0] + ":6443", where[1] + ":6443")
        self.kubectl("--context=one")
        self.kubectl("--context=two")
        self.expect(read, [use("inferred", "selector", [FINGERPRINT], where[0]),
                           use("inferred", "selector", [self.certificate.id], where[1])])

    def test_a_list_with_discovery_is_one_connection(self):
        read = self.plant_config(self.one + ":6443", self.two + ":6443")
        self.start([KUBECTL, "get", "pods"]).wait()
        self.expect(read, [use("inferred", "selector", [FINGERPRINT], self.one)])


class Volume(SystemCase):
    """A pod's token in a projected volume: `token` leads to `..data/token`, and a rotation swaps `..data`."""
    about = None

    def setUp(self):
        super().setUp()
        self.address = self.world.command("address kubernetes.default.svc")
        self.env = {"KUBERNETES_SERVICE_HOST": self.address, "KUBERNETES_SERVICE_PORT": "6443"}
        self.folder_run = f"{self.folder}/run"
        volume = f"{self.folder_run}/secrets/kubernetes.io/serviceaccount"
        self.old = self.volume(volume, "..2026_01_01_00_00_00.1")
        os.symlink("..2026_01_01_00_00_00.1", volume + "/..data")
        for name in ("token", "namespace", "ca.crt"):
            os.symlink("..data/" + name, f"{volume}/{name}")

    def volume(self, volume, name):
        """One generation of the volume; returns (token, key id)."""
        token, jti, kid = self.maker.jwt(about=self.about)
        os.makedirs(f"{volume}/{name}")
        with open(self.world.bundle) as file:
            authority = file.read()
        for file_name, text in (("token", token), ("namespace", "default"), ("ca.crt", authority)):
            with open(f"{volume}/{name}/{file_name}", "w") as file:
                file.write(text)
        return token, f"{kid}/{jti}"

    def acquisition(self, key, **more):
        return Acquisition("file", f"{TOKEN}/token", key[1], kind="k8s.service_account_token",
                           key_class="identity_token", lifetime="short_lived", **more)

    def use(self, key, **more):
        return Use("inferred", "only_key_held", [key[1]], provider="kubernetes", service="api", region="",
                   host=self.address, **more)


class InCluster(Volume):
    @needs(KUBECTL)
    def test_kubectl_finds_the_server_through_its_environment(self):
        self.start([KUBECTL, "get", "--raw", PODS], env=self.env, trees={"/run": self.folder_run}).wait()
        self.assertEqual(self.sent(self.address), [digest(self.old[0])])
        self.expect([self.acquisition(self.old)], [self.use(self.old)])

    def test_the_swap_of_the_volume_is_a_rotation(self):
        place = f"/var{TOKEN}/token"
        steps = ("read", place, "call", f"{self.address}:6443")
        holder = self.actor(*steps, "wait", self.flag("end"), env=self.env, trees={"/run": self.folder_run})
        holder.until("call")
        self.agent.quiet()
        volume, name = holder.path(TOKEN), "..2026_01_01_01_00_00.2"
        new = self.volume(volume, name)
        os.symlink(name, volume + "/..data_tmp")
        os.rename(volume + "/..data_tmp", volume + "/..data")  # as kubelet does it
        reader = self.actor(*steps, env=self.env, mount_of=holder.pid).wait()
        limit = time.monotonic() + 10
        while (self.holders(self.old), self.holders(new)) != ([(holder.pid, True)], []) and time.monotonic() < limit:
            time.sleep(0.1)
        self.assertEqual(self.holders(self.old), [(holder.pid, True)], "the holder of the old token is told")
        self.assertEqual(self.holders(new), [], "the reader of the new one has ended")
        self.expect([self.acquisition(self.old, pid=holder.pid), self.acquisition(new, pid=reader.pid)],
                    [self.use(self.old, pid=holder.pid), self.use(new, pid=reader.pid)])

    def holders(self, key):
        return [(row["actor"]["pid"], row["slot_changed"])
                for row in self.agent.json(f"/v1/holders?key={key[1]}")["rows"] if row["key"]["id"] == key[1]]


class Named(Volume):
    """What the token tells of its pod: namespace, name, service account; also of what was seen before it was read."""
    NAME = "shop/api-6d4f"

    def setUp(self):
        self.uid = str(uuid.uuid4())
        self.about = {"namespace": "shop", "pod": {"name": "api-6d4f", "uid": self.uid},
                      "serviceaccount": {"name": "api", "uid": str(uuid.uuid4())}}
        super().setUp()
        self.other = self.in_pod(str(uuid.uuid4()))
        self.groups_of_case = [*self.groups, *self.other[0]]
        self.own = self.in_pod(self.uid)
        self.enter(self.own)

    def in_pod(self, uid):
        """(folders, path) of the cgroup of a container of this pod."""
        path = f"kubepods/besteffort/pod{uid}/{os.urandom(32).hex()}"
        return self.world.group_at(path), "/" + path

    def enter(self, place):
        self.groups, self.cgroup = place

    def _cleanup(self):
        self.world.clear([*self.groups_of_case, *self.own[0]])
        super()._cleanup()

    def reader(self):
        return self.actor("read", f"/var{TOKEN}/token", "call", f"{self.address}:6443", env=self.env,
                          trees={"/run": self.folder_run}).wait()

    def test_a_pod_is_named_by_its_own_token_also_in_earlier_rows(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        first = self.actor("read", "/root/.aws/credentials", "call", S3).wait()
        self.agent.quiet()
        before = [row["actor"]["workload"] for row in self.rows()]
        self.assertTrue(before and all(one["name"].startswith(f"pod: {self.uid}/") for one in before), before)
        second = self.reader()
        self.expect([Acquisition("file", "/root/.aws/credentials", key.id, selector="default", pid=first.pid),
                     self.acquisition(self.old, pid=second.pid)],
                    [Use("inferred", "only_key_held", [key.id], pid=first.pid), self.use(self.old, pid=second.pid)])
        for workload in (row["actor"]["workload"] for row in self.rows()):
            self.assertEqual((workload["id"], workload["name"], workload["known_by"]),
                             (before[0]["id"], self.NAME, "token"))
        wide = self.agent.cli("uses", "--workload", self.NAME, "-o", "wide", check=0)[1]
        self.assertIn(key.id, wide, "the use from before the name was known")
        self.assertIn("api", wide)
        self.assertIn(key.id, self.agent.cli("uses", "--workload", before[0]["name"], check=0)[1],
                      "by the name that it had then")
        listed = json.loads(self.agent.cli("workloads", "--workload", self.NAME, "-o", "json", check=0)[1])["rows"]
        facts = {}
        for one in listed[0]["workload"]["facts"]:
            facts.setdefault(one["name"], (one["value"], one["known_by"]))  # the first of a name is the one that counts
        self.assertEqual(facts["k8s.namespace.name"], ("shop", "token"))
        self.assertEqual(facts["keytrail.k8s.serviceaccount.name"], ("api", "token"))
        self.assertEqual(facts["k8s.pod.uid"], (self.uid, "kernel"))

    def test_the_token_of_another_pod_names_nobody(self):
        self.enter(self.other)
        thief = self.reader()
        self.expect([self.acquisition(self.old, pid=thief.pid)], [self.use(self.old, pid=thief.pid)])
        for row in self.rows():
            self.assertTrue(row["actor"]["workload"]["name"].startswith("pod: "), row["actor"]["workload"])
        self.assertGreaterEqual(self.agent.status()["tracking"]["tokens_of_another_pod"], 1)
