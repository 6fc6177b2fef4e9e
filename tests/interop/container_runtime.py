# SPDX-License-Identifier: Apache-2.0
"""The real containerd with runc, all of its state in a folder of ours: containers as a kubelet has them made, with the
annotations of containerd's own CRI plugin, through `ctr` (the plugin itself needs no image here)."""
import glob
import os
import shutil
import signal
import subprocess
import time

import go_build
from stage.world import PATH, cgroup_roots, die_with_runner, end

PROGRAMS = ["/usr/bin/containerd", "/usr/bin/ctr", "/usr/sbin/runc", "/bin/busybox"]
HERE = os.path.dirname(os.path.abspath(__file__))
_PARTS = ("containerd", "containerd-shim-runc-v2", "ctr")
_CONFIG = """version = 2
root = "{0}/root"
state = "{0}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
  address = "{0}/c.sock"
[ttrpc]
  address = "{0}/c.sock.ttrpc"
"""


def config(folder):
    """containerd's configuration with all of its state in this folder."""
    return _CONFIG.format(folder)


def programs_path(generation, build, folder):
    """PATH of a generation's programs: Debian's, or in `folder` those of containerd2/, which are built with
    KEYTRAIL_FULL only; what was built before is used. Raises go_build.Missing."""
    if generation == 1:
        return PATH
    sources = HERE + "/containerd2"
    if not os.environ.get("KEYTRAIL_FULL") and not all(go_build.place_of(sources, build, name)[1] for name in _PARTS):
        raise go_build.Missing("containerd 2 was not built here before; tests/run.sh --full does that, or "
                               "KEYTRAIL_FULL=1 tests/system/run.py --cases tests/interop/cases --only containerd")
    os.makedirs(folder, exist_ok=True)
    for name in _PARTS:
        place = go_build.built(sources, build, name, "github.com/containerd/containerd/v2/cmd/" + name)
        if not os.path.lexists(f"{folder}/{name}"):
            os.symlink(os.path.abspath(place), f"{folder}/{name}")
    return f"{folder}:{PATH}"


def shims_of(socket):
    """pids of the shims that work for the containerd at this socket: they stay when it ends."""
    out = []
    for place in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(place, "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"containerd-shim-runc-v2") and socket.encode() in words:
            out.append(int(place.split("/")[2]))
    return out


class Containerd:
    def __init__(self, folder, path=PATH):
        self.folder, self.state, self.socket, self.path = folder, folder + "/state", folder + "/c.sock", path
        self.containers, self.groups = [], []
        os.makedirs(folder)
        with open(folder + "/config.toml", "w") as file:
            file.write(config(folder))
        log = open(folder + "/log", "wb")
        self.process = subprocess.Popen([shutil.which("containerd", path=path), "-c", folder + "/config.toml"],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": path},
                                        start_new_session=True, preexec_fn=die_with_runner)
        log.close()
        limit = time.monotonic() + 15
        while self._ctr("task", "ls", check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > limit:
                with open(folder + "/log", errors="replace") as file:
                    raise RuntimeError("containerd does not start:\n" + file.read()[-2000:])
            time.sleep(0.1)

    def _ctr(self, *words, check=True):
        done = subprocess.run([shutil.which("ctr", path=self.path), "-a", self.socket, "-n", "k8s.io", *words],
                              env={"PATH": self.path}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        if check and done.returncode:
            raise RuntimeError(f"ctr {' '.join(words[:2])}: {done.stderr[-1000:]}")
        return done

    def run(self, name, root, cgroup, annotations, *argv):
        """Starts a container in this cgroup; its first process's pid."""
        words = [f"--annotation={key}={value}" for key, value in annotations.items()]
        self.containers.append(name)
        self.groups.append(cgroup)
        self._ctr("run", "-d", "--rootfs", "--cgroup", cgroup, *words, root, name, *argv)
        listed = self._ctr("task", "ls").stdout.splitlines()
        return next(int(line.split()[1]) for line in listed if line.startswith(name + " "))

    def remove(self, name):
        """Ends a container and forgets it: its name is free."""
        self._ctr("task", "rm", "-f", name)
        self._ctr("container", "rm", name)

    def close(self):
        """Ends the containers and the runtime; leaves no process, no mount and no cgroup."""
        for name in self.containers:
            self._ctr("task", "kill", "-s", "KILL", name, check=False)
        limit = time.monotonic() + 10
        while "RUNNING" in self._ctr("task", "ls", check=False).stdout and time.monotonic() < limit:
            time.sleep(0.1)
        for name in self.containers:
            self._ctr("task", "rm", "-f", name, check=False)
            self._ctr("container", "rm", name, check=False)
        end(self.process, 10)
        for pid in shims_of(self.socket):
            os.kill(pid, signal.SIGKILL)
        for place in glob.glob(self.state + "/io.containerd.runtime.v2.task/*/*/rootfs"):
            subprocess.run(["umount", place], stderr=subprocess.DEVNULL, check=False)
        for base in [*cgroup_roots(), "/sys/fs/cgroup/cpuset"]:
            for group in self.groups:
                remove_empty(base, group)
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_empty(base, group):
    """A cgroup and those above it that nobody is in."""
    while len(group) > 1:
        try:
            os.rmdir(base + group)
        except OSError:
            pass  # not there, or somebody else's
        group = os.path.dirname(group)


def rootfs(folder, *programs):
    """A root with busybox under these names."""
    os.makedirs(folder + "/bin")
    os.makedirs(folder + "/root/.aws")
    for name in ("proc", "dev", "sys", "run", "tmp", "etc"):
        os.makedirs(f"{folder}/{name}")
    shutil.copy(PROGRAMS[3], folder + "/bin/busybox")
    for name in programs:
        os.symlink("busybox", f"{folder}/bin/{name}")
    return folder


def make_cgroups(group):
    """The directories of this cgroup in every hierarchy."""
    made = [base + group for base in cgroup_roots()]
    for place in made:
        os.makedirs(place, exist_ok=True)
    return made
