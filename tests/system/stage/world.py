# SPDX-License-Identifier: Apache-2.0
"""The run's world: a temporary folder, the fake cloud in its network namespace, and a cgroup per case. Everything ends
with `close`."""
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from stage import keys

_LIBC = ctypes.CDLL(None)
HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"  # Debian's, the only one with Debian's packages
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def cgroup_roots():
    """Every mounted cgroup hierarchy a process can be placed in (v2, v1 or both). cpuset wants settings first, so it is
    left out."""
    roots = []
    with open("/proc/mounts") as file:
        for line in file:
            _, where, kind, options = line.split()[:4]
            if kind == "cgroup2" or (kind == "cgroup" and "cpuset" not in options.split(",")):
                roots.append(where)
    return roots


def die_with_runner():
    """For a child, before it executes: the kernel asks it to end when the runner is gone, whatever ended that
    (PR_SET_PDEATHSIG)."""
    _LIBC.prctl(1, signal.SIGTERM, 0, 0, 0)


def end(process, seconds=5):
    """Ends a child by its pid: asks, then kills."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class World:
    cloud = HERE + "/cloud.py"

    def __init__(self, maker):
        """`maker` draws what the token services hand out (keys.Maker)."""
        self.dir = tempfile.mkdtemp(prefix="keytrail-system-")
        self.name = os.path.basename(self.dir)
        self.groups = []
        self._cloud = None
        try:
            self._start(maker)
        except BaseException:
            self.close()
            raise

    def _start(self, maker):
        folder = self.dir + "/cloud"
        os.makedirs(folder, mode=0o700)
        self.role = "stage-role"
        self.issued = {"role": self.role, "sts": maker.aws(session=True), "imds": maker.aws(session=True),
                       "imds_token": maker.text(56),
                       "tokens": {"gcp": "ya29." + maker.text(120), "registry": maker.text(64)}}
        with open(os.open(folder + "/issued.json", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            json.dump(self.issued, file, default=vars)
        self.truth_path = folder + "/truth.jsonl"
        self._log = open(folder + "/log", "w")
        self._cloud = subprocess.Popen(["unshare", "--net", PYTHON, "-I", self.cloud, folder], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=self._log, text=True, env={"PATH": PATH})
        if self._cloud.stdout.readline().strip() != "ready":
            raise RuntimeError("the fake cloud does not start:\n" + open(folder + "/log").read())
        self.netns = f"/proc/{self._cloud.pid}/ns/net"
        self.bundle = folder + "/ca/bundle"
        self._write("resolv.conf", "nameserver 198.18.255.53\noptions timeout:2 attempts:1\n")
        self._write("hosts", "127.0.0.1 localhost\n")
        self._write("nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n")

    def _write(self, name, text):
        with open(f"{self.dir}/{name}", "w") as file:
            file.write(text)

    def command(self, text):
        """A command to the cloud ("share NAME OTHER", "address NAME") and its answer."""
        self._cloud.stdin.write(text + "\n")
        self._cloud.stdin.flush()
        return self._cloud.stdout.readline().strip()

    def client(self, name):
        """A client certificate of the stage's authority."""
        return keys.Certificate(self.command("client " + name))

    def binds(self):
        """Files that a case sees instead of the machine's own."""
        out = {"/etc/resolv.conf": self.dir + "/resolv.conf", "/etc/hosts": self.dir + "/hosts",
               "/etc/nsswitch.conf": self.dir + "/nsswitch.conf"}
        for bundle in ("/etc/ssl/certs/ca-certificates.crt", "/usr/lib/ssl/cert.pem"):
            if os.path.exists(bundle):
                out[bundle] = self.bundle
        return out

    def group(self, case):
        """A cgroup for the case in every hierarchy; the list of its folders."""
        return self.group_at(f"{self.name}/{case}")

    def group_at(self, path):
        """The same at any path; folders above it that are not there yet are made, too, and end with the world."""
        folders, above = [], []
        for root in cgroup_roots():
            folder = f"{root}/{path}"
            parents = []
            parent = os.path.dirname(folder)
            while parent != root and not os.path.exists(parent):
                parents.append(parent)
                parent = os.path.dirname(parent)
            try:
                os.makedirs(folder, exist_ok=True)
                folders.append(folder)
                above += parents
            except OSError:
                continue
        self.groups = folders + above + self.groups  # those within are removed first: what came later lies deeper
        return folders

    def truth(self, since_ns=0):
        """What the cloud saw, oldest first."""
        if not os.path.exists(self.truth_path):
            return []
        with open(self.truth_path) as file:
            rows = [json.loads(line) for line in file if line.endswith("\n")]
        return [row for row in rows if row["time_ns"] >= since_ns]

    @staticmethod
    def members(folder):
        try:
            with open(folder + "/cgroup.procs") as file:
                return [int(word) for word in file.read().split()]
        except OSError:
            return []

    def clear(self, folders):
        """Kills what is left in a case's cgroups, by pid, and removes them. Returns the pids that were left."""
        left = sorted({pid for folder in folders for pid in self.members(folder)})
        for _ in range(50):
            pids = {pid for folder in folders for pid in self.members(folder)}
            if not pids:
                break
            for pid in pids:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        for folder in folders:
            for _ in range(50):
                try:
                    os.rmdir(folder)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)
        self.groups = [folder for folder in self.groups if folder not in folders]
        return left

    def close(self):
        self.clear(list(self.groups))
        for root in cgroup_roots():
            try:
                os.rmdir(f"{root}/{self.name}")
            except OSError:
                pass
        if self._cloud:
            self._cloud.stdin.close()
            end(self._cloud)
            self._cloud.stdout.close()
            self._log.close()
        if "--keep" not in sys.argv:
            shutil.rmtree(self.dir, ignore_errors=True)
