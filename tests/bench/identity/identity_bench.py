#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of identity, on the stage of tests/system: real kernel side, real processes, real cgroups. Needs root.

  identity_bench.py --build DIR names [COUNT]    containers that live 50 ms, each with a process that opens a key:
                                                 how many rows have the right id and the right name
  identity_bench.py --build DIR pods [MINUTES]   a real kube-apiserver with 500 pods of this node and 4,500 of another:
                                                 memory before and after, and what is asked in so many minutes
"""
import collections
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../../system"), os.path.join(HERE, "../../interop"), os.path.join(HERE, "../agent")]

import accounting  # noqa: E402
from agent_bench import SETTLE_S, memory, run  # noqa: E402
from case import Run, SystemCase  # noqa: E402
from kube_server import KubeServer, built  # noqa: E402

LIVES_S = 0.05
AUDIT = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    users: ["system:serviceaccount:keytrail:agent"]
  - level: None
"""


def unified():
    with open("/proc/mounts") as file:
        return next(line.split()[1] for line in file if line.split()[2] == "cgroup2")


class Container:
    """A directory of the cgroup tree and a bundle's state, as containerd leaves them; two drivers' names in turn."""

    def __init__(self, number, state, home, key):
        self.number, self.key, self.uid, self.id = number, key, str(uuid.uuid4()), os.urandom(32).hex()
        self.namespace, self.pod = f"ns-{number % 50}", f"pod-{number}"
        if number % 2:
            self.parent = f"kubepods/besteffort/pod{self.uid}"
            self.path, told = f"{self.parent}/{self.id}", f"/kubepods/besteffort/pod{self.uid}/{self.id}"
        else:
            name = f"kubepods-burstable-pod{self.uid.replace('-', '_')}.slice"
            self.parent = f"kubepods.slice/kubepods-burstable.slice/{name}"
            self.path, told = f"{self.parent}/cri-containerd-{self.id}.scope", f"{name}:cri-containerd:{self.id}"
        self.bundle, self.home = f"{state}/io.containerd.runtime.v2.task/k8s.io/{self.id}", f"{home}/{number}"
        self.config = {"ociVersion": "1.0.2", "linux": {"cgroupsPath": told}, "annotations": {
            "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": "app",
            "io.kubernetes.cri.image-name": "registry.test/web:1", "io.kubernetes.cri.sandbox-name": self.pod,
            "io.kubernetes.cri.sandbox-namespace": self.namespace, "io.kubernetes.cri.sandbox-uid": self.uid}}

    def live(self, root):
        """From the runtime's state to its removal; gives how long the process lived."""
        os.makedirs(self.bundle)
        with open(self.bundle + "/config.json", "w") as file:
            json.dump(self.config, file)
        os.makedirs(self.home + "/.aws")
        place = self.home + "/.aws/credentials"
        with open(os.open(place, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(self.key.profile())
        group = f"{root}/{self.path}"
        os.makedirs(group)
        # As a runtime does it: in the cgroup first, then the container's own program.
        process = subprocess.Popen(["/bin/sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec /bin/sh -c \''
                                    f'read -r line < "$0"; exec sleep {LIVES_S}\' "$1"', group, place])
        process.wait()
        for folder in (group, f"{root}/{self.parent}"):
            os.rmdir(folder)
        shutil.rmtree(self.bundle)
        return process.returncode


class Bench(SystemCase):
    """Not a test case: borrows the stage."""

    def make_agent(self):
        return self.own_agent(sink=False, options=["--containerd-state", self.folder + "/ctr"])

    def names(self, count):
        self.agent.start()
        root, state = unified(), self.folder + "/ctr"
        for folder in ("kubepods/besteffort", "kubepods.slice/kubepods-burstable.slice"):
            self.addCleanup(subprocess.run, ["rmdir", "-p", "--ignore-fail-on-non-empty", folder], cwd=root,
                            stderr=subprocess.DEVNULL)
            os.makedirs(f"{root}/{folder}", exist_ok=True)
        made = [Container(number, state, self.folder + "/homes", self.maker.aws()) for number in range(count)]
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            codes = collections.Counter(pool.map(lambda one: one.live(root), made))
        took = time.monotonic() - begin
        time.sleep(8)  # a state that was not there is asked for up to 5 s later
        status = self.agent.quiet(2, 120)
        by_key = collections.defaultdict(list)
        for row in self.agent.rows(0, "acquisition"):
            if not row["actor"]["exe"].endswith("/keytrail-warden"):  # another agent on this machine looks at them, too
                by_key[row["key"]["id"]].append(row)
        right, nameless, wrong, missing = 0, collections.Counter(), [], 0
        for one in made:
            rows = by_key.get(one.key.id, [])
            missing += not rows
            for workload in (row["actor"]["workload"] for row in rows):
                named = (workload["id"], workload["name"]) == (f"pod:{one.uid}/{one.id}", f"{one.namespace}/{one.pod}")
                if named and workload["known_by"] == "runtime":
                    right += 1
                elif workload["name"] == f"pod: {one.uid}/{one.id[:12]}":
                    why = [fact["value"] for fact in workload["facts"] if fact["name"] == "keytrail.runtime.unknown"]
                    nameless[(why or ["no reason"])[0]] += 1
                else:
                    wrong.append((one.uid, workload["id"], workload["name"]))
        print(f"{count} containers in {took:.0f} s ({count / took:.0f}/s), exit {dict(codes)}, load "
              f"{os.getloadavg()[0]:.1f}: {right} rows with the right id and name, {sum(nameless.values())} with the "
              f"right id and no name {dict(nameless)}, {len(wrong)} wrong {wrong[:3]}, {missing} containers without a "
              f"row; lost {status['accounting']['kernel']['lost']}; accounting: "
              + ("; ".join(accounting.broken(status)) or "difference 0"))
        print({name: value for name, value in status["tracking"].items()
               if value and name.startswith(("runtime_", "identity_", "workloads", "files_un", "examine"))})

    # ---- pods

    def pods(self, minutes):
        server = KubeServer(built(Run.build.folder), self.folder + "/cluster")
        self.addCleanup(server.close)
        with open(server.folder + "/audit.yaml", "w") as file:
            file.write(AUDIT)
        log = server.folder + "/audit.log"
        server.start("--audit-policy-file=audit.yaml", f"--audit-log-path={log}")
        for name in ("keytrail", "shop"):
            server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        for name in ("node-1", "node-2"):
            server.ask("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        server.grant("agent", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
                               {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get"]}])
        with open(os.open(self.folder + "/token", os.O_CREAT | os.O_WRONLY, 0o644), "w") as file:
            file.write(server.token("agent", seconds=7200))
        web = server.deployment("shop", "web", "7d4b9c")
        self.agent.configure(f"identity:\n  kubernetes:\n    mode: api\n    api_server: {server.url}\n    ca_file: "
                             f"{server.ca_file}\n    token_file: {self.folder}/token\n    node_name: node-1\n")
        self.agent.start()
        time.sleep(2 * SETTLE_S)
        worker = self.agent.role("worker")
        before = memory(worker)
        begin = time.monotonic()
        server.many_pods("shop", "other", 4_500, "node-2", web)
        server.many_pods("shop", "mine", 500, "node-1", web)
        known = lambda: self.agent.status()["tracking"]
        while known().get("kubernetes_pods", 0) < 500:
            time.sleep(0.2)
        print(f"5,000 pods made in {time.monotonic() - begin:.0f} s")
        time.sleep(2 * SETTLE_S)
        after = memory(worker)
        self.agent.stop()
        self.agent.start()
        while known().get("kubernetes_pods", 0) < 500:
            time.sleep(0.2)
        time.sleep(2 * SETTLE_S)
        again = memory(self.agent.role("worker"))
        for what, now in (("after", after), ("after a restart", again)):
            print(f"worker, kB RSS/PSS/private dirty: {before} without a pod, {now} {what}; "
                  f"RSS +{(now[0] - before[0]) / 1000:.1f} MB, PSS +{(now[1] - before[1]) / 1000:.1f} MB")
        size = os.path.getsize(log)
        time.sleep(minutes * 60)
        with open(log) as file:
            file.seek(size)
            asked = collections.Counter((one["verb"], one["objectRef"].get("resource"), one["responseStatus"]["code"])
                                        for one in map(json.loads, file))
        tracking = known()
        print(f"{minutes} minutes of nothing new: asked {dict(asked)}; lists {asked_of('list', asked)}; "
              + str({name: value for name, value in tracking.items() if name.startswith("kubernetes_") and value}))


def asked_of(verb, asked):
    return sum(count for (one, *_), count in asked.items() if one == verb)


if __name__ == "__main__":
    run(Bench(), __doc__, {"names": (int, 10_000), "pods": (int, 10)})
