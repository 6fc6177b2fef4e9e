# SPDX-License-Identifier: Apache-2.0
"""Group b: kubectl with a kubeconfig of two contexts, by name and by address; the pod's own token, found through the environment, and its rotation."""
import base64
import os
import time

from case import SystemCase, needs
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
        clusters = "".join(f"- name: {name}\n  cluster: {{server: 'https://{where}', certificate-authority-data: {authority}}}\n" for name, where in (("one", one), ("two", two)))
        self.plant(name, f"apiVersion: v1\nkind: Config\ncurrent-context: {current}\nclusters:\n{clusters}"
                   "contexts:\n- name: one\n  context: {cluster: one, user: robot}\n- name: two\n  context: {cluster: two, user: admin}\n"
                   f"users:\n- name: robot\n  user: {{token: {self.token}}}\n- name: admin\n  user: {{client-certificate-data: {encode(self.certificate.public)}, "
                   f"client-key-data: {encode(self.certificate.private)}}}\n")
        place = "/root/" + name
        return [Acquisition("file", place, FINGERPRINT, kind="k8s.static_token", selector="one"),
                Acquisition("file", place, self.certificate.id, kind="k8s.client_certificate", key_class="certificate", lifetime="unknown", selector="two")]

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
        self.expect(read, [use("inferred", "selector", [self.certificate.id], self.two), use("inferred", "selector", [FINGERPRINT], self.one)])

    def test_both_contexts_by_address(self):
        where = [self.world.command("address " + name) for name in (self.one, self.two)]
        read = self.plant_config(where[0] + ":6443", where[1] + ":6443")
        self.kubectl("--context=one")
        self.kubectl("--context=two")
        self.expect(read, [use("inferred", "selector", [FINGERPRINT], where[0]), use("inferred", "selector", [self.certificate.id], where[1])])

    def test_a_list_with_discovery_is_one_connection(self):
        read = self.plant_config(self.one + ":6443", self.two + ":6443")
        self.start([KUBECTL, "get", "pods"]).wait()
        self.expect(read, [use("inferred", "selector", [FINGERPRINT], self.one)])


class InCluster(SystemCase):
    """A pod's token in a projected volume: `token` leads to `..data/token`, and a rotation swaps `..data`."""

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
        token, jti, kid = self.maker.jwt()
        os.makedirs(f"{volume}/{name}")
        with open(self.world.bundle) as file:
            authority = file.read()
        for file_name, text in (("token", token), ("namespace", "default"), ("ca.crt", authority)):
            with open(f"{volume}/{name}/{file_name}", "w") as file:
                file.write(text)
        return token, f"{kid}/{jti}"

    def acquisition(self, key, **more):
        return Acquisition("file", f"{TOKEN}/token", key[1], kind="k8s.service_account_token", key_class="identity_token", lifetime="short_lived", **more)

    def use(self, key, **more):
        return Use("inferred", "only_key_held", [key[1]], provider="kubernetes", service="api", region="", host=self.address, **more)

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
        return [(row["actor"]["pid"], row["slot_changed"]) for row in self.agent.json(f"/v1/holders?key={key[1]}")["rows"] if row["key"]["id"] == key[1]]
