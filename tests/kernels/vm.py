# SPDX-License-Identifier: Apache-2.0
"""A Debian kernel in QEMU whose root is this machine's own file system, read-only through virtiofs: the same binaries
run in it. With `layers` these lie over it, and all of it can be written to (in memory).

Without KVM by default: slow, but it boots anywhere and gives the same kernel everywhere. Nothing is left: no mount, no
disk, no network; all ends with QEMU.
"""
import gzip
import hashlib
import io
import lzma
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
META_PACKAGES = {"6.12": "linux-image-6.12-cloud-amd64", "6.1": "linux-image-cloud-amd64"}
# What an initial root needs to reach virtiofs, in loading order; what a kernel has built in is not found and left out.
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "fuse", "virtiofs",
           "overlay")


class Unavailable(Exception):
    """The VM cannot be had here; the text is the reason for a skip."""


def need_programs():
    for program, package in (("qemu-system-x86_64", "qemu-system-x86"), (VIRTIOFSD, "qemu-system-common"),
                             ("/bin/busybox", "busybox-static"), ("dpkg-deb", "dpkg")):
        if not shutil.which(program):
            raise Unavailable(f"{program} is missing. Try: sudo apt-get install {package}")
    if os.uname().machine != "x86_64":
        raise Unavailable(f"the kernels are for x86-64 and this machine is {os.uname().machine}")


def fetch_kernel(version, folder):
    """The unpacked package of Debian's newest kernel of that line, in `folder`; downloaded once."""
    try:
        text = subprocess.run(["apt-cache", "depends", META_PACKAGES[version]], capture_output=True, text=True,
                              check=True).stdout
        package = re.search(r"Depends: (linux-image-\S+)", text).group(1)
    except (subprocess.CalledProcessError, AttributeError):
        raise Unavailable(f"apt does not know {META_PACKAGES[version]}. Try: sudo apt-get update") from None
    target = os.path.join(folder, package)
    if not os.path.isdir(target):
        with tempfile.TemporaryDirectory(dir=folder) as work:
            _download([package], work)
            subprocess.run(["dpkg-deb", "-x", os.path.join(work, os.listdir(work)[0]), work + "/x"], check=True)
            os.rename(work + "/x", target)
    return target


def fetch_packages(names, folder):
    """A folder with the files of these packages and of what they need, as far as this machine does not have them
    installed in Debian's newest version; downloaded once. Their scripts do not run."""
    planned = subprocess.run(["apt-get", "-s", "--no-install-recommends", "install", *names], capture_output=True,
                             text=True)
    if planned.returncode != 0:
        raise Unavailable(f"apt cannot plan {' '.join(names)}: "
                          + (planned.stderr.strip().splitlines() or ["no answer"])[-1])
    wanted = sorted(f"{name}={version}" for name, version in re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)",
                                                                        planned.stdout, re.M))
    target = os.path.join(folder, "packages-" + hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:16])
    if os.path.isdir(target):
        return target
    with tempfile.TemporaryDirectory(dir=folder) as work:
        os.mkdir(work + "/root")
        if wanted:
            _download(wanted, work)
        for name in os.listdir(work):
            if name.endswith(".deb"):
                subprocess.run(["dpkg-deb", "-x", os.path.join(work, name), work + "/root"], check=True)
        for name in ("bin", "sbin", "lib", "lib64"):  # links of the machine, which a folder would hide
            if os.path.isdir(f"{work}/root/{name}"):
                shutil.copytree(f"{work}/root/{name}", f"{work}/root/usr/{name}", symlinks=True, dirs_exist_ok=True)
                shutil.rmtree(f"{work}/root/{name}")
        os.chmod(work + "/root", 0o755)
        os.rename(work + "/root", target)
    return target


def _download(packages, folder):
    got = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages], cwd=folder,
                         capture_output=True, text=True, timeout=300)
    if got.returncode != 0 or not any(name.endswith(".deb") for name in os.listdir(folder)):
        raise Unavailable(f"{', '.join(packages)} cannot be downloaded: "
                          + (got.stderr.strip().splitlines() or ["no answer"])[-1])


def _find(folder, pattern):
    for where, _, names in os.walk(folder):
        for name in names:
            if re.fullmatch(pattern, name):
                return os.path.join(where, name)
    return None


def _archive(files):
    """A cpio archive ("newc") of (name, mode, content)."""
    out = io.BytesIO()
    for number, (name, mode, content) in enumerate([*files, ("TRAILER!!!", 0, b"")], 1):
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + encoded)
        out.write(b"\0" * (-out.tell() % 4) + content)
        out.write(b"\0" * (-out.tell() % 4))
    return gzip.compress(out.getvalue(), 1)


def initial_root(kernel):
    """busybox, the modules on the way to the real root, and guest_init.sh as /init."""
    with open("/bin/busybox", "rb") as file:
        busybox = file.read()
    with open(HERE + "/guest_init.sh", "rb") as file:
        files = [("bin", 0o40755, b""), ("modules", 0o40755, b""), ("init", 0o100755, file.read()),
                 ("bin/busybox", 0o100755, busybox)]
    order = []
    for name in MODULES:
        path = _find(kernel + "/lib/modules", name.replace("_", "[-_]") + r"\.ko(\.xz)?")
        if path:
            with (lzma.open if path.endswith(".xz") else open)(path, "rb") as file:
                files.append((f"modules/{name}.ko", 0o100644, file.read()))
            order.append(name)
    return _archive([*files, ("modules/order", 0o100644, ("\n".join(order) + "\n").encode())])


class Machine:
    """One run: `lines()` gives what the guest's job says until it powers off or the time is over."""

    def __init__(self, kernel, work, job, show, accel="tcg,thread=multi", icount=False, memory="3G", layers=(),
                 boot=""):
        """`job`: argv, run as root inside. `show`: folders that must be visible inside also where /tmp and the like are
        replaced. `layers`: folders whose files lie over the root's, the last one's on top. `boot`: more words for the
        kernel; with init=PROGRAM that is the first process, and `job` is not run.
        `icount`: the guest's clock counts its instructions, a nanosecond each; one CPU."""
        self.work, self.console_path = work, work + "/console.log"
        with open(work + "/initial-root", "wb") as file:
            file.write(initial_root(kernel))
        with open(work + "/job.sh", "w") as file:
            file.write("exec " + " ".join("'" + word.replace("'", "'\\''") + "'" for word in job) + "\n")
        self._said, guest_end = socket.socketpair()
        self._files = subprocess.Popen([VIRTIOFSD, "--socket-path=" + work + "/files.sock", "-o", "source=/", "-o",
                                        "cache=always", "-o", "sandbox=chroot", "-f"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=open(work + "/virtiofsd.log", "wb"), start_new_session=True)
        self._qemu = None
        try:
            self._wait_for(work + "/files.sock")
            words = ("console=ttyS0 panic=-1 quiet mitigations=off "
                     f"keytrail.show={':'.join([*show, work])} keytrail.job={work}/job.sh "
                     f"keytrail.layers={':'.join(layers)} {boot}")
            self._qemu = subprocess.Popen(
                ["qemu-system-x86_64", *(["-accel", "tcg", "-icount", "shift=0,sleep=off"] if icount
                                         else ["-accel", accel]), "-cpu", "max", "-smp", "1" if icount else "2", "-m",
                 memory, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none",
                 "-object", f"memory-backend-memfd,id=memory,size={memory},share=on", "-numa", "node,memdev=memory",
                 "-chardev", f"socket,id=files,path={work}/files.sock", "-device",
                 "vhost-user-fs-pci,chardev=files,tag=host", "-serial", "file:" + self.console_path,
                 "-chardev", f"socket,id=said,fd={guest_end.fileno()}", "-serial", "chardev:said",
                 "-kernel", _find(kernel + "/boot", "vmlinuz-.*"), "-initrd", work + "/initial-root", "-append", words],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(work + "/qemu.log", "wb"),
                pass_fds=[guest_end.fileno()], start_new_session=True)
        except BaseException:
            self.close()
            raise
        finally:
            guest_end.close()

    @staticmethod
    def _wait_for(path):
        limit = time.monotonic() + 10
        while not os.path.exists(path):
            if time.monotonic() > limit:
                raise Unavailable("virtiofsd does not start: it needs root")
            time.sleep(0.05)

    def lines(self, seconds):
        """Lines as they come. Raises TimeoutError when the guest is still at work after `seconds`."""
        timer = threading.Timer(seconds, lambda: self._qemu.poll() is None and self._qemu.send_signal(signal.SIGKILL))
        timer.start()
        begin = time.monotonic()
        try:
            with self._said.makefile("r", errors="replace", newline="\n") as stream:
                for line in stream:
                    yield line.rstrip("\r\n")
        finally:
            timer.cancel()
        self._qemu.wait()
        if time.monotonic() - begin >= seconds:
            raise TimeoutError(f"not done within {seconds / 60:.0f} minutes")

    def console(self):
        """What the kernel said."""
        try:
            with open(self.console_path, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def close(self):
        for process in (self._qemu, self._files):
            if process and process.poll() is None:
                process.kill()
            if process:
                process.wait()
        self._said.close()
