# SPDX-License-Identifier: Apache-2.0
"""A node for the cases: the real containerd with runc, its state below a folder, its mounts in a mount namespace of
its own, asked over the Container Runtime Interface as a kubelet asks. Pods are made from manifests."""
import json
import os
import shutil
import subprocess
import sys
import time

from container_runtime import shims_of
from stage.world import PATH, die_with_runner, end

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../packaging/image"))
import image  # noqa: E402

BUSYBOX = "/bin/busybox"
PAUSE, BOX = "localhost/pause:test", "localhost/busybox:test"
# What a kubelet asks to hide from a container that is not privileged.
MASKED = ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


class Missing(Exception):
    """No node can be had here; the text says why."""


def needed():
    """Raises Missing when this machine lacks a part."""
    for program, package in (("containerd", "containerd"), ("runc", "runc"), ("busybox", "busybox-static"),
                             ("protoc", "protobuf-compiler")):
        if shutil.which(program, path=PATH) is None:
            raise Missing(f"no {program} on this machine (Debian's package {package})")
    try:
        import grpc  # noqa: F401
        import google.protobuf  # noqa: F401
    except ImportError as why:
        raise Missing(f"{why} (Debian's packages python3-grpcio and python3-protobuf)") from why


def own_image(tag, files, entrypoint=()):
    """The tar of an image of a few files {path: bytes or link}."""
    tree = image.Tree()
    for path, content in files.items():
        if isinstance(content, str):
            tree.link(path, content)
        else:
            tree.add(path, content, 0o755)
    for folder in ("tmp", "root", "etc"):
        tree.folder(folder)
    return image.layout([(tree, "by hand")], tag, {"Entrypoint": list(entrypoint), "Env": ["PATH=/bin"]}, 0)[0]


_SETTINGS = {1: """version = 2
disabled_plugins = ["io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # the machine may lack CAP_SYS_RESOURCE
  restrict_oom_score_adj = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{folder}/cni"
    conf_dir = "{folder}/cni"
""", 2: """version = 3
disabled_plugins = ["io.containerd.internal.v1.opt"]
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{folder}/cni"]
    conf_dir = "{folder}/cni"
"""}


class Node:
    """One containerd of a generation; `path` has its programs. `close` ends it with all its pods and shims and leaves
    no mount."""

    def __init__(self, folder, generation=1, path=PATH):
        needed()
        self.folder, self.socket, self.process, self.path = folder, folder + "/c.sock", None, path
        self.state, self._holder = folder + "/state", None
        self._pods, self._parents = {}, set()
        os.makedirs(folder)
        subprocess.run(["protoc", f"--proto_path={HERE}", f"--python_out={folder}", "cri.proto"], check=True)
        sys.path.insert(0, folder)
        import cri_pb2
        sys.path.remove(folder)
        self.p = cri_pb2
        with open(folder + "/config.toml", "w") as file:
            file.write(_SETTINGS[generation].format(pause=PAUSE, folder=folder).replace("\n", f"""
root = "{folder}/root"
state = "{self.state}"
""", 1) + f"""[grpc]
  address = "{self.socket}"
[ttrpc]
  address = "{self.socket}.ttrpc"
""")

    def start(self):
        """tracefs is mounted for this containerd alone, as systemd does it for a real node."""
        self._begin(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
                     "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; "
                     "mkdir -p /run/containerd && mount -t tmpfs none /run/containerd; "  # the shims' sockets
                     f"exec containerd -c {self.folder}/config.toml"])
        self._holder = subprocess.Popen(["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "sleep", "1000000"],
                                        stdin=subprocess.DEVNULL, preexec_fn=die_with_runner)
        busybox = image.read(shutil.which("busybox", path=PATH))
        tools = ("sh", "cat", "sleep", "id", "ls", "stat", "touch", "true", "grep", "nsenter")
        self.load(own_image(PAUSE, {"pause": busybox, "bin/sleep": "/pause"}, ["/bin/sleep", "1000000"]))
        self.load(own_image(BOX, {"bin/busybox": busybox, **{f"bin/{name}": "busybox" for name in tools}}))
        return self

    def _begin(self, command):
        import grpc
        with open(self.folder + "/log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={"PATH": self.path}, start_new_session=True,
                                            preexec_fn=die_with_runner)
        self._channel = grpc.insecure_channel("unix:" + self.socket)
        limit = time.monotonic() + 20
        while True:
            try:
                self.call("Version")
                break
            except grpc.RpcError:
                if time.monotonic() > limit or self.process.poll() is not None:
                    raise RuntimeError("containerd does not start:\n" + self.log()[-3000:]) from None
                time.sleep(0.1)

    def kill_runtime(self):
        """What runs goes on without it."""
        self._channel.close()
        self.process.kill()
        self.process.wait()

    def start_runtime(self):
        self._begin(["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "containerd", "-c",
                     self.folder + "/config.toml"])

    def log(self):
        with open(self.folder + "/log", errors="replace") as file:
            return file.read()

    def load(self, tar):
        """Imports an image, a tar's bytes or its path."""
        if isinstance(tar, bytes):
            with open(self.folder + "/image.tar", "wb") as file:
                file.write(tar)
            tar = self.folder + "/image.tar"
        self.ctr("images", "import", tar)

    def ctr(self, *words):
        done = subprocess.run([shutil.which("ctr", path=self.path), "-a", self.socket, "-n", "k8s.io", *words],
                              capture_output=True, text=True, env={"PATH": self.path}, timeout=120,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise RuntimeError(f"ctr {' '.join(words)}: {done.stderr[-1000:]}")
        return done.stdout

    def call(self, name, patience=60, **fields):
        """One call of the runtime service; the answer as its message."""
        request = getattr(self.p, name + "Request")(**fields)
        answer = getattr(self.p, name + "Response", self.p.Empty)
        return self._channel.unary_unary(f"/runtime.v1.RuntimeService/{name}",
                                         request_serializer=lambda message: message.SerializeToString(),
                                         response_deserializer=answer.FromString)(request, timeout=patience)

    # ---- pods

    def pod(self, name, namespace, uid, host_pid=False, annotations=None, privileged=False):
        """A pod's sandbox on the node's network; in `kubepods`, as a kubelet with the cgroupfs driver makes it."""
        namespaces = {"network": "NODE", "pid": "NODE" if host_pid else "CONTAINER", "ipc": "POD"}
        config = {"metadata": {"name": name, "uid": uid, "namespace": namespace},
                  "log_directory": self.folder + "/pods", "labels": {
                      "io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": namespace,
                      "io.kubernetes.pod.uid": uid}, "annotations": annotations or {},
                  "linux": {"cgroup_parent": f"/kubepods/besteffort/pod{uid}",
                            "security_context": {"namespace_options": namespaces, "privileged": privileged}}}
        self._parents.add(f"kubepods/besteffort/pod{uid}")
        sandbox = self.call("RunPodSandbox", config=config).pod_sandbox_id
        self._pods[sandbox] = config
        return sandbox

    def container(self, sandbox, name, container, mounts=(), attempt=0, beside=None):
        """Starts a container of a manifest (image, command, args, env, securityContext; `mounts` are CRI's). `beside`:
        an ephemeral one, with the processes of that container. Returns its id."""
        pod, context = self._pods[sandbox], container.get("securityContext", {})
        capabilities = context.get("capabilities", {})
        namespaces = pod["linux"]["security_context"]["namespace_options"]
        if beside:
            namespaces = {**namespaces, "pid": "TARGET", "target_id": beside}
        security = {"namespace_options": namespaces,
                    "capabilities": {"add_capabilities": capabilities.get("add", []),
                                     "drop_capabilities": capabilities.get("drop", [])},
                    "privileged": context.get("privileged", False),
                    "readonly_rootfs": context.get("readOnlyRootFilesystem", False),
                    "no_new_privs": not context.get("allowPrivilegeEscalation", True),
                    "run_as_user": {"value": context.get("runAsUser", 0)}, "masked_paths": MASKED,
                    "readonly_paths": READ_ONLY,
                    "seccomp": {"profile_type": context.get("seccompProfile", {}).get("type", "Unconfined")}}
        config = {"metadata": {"name": name, "attempt": attempt}, "image": {"image": container["image"]},
                  "command": container.get("command", []), "args": container.get("args", []),
                  "envs": [{"key": one["name"], "value": one["value"]} for one in container.get("env", [])],
                  "mounts": list(mounts), "log_path": f"{name}-{attempt}.log",
                  "labels": {**pod["labels"], "io.kubernetes.container.name": name},
                  "linux": {"security_context": security}}
        made = self.call("CreateContainer", pod_sandbox_id=sandbox, config=config, sandbox_config=pod).container_id
        self.call("StartContainer", container_id=made)
        return made

    def output(self, name, attempt=0):
        """What a container printed."""
        try:
            with open(f"{self.folder}/pods/{name}-{attempt}.log", errors="replace") as file:
                return "".join(line.split(" ", 3)[-1] for line in file)
        except FileNotFoundError:
            return ""

    def status(self, container):
        """("CONTAINER_RUNNING", exit code, pid)"""
        answer = self.call("ContainerStatus", container_id=container, verbose=True)
        return (self.p.ContainerState.Name(answer.status.state), answer.status.exit_code,
                json.loads(answer.info["info"])["pid"])

    def exec(self, container, *command):
        """(exit status, standard output, standard error) of a command inside, as a probe or `kubectl exec` runs it."""
        done = self.call("ExecSync", container_id=container, cmd=command, timeout=20)
        return done.exit_code, done.stdout.decode(), done.stderr.decode()

    def stop(self, container, seconds=30):
        """SIGTERM, after `seconds` SIGKILL; returns the exit status."""
        self.call("StopContainer", container_id=container, timeout=seconds)
        return self.status(container)[1]

    def remove_container(self, container):
        self.call("RemoveContainer", container_id=container)

    def remove_pod(self, sandbox):
        self.call("StopPodSandbox", pod_sandbox_id=sandbox)
        self.call("RemovePodSandbox", pod_sandbox_id=sandbox)
        self._pods.pop(sandbox, None)

    def close(self):
        if self.process is None:
            return
        for sandbox in list(self._pods):
            try:
                self.remove_pod(sandbox)
            except Exception as why:  # pylint: disable=broad-except  # the shims are ended below all the same
                print(f"node: pod {sandbox[:12]} was not removed in order: {why}", file=sys.stderr)
        self._channel.close()
        shims = shims_of(self.socket)
        end(self.process, 10)
        if self._holder is not None:
            end(self._holder)
        for pid in shims:  # each takes its container with it
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.process = None
        self._remove_groups()

    def _remove_groups(self):
        """What a kubelet removes of its pods' cgroups."""
        with open("/proc/mounts") as file:
            roots = [line.split()[1] for line in file if line.split()[2] in ("cgroup", "cgroup2")]
        for root in roots:
            for group in [*self._parents, "kubepods/besteffort", "kubepods"]:
                try:
                    os.rmdir(f"{root}/{group}")
                except OSError:
                    pass  # not there, or somebody else's pods are in it
