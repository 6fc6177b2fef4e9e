# SPDX-License-Identifier: Apache-2.0
"""The agent as a pod of `node.Node`, from the image that packaging/image makes and the DaemonSet of
packaging/kubernetes/keytrail.yaml: its image, arguments, security context, mounts and probes."""
import copy
import os
import shutil
import subprocess
import time

import yaml
from agent import Agent
from node import HERE, Node

TREE = os.path.dirname(os.path.dirname(HERE))
IMAGE = "localhost/keytrail:test"
INSIDE = "/usr/lib/keytrail"  # where the image has the executables


def manifest():
    """(DaemonSet, ConfigMap) of the plain manifests."""
    with open(TREE + "/packaging/kubernetes/keytrail.yaml") as file:
        objects = {one["kind"]: one for one in yaml.safe_load_all(file)}
    return objects["DaemonSet"], objects["ConfigMap"]


def node_with_image(folder, build):
    """A started node that has the agent's image."""
    node = Node(folder).start()
    try:
        tar = folder + "/keytrail.tar"
        subprocess.run(["/usr/bin/python3", TREE + "/packaging/image/image.py", "--build", build, "--output", tar,
                        "--tag", IMAGE], check=True, capture_output=True, timeout=300)
        node.load(tar)
    except BaseException:
        node.close()
        raise
    return node


class Inside:
    """The executables as the pod knows them."""
    folder = "/"
    keytrail, warden, examiner = (f"{INSIDE}/{name}" for name in ("keytrail", "keytrail-warden", "keytrail-examiner"))


class Contained:
    """The warden in its container, where Agent has a process of its own."""

    def __init__(self, node, container):
        self.node, self.container = node, container
        self.pid = node.status(container)[2]

    def poll(self):
        state, code, _ = self.node.status(self.container)
        return None if state == "CONTAINER_RUNNING" else code


class PodAgent(Agent):
    """`change`: called with the DaemonSet's pod template before it is used. History and socket outlive the pod in
    `folder`, as a node's folders do."""

    def __init__(self, node, folder, change=None, sink=True, name="keytrail"):
        self.node, self.name, self.number = node, name, 0
        daemon_set, config_map = manifest()
        self.template = copy.deepcopy(daemon_set["spec"]["template"]["spec"])
        self.chart_config = config_map["data"]["keytrail.yaml"]
        for setting, off in (("mode: api", "mode: \"off\""), ("cloud: auto", "cloud: \"off\"")):
            self.chart_config = self.chart_config.replace(setting, off)
        if change:
            change(self.template)
        self.sandbox = None
        super().__init__(Inside, folder, sink=sink)

    def _config_text(self):
        text = self.chart_config
        if self.sink:
            text += f"otlp:\n  - name: sink\n    endpoint: {self.sink.endpoint}\n    from_start: true\n"
        return text

    def configure(self, more):
        os.makedirs(self.folder + "/etc", exist_ok=True)
        self.config_path = self.folder + "/etc/keytrail.yaml"
        super().configure(more)

    def _mounts(self):
        volumes = {one["name"]: one for one in self.template["volumes"]}
        own = {"/var/lib/keytrail": self.state, "/run/keytrail": self.run}
        out = []
        for mount in self.template["containers"][0]["volumeMounts"]:
            path = volumes[mount["name"]].get("hostPath", {}).get("path")
            out.append({"container_path": mount["mountPath"], "readonly": mount.get("readOnly", False),
                        "host_path": own.get(path, path) if path else self.folder + "/etc"})
        return out

    def begin(self):
        """Starts the pod and does not wait."""
        self.number += 1
        uid = f"00000000-0000-4000-8000-{abs(hash((self.folder, self.number))) % 10**12:012d}"
        self.sandbox = self.node.pod(f"{self.name}-{self.number}", "keytrail", uid, self.template.get("hostPID", False))
        container = {**self.template["containers"][0], "image": IMAGE, "env": [
            {"name": "KEYTRAIL_NODE_NAME", "value": os.uname().nodename}]}
        self.began = time.monotonic()
        self.process = Contained(self.node, self.node.container(self.sandbox, self.log_name(), container,
                                                                self._mounts()))
        return self

    def start(self, wait=15):
        self.begin()
        limit = time.monotonic() + wait
        while time.monotonic() < limit and self.process.poll() is None:
            status = self.try_status()
            if status and self.armed(status):
                return self
            time.sleep(0.02)
        tail = self.log()[-3000:]
        self.stop()
        raise RuntimeError(f"the agent was not armed in its pod within {wait} s:\n{tail}")

    def probe(self, which):
        """(exit status, output) of a probe of the DaemonSet, as a kubelet runs it."""
        return self.node.exec(self.process.container, *self.template["containers"][0][which]["exec"]["command"])[:2]

    def inside(self, *words):
        """(exit status, standard output) of `keytrail WORDS` within the pod: kubectl exec."""
        code, out, errors = self.node.exec(self.process.container, "/usr/bin/keytrail", *words)
        self._output += (out + errors).encode()
        return code, out

    def cli(self, *words, check=None):
        code, out = self.inside(*words)
        if check is not None and code != check:
            raise AssertionError(f"keytrail {' '.join(words)}: exit {code}, expected {check}")
        return code, out

    def stop(self):
        """As a kubelet ends a pod; returns the warden's exit status."""
        if self.process is None:
            return None
        code = self.node.stop(self.process.container, self.template["terminationGracePeriodSeconds"])
        self.node.remove_pod(self.sandbox)
        self.process = self.sandbox = None
        return code

    def kill_pod(self):
        """As a node that loses power for this pod alone."""
        self.node.stop(self.process.container, 0)
        self.node.remove_pod(self.sandbox)
        self.process = self.sandbox = None

    def log_name(self):
        return f"{self.name}-{os.path.basename(self.folder)}-{self.number}"

    def log(self):
        return "".join(self.node.output(f"{self.name}-{os.path.basename(self.folder)}-{number}")
                       for number in range(1, self.number + 1))

    def forget(self):
        """A node that was never used by this agent."""
        for folder in (self.state, self.run):
            shutil.rmtree(folder)
            os.makedirs(folder, mode=0o755)
