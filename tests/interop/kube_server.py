# SPDX-License-Identifier: Apache-2.0
"""The real kube-apiserver with etcd, of the versions in kube/go.mod: one cluster of one node, without kubelet and
controllers; what these would write, the test writes."""
import concurrent.futures
import http.client
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import go_build
from collector import free_port
from stage.world import PATH, die_with_runner

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = HERE + "/kube"
VERSION = "v1.36.3"
_COMPONENT = "k8s.io/component-base/version"
_FLAGS = f"-s -w -X {_COMPONENT}.gitVersion={VERSION} -X {_COMPONENT}.gitMajor=1 -X {_COMPONENT}.gitMinor=36"


def built(folder):
    """(kube-apiserver, etcd). Building takes some 4 minutes on two free cores, so it is done with KEYTRAIL_FULL only,
    and what was built before is used. Raises Missing."""
    programs = [("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", _FLAGS),
                ("etcd", "go.etcd.io/etcd/server/v3", "-s -w")]
    there = all(go_build.place_of(SOURCES, folder, name)[1] for name, _, _ in programs)
    if not there and not os.environ.get("KEYTRAIL_FULL"):
        raise go_build.Missing("kube-apiserver was not built here before; tests/run.sh --full does that, or "
                               "KEYTRAIL_FULL=1 tests/system/run.py --cases tests/interop/cases --only kube")
    return [go_build.built(SOURCES, folder, name, package, flags, seconds=3600) for name, package, flags in programs]


class Refused(Exception):
    """The API server's answer is no success."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text[:500]}")
        self.status = status


class KubeServer:
    """`start`, then `ask` as the administrator. Free ports of 127.0.0.1; all files in `folder`."""

    def __init__(self, programs, folder):
        self.api_program, self.etcd_program = programs
        self.folder, self.etcd, self.api = folder, None, None
        self.port, self._etcd_port, self._peer_port = free_port(), free_port(), free_port()
        os.makedirs(folder)
        self.ca_file = folder + "/ca.crt"
        self._make_keys()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def _make_keys(self):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", "/CN=cluster of the test", "-keyout", "ca.key", "-out", "ca.crt")
        shutil.copy(self.folder + "/ca.crt", self.folder + "/clients.crt")
        self._sign("server", "/CN=kube-apiserver", "subjectAltName=IP:127.0.0.1")
        self._sign("admin", "/O=system:masters/CN=admin", "extendedKeyUsage=clientAuth")
        self._openssl("genrsa", "-out", "sa.key", "2048")
        self._openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
        self._trust()

    def _sign(self, name, subject, more):
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                      subject, "-keyout", name + ".key", "-out", name + ".csr")
        with open(f"{self.folder}/{name}.ext", "w") as file:
            file.write(more + "\n")
        self._openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", "2", "-extfile", name + ".ext", "-out", name + ".crt")

    def _trust(self):
        os.chmod(self.ca_file, 0o644)
        self.tls = ssl.create_default_context(cafile=self.ca_file)
        self.tls.load_cert_chain(f"{self.folder}/admin.crt", f"{self.folder}/admin.key")

    def rotate_authority(self):
        """Another authority signs the server's certificate, from its next start on; clients keep their own. `ca_file`
        has the new one, in the old one's place."""
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", "/CN=next cluster of the test", "-keyout", "ca.key", "-out", "ca.new")
        os.rename(self.folder + "/ca.new", self.ca_file)
        self._sign("server", "/CN=kube-apiserver", "subjectAltName=IP:127.0.0.1")
        self._trust()

    def _run(self, name, *command):
        with open(f"{self.folder}/{name}.log", "ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                    env={"PATH": PATH}, start_new_session=True, preexec_fn=die_with_runner)

    def start(self, *options):
        """Both, or the API server alone where etcd runs. Returns when it is ready."""
        if self.etcd is None:
            client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
            self.etcd = self._run("etcd", self.etcd_program, "--name", "kt", "--data-dir", "etcd.data",
                                  "--listen-client-urls", client, "--advertise-client-urls", client,
                                  "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                                  "--initial-cluster", "kt=" + peer, "--unsafe-no-fsync")
        self.api = self._run(
            "api", self.api_program, f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={self.port}",
            "--tls-cert-file=server.crt", "--tls-private-key-file=server.key", "--client-ca-file=clients.crt",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=sa.pub",
            "--service-account-signing-key-file=sa.key", "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=Node,RBAC", "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none", "--profiling=false", *options)
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            try:
                with self._open("GET", "/readyz"):
                    return self
            except (Refused, OSError):
                time.sleep(0.2)
            if self.api.poll() is not None or self.etcd.poll() is not None:
                break
        raise RuntimeError("the API server does not start:\n" + self.log()[-3000:])

    def kill(self):
        """The API server alone; asked to end, it would wait for its open watches."""
        self.api.kill()
        self.api.wait()

    def close(self):
        for process in (self.api, self.etcd):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def log(self):
        with open(self.folder + "/api.log", errors="replace") as file:
            return file.read()

    def _open(self, method, path, body=None, kind="application/json"):
        request = urllib.request.Request(self.url + path, method=method, headers={"Content-Type": kind},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            return urllib.request.urlopen(request, timeout=30, context=self.tls)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode(errors="replace")) from error

    def ask(self, method, path, body=None, kind="application/json"):
        with self._open(method, path, body, kind) as answer:
            return json.load(answer)

    # ---- what the test needs of a cluster

    def grant(self, account, rules, namespace="keytrail"):
        """A service account with these rights in the whole cluster, and nothing else."""
        about = {"metadata": {"name": account}, "rules": rules}
        self.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": account}})
        self.ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", about)
        self.ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
            "metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]})

    def token(self, account, namespace="keytrail", seconds=600):
        return self.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
                        {"spec": {"expirationSeconds": seconds}})["status"]["token"]

    def pod(self, namespace, name, node, container, owner=None, **more):
        """A pod on a node with one container that runs, as scheduler and kubelet would leave it. Returns its uid."""
        meta = {"name": name, **more}
        if owner:
            meta["ownerReferences"] = [{"apiVersion": owner.get("apiVersion", "apps/v1"),
                                        "kind": owner.get("kind", "ReplicaSet"), "controller": True,
                                        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]
        image = "registry.test/web:1"
        made = self.ask("POST", f"/api/v1/namespaces/{namespace}/pods", {
            "metadata": meta, "spec": {"nodeName": node, "serviceAccountName": "web",
                                       "containers": [{"name": "app", "image": image}]}})
        self.ask("PATCH", f"/api/v1/namespaces/{namespace}/pods/{name}/status", {"status": {
            "phase": "Running",
            "containerStatuses": [{"name": "app", "image": image, "imageID": f"registry.test/web@sha256:{'2' * 64}",
                                   "containerID": "containerd://" + container, "ready": True, "restartCount": 0,
                                   "state": {"running": {}}}]}}, "application/merge-patch+json")
        return made["metadata"]["uid"]

    def many_pods(self, namespace, name, count, node, owner, padding=5000):
        """So many pods of an owner with one container that runs, each as large as a real one; {name: (uid, container)}.
        """
        def make(numbers):
            line, out = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self.tls), {}
            for number in numbers:
                pod, container = f"{name}-{number}", os.urandom(32).hex()
                meta = {"name": pod, "labels": {"app": name, "pod-template-hash": "7d4b9c"},
                        "annotations": {"padding": "x" * padding},
                        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True,
                                             "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]}
                image = "registry.test/web:1"
                status = {"phase": "Running", "containerStatuses": [
                    {"name": "app", "image": image, "imageID": f"registry.test/web@sha256:{'2' * 64}", "ready": True,
                     "containerID": "containerd://" + container, "restartCount": 0, "state": {"running": {}}}]}
                spec = {"nodeName": node, "serviceAccountName": "web", "containers": [{"name": "app", "image": image}]}
                path = f"/api/v1/namespaces/{namespace}/pods"
                for method, where, body, kind in (
                        ("POST", path, {"metadata": meta, "spec": spec}, "application/json"),
                        ("PATCH", f"{path}/{pod}/status", {"status": status}, "application/merge-patch+json")):
                    line.request(method, where, json.dumps(body), {"Content-Type": kind})
                    answer = line.getresponse()
                    text = answer.read()
                    if answer.status >= 300:
                        raise Refused(answer.status, text.decode(errors="replace"))
                out[pod] = (json.loads(text)["metadata"]["uid"], container)
            line.close()
            return out

        made = {}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for part in pool.map(make, [range(first, count, 8) for first in range(8)]):
                made.update(part)
        return made

    def deployment(self, namespace, name, suffix):
        """A Deployment and its ReplicaSet, as the controllers would make it; returns the latter."""
        spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}},
                             "spec": {"containers": [{"name": "app", "image": "registry.test/web:1"}]}}}
        above = self.ask("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments",
                         {"metadata": {"name": name}, "spec": spec})
        return self.ask("POST", f"/apis/apps/v1/namespaces/{namespace}/replicasets", {"metadata": {
            "name": f"{name}-{suffix}", "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "controller": True,
                "uid": above["metadata"]["uid"]}]}, "spec": spec})

    def compact(self):
        """Throws away all but the newest state, so that watches of older versions cannot go on."""
        revision = int(self.ask("GET", "/api/v1/pods?limit=1")["metadata"]["resourceVersion"])
        request = urllib.request.Request(f"http://127.0.0.1:{self._etcd_port}/v3/kv/compaction",
                                         data=json.dumps({"revision": revision, "physical": True}).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
