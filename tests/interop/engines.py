# SPDX-License-Identifier: Apache-2.0
"""The real dockerd with containerd and runc, and the real Podman with conmon and runc: all of their state in a folder
of ours, all of their mounts in a mount namespace of their own; containers through the real commands. What these run is
this machine's own /usr."""
import os
import shutil
import signal
import subprocess
import time

import container_runtime
from stage.world import PATH, cgroup_roots, die_with_runner, end

DOCKER, DAEMON = "/usr/bin/docker", "/usr/sbin/dockerd"
DOCKERS = [DAEMON, DOCKER, *container_runtime.PROGRAMS]
PODMAN = "/usr/bin/podman"
PODMANS = [PODMAN, "/usr/bin/conmon", "/usr/sbin/runc"]
IMAGE = "registry.test/shop/web:1"
MAPPED_USER = 300000  # root of `mapped` containers


def image_tar(folder):
    """The files of an image: links into /usr."""
    tree = folder + "/tree"
    for name in ("usr", "etc", "root", "proc", "dev", "sys", "tmp", "run"):
        os.makedirs(f"{tree}/{name}")
    for name in ("bin", "lib", "lib64", "sbin"):
        os.symlink("usr/" + name, f"{tree}/{name}")
    subprocess.run(["tar", "-C", tree, "-cf", folder + "/tree.tar", "."], check=True)
    return folder + "/tree.tar"


def volumes(home, binds):
    """Options that give a container its /root and /usr. `binds`: {path inside: path here}."""
    return [f"--volume={home}:/root", "--volume=/usr:/usr:ro",
            *(f"--volume={here}:{inside}:ro" for inside, here in (binds or {}).items())]


def as_user(folder, uid):
    """Shell words that give a mount namespace a user of this number, `kt`, with 65,536 numbers of his own."""
    for name, text in (("subid", f"kt:{uid + 100000}:65536\n"), ("passwd", f"kt:x:{uid}:{uid}::{folder}:/bin/sh\n"),
                       ("group", f"kt:x:{uid}:\n")):
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)
    return (f"cat /etc/passwd >>{folder}/passwd; cat /etc/group >>{folder}/group; touch /etc/subuid /etc/subgid; "
            f"mount --bind {folder}/passwd /etc/passwd; mount --bind {folder}/group /etc/group; "
            f"mount --bind {folder}/subid /etc/subuid; mount --bind {folder}/subid /etc/subgid; ")


class Docker:
    """`netns`: the network that `--network=host` means. `mapped`: containers have users of their own (userns-remap)."""

    def __init__(self, folder, netns, mapped=False):
        self.folder, self.netns, self.mapped, self.daemon = folder, netns, mapped, None
        self.state, self.root, self.socket = folder + "/state", folder + "/docker", folder + "/d.sock"
        self.groups = ["docker"]
        os.makedirs(folder)
        with open(folder + "/config.toml", "w") as file:
            file.write(container_runtime.config(folder))
        script = "mkdir -p /run/containerd && mount -t tmpfs none /run/containerd; "  # where shims have their sockets
        if mapped:
            script += as_user(folder, MAPPED_USER - 100000)
        self._log = open(folder + "/log", "ab")
        self.containerd = self._popen(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script +
                                       f"exec {container_runtime.PROGRAMS[0]} -c {folder}/config.toml"])
        try:
            self._until(lambda: os.path.exists(folder + "/c.sock"))
            self.start()
            self._import()
        except BaseException:
            self.close()
            raise

    def _popen(self, argv):
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                                env={"PATH": PATH}, start_new_session=True, preexec_fn=die_with_runner)

    def _until(self, holds, seconds=30):
        limit = time.monotonic() + seconds
        while not holds():
            if self.containerd.poll() is not None or time.monotonic() > limit:
                with open(self.folder + "/log", errors="replace") as file:
                    raise RuntimeError("dockerd does not start:\n" + file.read()[-3000:])
            time.sleep(0.1)

    def start(self):
        """dockerd; what ran goes on when it is killed, and when it comes again (live-restore)."""
        more = ["--userns-remap=kt"] if self.mapped else []
        self.daemon = self._popen(["nsenter", f"--mount=/proc/{self.containerd.pid}/ns/mnt", f"--net={self.netns}",
                                   DAEMON, "--data-root", self.root, "--exec-root", self.folder + "/exec", "-H",
                                   "unix://" + self.socket, "--pidfile", self.folder + "/d.pid", "--bridge=none",
                                   "--iptables=false", "--ip6tables=false", "--live-restore", "--containerd",
                                   self.folder + "/c.sock", *more])
        self._until(lambda: self("version", check=False).returncode == 0)

    def kill_daemon(self):
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        os.unlink(self.folder + "/d.pid")

    def __call__(self, *words, check=True):
        done = subprocess.run([DOCKER, "-H", "unix://" + self.socket, *words], env={"PATH": PATH, "HOME": self.folder},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode:
            raise RuntimeError(f"docker {' '.join(words[:3])}: {done.stderr[-1000:]}")
        return done

    def _import(self):
        """An image with a label that it brings along."""
        self("import", "--change", "LABEL com.docker.compose.project=of-the-image", image_tar(self.folder), IMAGE)
        self.image_id = self("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout.strip()

    def run(self, home, *argv, options=(), binds=None):
        """Starts a container; its id."""
        network = [] if self.mapped else ["--network=host"]  # Docker shares none with users of another namespace
        return self("run", "--detach", *network, *volumes(home, binds), *options, IMAGE, *argv).stdout.strip()

    def remove(self, *containers):
        """Kills and removes them, as far as they are there."""
        self("rm", "--force", *containers, check=False)

    def options(self):
        """Of the agent: where the state is."""
        return ["--containerd-state", self.state, "--docker-root", self.root]

    def close(self):
        """Ends the containers and the runtime; leaves no process, no mount and no cgroup."""
        if self.daemon is not None and self.daemon.poll() is None:
            names = self("ps", "--all", "--quiet", check=False).stdout.split()
            if names:
                self.remove(*names)
            end(self.daemon, 15)
        shims = container_runtime.shims_of(self.folder + "/c.sock")
        end(self.containerd, 10)
        for pid in shims:
            os.kill(pid, signal.SIGKILL)
        self._log.close()
        for base in [*cgroup_roots(), "/sys/fs/cgroup/cpuset"]:
            for group in self.groups:
                container_runtime.remove_empty(base, "/" + group)
        shutil.rmtree(self.folder, ignore_errors=True)


class Podman:
    """Of root, or of a user with this number: then without cgroups, as Podman does where there is cgroup v1."""

    def __init__(self, folder, netns, user=0):
        self.folder, self.netns, self.user = folder, netns, user
        self.root, self.groups = folder + "/storage", ["libpod_parent/conmon"]
        for name in ("", "/storage", "/run", "/tmp", "/home"):
            os.makedirs(folder + name)
            os.chown(folder + name, user, user)
        script = as_user(folder, user) if user else ""
        self._holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script +
                                         "echo ready; exec sleep 1000000"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, env={"PATH": PATH}, start_new_session=True,
                                        preexec_fn=die_with_runner)
        try:
            self._holder.stdout.readline()
            self("import", image_tar(folder), IMAGE)
        except BaseException:
            self.close()
            raise

    def __call__(self, *words, check=True):
        as_who = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"] if self.user else []
        own = [] if self.user else ["--runroot", self.folder + "/run", "--tmpdir", self.folder + "/tmp"]
        done = subprocess.run(["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", f"--net={self.netns}", *as_who,
                               PODMAN, "--root", self.root, *own, "--runtime=runc", "--cgroup-manager=cgroupfs",
                               "--events-backend=file", *words], stdin=subprocess.DEVNULL, capture_output=True,
                              env={"PATH": PATH, "HOME": self.folder + "/home",
                                   "XDG_RUNTIME_DIR": self.folder + "/run"},
                              text=True, timeout=60, check=False, cwd="/")
        if check and done.returncode:
            raise RuntimeError(f"podman {' '.join(words[:3])}: {done.stderr[-1000:]}")
        return done

    def run(self, home, *argv, options=(), binds=None):
        """Starts a container; its id."""
        # without CAP_SYS_RESOURCE no limit can be raised
        return self("run", "--detach", "--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024",
                    *volumes(home, binds), *options, IMAGE, *argv).stdout.strip()

    def remove(self, *containers):
        """Kills and removes them, as far as they are there: a shell as process 1 heeds no SIGTERM."""
        self("rm", "--force", "--time=0", *containers, check=False)

    def options(self):
        """Of the agent: where the state is."""
        return ["--storage-root", self.root]

    def close(self):
        """Ends the containers; leaves no process, no mount and no cgroup."""
        self("pod", "rm", "--all", "--force", "--time=0", check=False)
        self("rm", "--all", "--force", "--time=0", check=False)
        if self.user:  # the process that keeps his namespaces
            try:
                with open(self.folder + "/run/libpod/tmp/pause.pid") as file:
                    os.kill(int(file.read()), signal.SIGKILL)
            except (OSError, ValueError):
                pass
        end(self._holder)
        self._holder.stdout.close()
        for base in [*cgroup_roots(), "/sys/fs/cgroup/cpuset"]:
            for group in self.groups:
                container_runtime.remove_empty(base, "/" + group)
        shutil.rmtree(self.folder, ignore_errors=True)
